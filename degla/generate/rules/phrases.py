"""The noun phrases of a tagged caption, and what links them: the grammar that the rules back end works on.

A shallow reading from part-of-speech tags: good enough to exchange or replace words, and silent where a caption is not
understood. Knows nothing of the rewrites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TypeVar

from degla.text.inflection import part_of_noun, singular
from degla.text.lexicon import Lexicon
from degla.text.negation import negated
from degla.text.tokens import is_title_case


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Relations that say something else when their two sides change places, then those that do not.
_DIRECTED = """
to the left of|to the right of|on the left side of|on the right side of|left of|right of|on top of|on the back of|in front of
in back of|bigger than|larger than|smaller than|littler than|taller than|shorter than|on the side of|on the edge of
at the top of|at the bottom of|underneath|inside of|inside|outside of|outside|against|above|over|below|under|beneath|behind
atop|onto|into|on|in|through|towards|toward|off of|out of
"""
_SYMMETRIC = """
next to|far from|away from|close to|beside|besides|near|nearby|with|and|or|alongside|along side of|across from|between|among|by
along with|as well as|touching|around|&
"""
# Heads that name no thing of its own: a view, an amount, a part of space or time.
_ABSTRACT = _words("""
photo picture image photograph view shot close closeup close-up scene background foreground front top bottom middle center
side back end edge corner left right group bunch couple pair lot number variety set row line pile stack kind type sort piece
part slice day night time evening morning afternoon daytime distance air way action motion area place ground thing something
color colour style display collection assortment array range selection many several one other each inside outside use
preparation midair dark sunset dusk dawn
fun love trick stunt game match event work home sun wave conversation order half crowd herd flock team bit
ride turn swing walk look break nap rest pose case body series unison formation midst
""")
_PARTS_OF_SPACE = _words(
    "front top bottom middle center side back end edge corner left right background foreground inside outside midst"
)
_PICTURES = _words("photo picture image photograph view shot closeup close-up close scene portrait drawing painting series")
_DEGREES = _words("very bright dark light large little pretty rather really brightly freshly newly extremely so too")
NUMBERS = _words("two three four five six seven eight nine ten several many few both")
"""Determiners that count things."""
FINITE = frozenset(("VBZ", "VVZ", "VHZ", "VDZ", "VBB", "VVB", "VHB", "VDB"))
"""Tags of verbs in the present tense, which agree with their subject."""
_OF_ONE = frozenset(("VBZ", "VVZ", "VHZ", "VDZ"))  # verbs of one
_MATERIALS = _words("materials ground grown")  # groups of adjectives that may be nouns too: a brick wall
# Groups of adjectives that say something of a thing when they stand after it: the door is open.
_SAID_AFTER = _words(
    "colours textures fullness cleanliness order opening wetness sizes heights sleep lit breakage temperature relief mood"
)
COLOURS = _words("orange navy tan gold silver black white blue green red pink purple brown gray grey yellow")
_SINGULAR_DETERMINERS = _words("a an one this that each every another")
_PLURAL_DETERMINERS = _words("two three four five six seven eight nine ten several many some few these those both all")
_COMPOUNDING = _words(
    "covered filled topped lined shaped colored coloured sized haired faced painted themed flavored like made free"
    " skinned drawn pulled sided powered stained looking"
)
_HALF = _words("half partially partly mostly slightly hot")
_DETERMINERS = frozenset(("AT0", "DPS", "DT0", "CRD"))
_MODIFIERS = frozenset(("AJ0", "AJC", "AJS", "ORD", "CRD"))
_PARTICIPLES = frozenset(("VVN", "VVD", "VVG"))


@dataclass(frozen=True)
class Adjective:
    """One adjective of a noun phrase: its place, and the word in lower case."""

    index: int
    word: str


@dataclass(frozen=True)
class NounPhrase:
    """Tokens `start:end`: determiners up to `content`, what describes it, its nouns `run:end`, the thing it names `head:end`."""

    start: int
    content: int
    run: int
    head: int
    end: int
    lemma: str
    plural: bool | None
    """None where the noun does not tell (sheep) and nothing before it does."""
    determiner: str
    """Lower-case, empty where there is none."""
    adjectives: tuple[Adjective, ...]
    modified: bool = False
    """Whether a noun that the lexicon does not join to the head stands before it (clock tower)."""
    named: bool = False
    """Whether a name is part of it (Sutter Street)."""
    uncounted: bool = False
    """Whether it is an amount when it has no determiner (rice)."""

    @property
    def bare(self) -> bool:
        """Whether it is one thing without determiner, as in a headline (man on bench)."""
        return not self.plural and not self.determiner and not self.uncounted

    @property
    def abstract(self) -> bool:
        """Whether it names no thing that could be seen by itself."""
        return self.lemma in _ABSTRACT

    @property
    def colour(self) -> bool:
        """Whether it is a colour that is worn (dressed in orange)."""
        return self.determiner in ("", "all") and self.plural is False and self.head - self.start <= 1 and self.lemma in COLOURS

    @property
    def misnumbered(self) -> bool:
        """Whether the determiner contradicts the noun's number (two woman)."""
        return self.determiner in (_SINGULAR_DETERMINERS - {"this", "that"} if self.plural else NUMBERS)

    @property
    def part_of_space(self) -> bool:
        """Whether it names a place in the picture or on another thing (the middle)."""
        return self.lemma in _PARTS_OF_SPACE


@dataclass(frozen=True)
class Part:
    """Tokens `start:end`: a noun phrase with what "of" joins to it (a group of people)."""

    start: int
    end: int
    head: NounPhrase
    joined: bool

    @property
    def tokens(self) -> range:
        return range(self.start, self.end)


@dataclass(frozen=True)
class Relation:
    """Tokens `start:end` that relate what stands before and after them."""

    start: int
    end: int
    words: str
    symmetric: bool


@dataclass(frozen=True, eq=False)
class Sentence:
    """A caption as it is read here; known by identity, so that what is remembered of it is found without hashing its words."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    lexicon: Lexicon = field(repr=False)

    @cached_property
    def lower(self) -> tuple[str, ...]:
        """The tokens in lower case."""
        return tuple(token.lower() for token in self.tokens)

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """The relations, in order; the longest phrase wins."""
        found = []
        i = 0
        while i < len(self.lower):
            match = self._relation_at(i)
            if match:
                found.append(match)
            i = match.end if match else i + 1
        return tuple(found)

    def _relation_at(self, start: int) -> Relation | None:
        for words in _PHRASES_BY_FIRST.get(self.lower[start], ()):
            end = start + len(words)
            if self.lower[start:end] == words:
                text = " ".join(words)
                return Relation(start, end, text, text in _SYMMETRIC_PHRASES)
        return None

    @cached_property
    def phrases(self) -> tuple[NounPhrase, ...]:
        """The noun phrases, in order, none inside another, and none inside a negation: what is not there is no more seen."""
        taken = {
            i for relation in self.relations if relation.end - relation.start > 1 for i in range(relation.start, relation.end)
        }
        found = []
        i = 0
        while i < len(self.tokens):
            phrase = None if i in taken else self._phrase_at(i, taken)
            if phrase and self.negated.isdisjoint(range(phrase.start, phrase.end)):
                found.append(phrase)
            i = phrase.end if phrase else i + 1
        return tuple(found)

    @cached_property
    def negated(self) -> frozenset[int]:
        """The places inside negations."""
        return negated(self.lower, self.tags)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in order. What a picture shows is a part of its own (a picture of a dog)."""
        phrases, found = self.phrases, []
        i = 0
        while i < len(phrases):
            start = i
            while i + 1 < len(phrases) and self._joined_by_of(phrases[i], phrases[i + 1]):
                i += 1
            found.append(Part(phrases[start].start, phrases[i].end, phrases[start], joined=i > start))
            i += 1
        return tuple(found)

    def _joined_by_of(self, first: NounPhrase, second: NounPhrase) -> bool:
        return self.lower[first.end : second.start] == ("of",) and not is_picture(first)

    @cached_property
    def listed(self) -> frozenset[int]:
        """The tokens of parts and of symmetric relations."""
        spans = [part.tokens for part in self.parts]
        spans += [range(relation.start, relation.end) for relation in self.relations if relation.symmetric]
        return frozenset(i for span in spans for i in span)

    @cached_property
    def predicates(self) -> tuple[Adjective, ...]:
        """Adjectives that are said of something (the door is open)."""
        covered = {i for phrase in self.phrases for i in range(phrase.start, phrase.end)}
        covered.update(i for relation in self.relations for i in range(relation.start, relation.end))
        return tuple(
            Adjective(i, self.lower[i])
            for i in range(1, len(self.tags))
            if self.tags[i] == "AJ0"
            and i not in covered
            and i not in self.negated
            and self._tag(i + 1)[:2] != "VV"
            and self._tag(i - 1 - (self._tag(i - 1) == "AV0"))[:2] == "VB"
            and self.lexicon.groups("adjectives", self.lower[i]) & _SAID_AFTER
        )

    def _phrase_at(self, start: int, taken: set[int]) -> NounPhrase | None:
        i = start
        while i < len(self.tags) and self.tags[i] in _DETERMINERS and i not in taken:
            i += 1
        after_determiner = i
        while True:
            modifiers_end = self._skip_modifiers(i, has_determiner=after_determiner > start)
            run = modifiers_end
            end = self._skip_nouns(run, taken)
            if end == run:
                return None
            if end + 1 < len(self.tags) and self.tags[end] == "POS":  # a man's hat: the hat
                i = end + 1
                continue
            return self._noun_phrase(start, after_determiner, run, end)

    def _skip_modifiers(self, i: int, has_determiner: bool) -> int:
        while i < len(self.tags):
            if self._compounds(i):
                i += 2
            elif self.tags[i] in _MODIFIERS or self._degree(i) or (has_determiner and self._participle(i)):
                i += 1
            elif self._joins_adjectives(i):
                i += 2
            else:
                return i
        return i

    def _degree(self, i: int) -> bool:
        return self.tags[i] == "AV0" and self._tag(i + 1) in _MODIFIERS and self.lower[i] in _DEGREES

    def _participle(self, i: int) -> bool:
        return self.tags[i] in _PARTICIPLES and (self._tag(i + 1)[:2] == "NN" or self._tag(i + 1) in _MODIFIERS)

    def _compounds(self, i: int) -> bool:
        """Snow covered (trees), heart shaped (pizza)."""
        follows = self._tag(i + 2)
        return i + 2 < len(self.tags) and self.lower[i + 1] in _COMPOUNDING and (follows[:2] == "NN" or follows in _MODIFIERS)

    def _joins_adjectives(self, i: int) -> bool:
        return self.lower[i] in ("and", ",", "&") and self._tag(i - 1) == "AJ0" and self._tag(i + 1) == "AJ0"

    def _skip_nouns(self, i: int, taken: set[int]) -> int:
        while i < len(self.tags) and i not in taken and (self.tags[i][:2] == "NN" or self.tags[i] == "NP0"):
            i += 1
        return i

    def _tag(self, i: int) -> str:
        return self.tags[i] if 0 <= i < len(self.tags) else ""

    def _noun_phrase(self, start: int, after_determiner: int, run: int, end: int) -> NounPhrase:
        head = self._head(max(start, after_determiner), end)
        run = min(run, head)
        lemma = singular(" ".join(self.lower[head:end]))
        determiner = self.lower[after_determiner - 1] if after_determiner > start else ""
        adjectives = tuple(Adjective(i, self.lower[i]) for i in range(after_determiner, head) if self._describes(i, run))
        plural = self._plural(end - 1, determiner, lemma)
        return NounPhrase(
            start,
            max(start, after_determiner),
            run,
            head,
            end,
            lemma,
            plural,
            determiner,
            adjectives,
            modified=head > run,
            named=self._named(run, end),
            uncounted=self.lexicon.uncounted(lemma),
        )

    def _describes(self, i: int, run: int) -> bool:
        """Whether a word before a noun is an adjective that says something by itself; `run`: the first noun.

        A noun may say what the next is made of, but not the second of two (stainless steel).
        """
        groups = self.lexicon.groups("adjectives", self.lower[i])
        before, following = self.lower[i - 1] if i else "", self.lower[i + 1]
        if i and i < run and self.tags[i - 1][:2] == "NN":  # army green
            return False
        named = i > 0 and self.tokens[i][0].isupper() and not self.titled and "nations" not in groups
        if not groups or named or following in _COMPOUNDING or before in _HALF:
            return False
        return i < run or (i == run and before != "stainless" and bool(groups & _MATERIALS))

    @cached_property
    def titled(self) -> bool:
        """Whether capitals tell nothing."""
        return is_title_case(self.tokens)

    def _named(self, run: int, end: int) -> bool:
        if end - run == 1 and part_of_noun(self.lower[run]) and self.tags[run] != "NP0":  # a Frisbee, a TV
            return False
        capitals = any(self.tokens[i][0].isupper() for i in range(max(run, 1), end)) and not self.titled
        return capitals or "NP0" in self.tags[run:end]

    def _head(self, first: int, end: int) -> int:
        """The first token of the longest noun of the lexicon that ends here, else of the last word alone."""
        for start in range(max(first, end - self.lexicon.longest_noun), end - 1):
            if self.lexicon.is_noun(singular(" ".join(self.lower[start:end]))):
                return start
        return end - 1

    def _plural(self, last: int, determiner: str, lemma: str) -> bool | None:
        tag = self.tags[last]
        if self.lower[last] == "people" or lemma in self.lexicon.plural_only or tag == "NN2":
            return True
        unchanged, verb = lemma in self.lexicon.unchanged_plural, self._tag(last + 1)
        if determiner in _SINGULAR_DETERMINERS or not (tag == "NN0" or unchanged):
            return False
        if determiner in _PLURAL_DETERMINERS or verb == "VBB":
            return True
        return False if tag != "NN0" and (determiner or verb in _OF_ONE) else None


FoundT = TypeVar("FoundT")


def once(find: Callable[[Sentence], FoundT]) -> Callable[[Sentence], FoundT]:
    """What a function finds in a sentence, found once and kept with the sentence as its cached properties are."""
    name = find.__qualname__

    @wraps(find)
    def found(sentence: Sentence) -> FoundT:
        known = vars(sentence)
        if name not in known:
            known[name] = find(sentence)
        known_to_be: FoundT = known[name]
        return known_to_be

    return found


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase for line in text.split("\n") for phrase in line.split("|") if phrase)


def _by_first_word() -> dict[str, list[tuple[str, ...]]]:
    phrases = sorted(
        (tuple(text.split()) for text in _phrases(_DIRECTED) | _phrases(_SYMMETRIC)), key=lambda each: (-len(each), each)
    )
    index: dict[str, list[tuple[str, ...]]] = {}
    for words in phrases:
        index.setdefault(words[0], []).append(words)
    return index


_PHRASES_BY_FIRST = _by_first_word()
_SYMMETRIC_PHRASES = _phrases(_SYMMETRIC)


def is_picture(phrase: NounPhrase) -> bool:
    """Whether the phrase names the picture itself ("a photo of ...")."""
    return phrase.lemma in _PICTURES
