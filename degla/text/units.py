"""Words of a caption that are one unit of meaning: compounds, frozen phrases, names, labels and what stands in quotation marks.

A unit is given by its joints: joint i lies between the words i - 1 and i. An edit that begins or ends there takes a word out of
the unit (polar bear, polar cabinet). Compounds and phrases are WordNet's and the lexicon's. An adjective and a noun may be one
(gold medal) or only look like it (blue sky). Knows nothing of rewrites.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from degla.text import wordnet
from degla.text.agreement import SOME_OF
from degla.text.inflection import singular
from degla.text.kinds import noun_kinds
from degla.text.lexicon import load_lexicon
from degla.text.tokens import is_title_case

USUAL = 3
"""Times that two words stand beside each other in captions that use them together."""

_MEMORY = 1 << 16
_MODIFYING = frozenset(("NN", "AJ", "VV", "NP"))
_DESCRIBING = frozenset(("AJ", "VV"))  # middle aged
_LAST = frozenset(("NN0", "NN1", "NN2", "VVN"))  # head set
_OBJECTS = (["AT0"], ["DPS"], ["DT0"], ["NN1"], ["NN2"])  # tags after a verb: a zebra crossing the road, but on a zebra crossing
_NAMING = frozenset(("NN", "AJ"))  # navy blue, slim fit
_KINDS = frozenset(("noun.animal", "noun.food", "noun.plant"))  # whose names are more than their words: a golden retriever
_OPEN = frozenset(("reality",))  # a stuffed bear beside a real one
_LIVING = frozenset(("animals", "people"))  # categories of nouns whose entries mean something else: a black cat is a marten
_WHOLES = frozenset(("noun.artifact", "noun.object", "noun.person"))  # a suit of armour; but a cup of tea is an amount
_FREE = frozenset(("cooking", "cooking ways", "materials", "outlines"))  # groups: a fried egg, a paper plate, a round table
_KINDS_OF_NATURE = frozenset(("noun.animal", "noun.plant"))  # a silver bell is a shrub
_STUFF = frozenset(("noun.food", "noun.substance"))
_FREELY = 3  # adjectives of one group
_MEASURES = frozenset(
    (
        "km",
        "m",
        "cm",
        "mm",
        "kg",
        "g",
        "mg",
        "l",
        "ml",
        "cl",
        "ft",
        "inch",
        "inches",
        "mph",
        "am",
        "pm",
        "litre",
        "litres",
        "liter",
    )
    + ("liters", "metre", "metres", "meter", "meters", "miles", "mile", "%", "percent", "°", "watt", "volt")
)
_may_label = re.compile('[A-Z0-9"“‘]').search
_QUOTES = {'"': '"', "“": "”", "‘": "’"}


@lru_cache(1)
def compounds() -> frozenset[str]:
    """Nouns of two words in the singular, and verbs with their noun in the infinitive (shake hands), lower-case.

    What an adjective of the lexicon begins (brown bear) is a compound only if the lexicon says so (hot dog), or if its noun is an
    animal, food or plant that the lexicon lacks (golden retriever).
    """
    lexicon = load_lexicon()
    free = _adjectives()
    found = {
        word
        for word in wordnet.compounds("nouns")
        if word.count(" ") == 1 and (word.split(" ")[0] not in free or _names_kind(word))
    }
    own = {
        word for word in lexicon.words("nouns") if " " in word and not lexicon.groups("adjectives", word.split(" ")[0]) & _OPEN
    }
    return frozenset(found | own | wordnet.compounds("verbs") | lexicon.units)


def _names_kind(words: str) -> bool:
    """Whether an adjective and a noun that the lexicon lacks name a kind of that noun; a black widow is a spider."""
    known, head = wordnet.load_wordnet(), words.split(" ")[1]
    if load_lexicon().is_noun(head):
        return False
    return any(
        sense.lexname in _KINDS and any(head in known.words(above) for above in known.levels_above(sense.synset))
        for sense in known.senses("nouns", words)[:1]
    )


def joints(tokens: Sequence[str], tags: Sequence[str], frozen: Collection[str] = ()) -> frozenset[int]:
    """The joints of compounds and frozen phrases.

    Args:
        tokens: of a caption; letter case makes no difference.
        tags: their part-of-speech tags.
        frozen: further units of two lower-case words, such as a dataset's own (`degla.judge.judge.word_uses`).

    >>> sorted(joints(["a", "polar", "bear", "in", "a", "parking", "lot"], ["AT0", "AJ0", "NN1", "PRP", "AT0", "NN1", "NN1"]))
    [2, 6]
    """
    words = [token.lower() for token in tokens]
    pairs = zip(words, words[1:], tags, tags[1:], strict=False)
    return frozenset(
        i
        for i, (first, second, tag, following) in enumerate(pairs, start=1)
        if tag[:2] in _MODIFYING
        and (
            following[:2] in _NAMING
            and (is_unit(first, second, tag[:2] == "VV") or f"{first} {second}" in frozen)
            or following[:2] in _DESCRIBING
            and is_hyphened(first, second)
            or following in _LAST
            and is_one_word(first, second)
            or following == "VVG"
            and tag[:2] == "NN"
            and is_unit(first, second)
            and tags[i + 1 : i + 2] not in _OBJECTS
        )
    ) | joints_of_wholes(words)


def joints_of_wholes(words: Sequence[str]) -> frozenset[int]:
    """Both joints of a coat of arms, a guest of honour, a body of water, in lower-case words."""
    places = [i for i in range(1, len(words) - 1) if words[i] == "of"]
    named = (i for i in places if f"{singular(words[i - 1])} of {words[i + 1]}".replace("our", "or") in _wholes())
    return frozenset(joint for i in named for joint in (i, i + 1))


@lru_cache(1)
def _wholes() -> frozenset[str]:
    """Nouns with "of" for one person or thing, in American spelling."""
    senses = wordnet.senses()
    joined = pc.and_(pc.is_in(senses["lexname"], pa.array(_WHOLES)), pc.match_substring_regex(senses["word"], r"^\S+ of \S+$"))
    found = senses.filter(pc.and_(joined, pc.invert(senses["is_name"])))["word"].to_pylist()
    return frozenset(word.replace("our", "or") for word in found if word.split(" ")[0] not in SOME_OF)


def phrases(tokens: Sequence[str], tags: Sequence[str], described: Collection[tuple[str, str]] = ()) -> frozenset[int]:
    """The joints between adjectives and nouns that are one entry of a dictionary (`is_phrase`).

    A colour before a compound is that of the whole: red wine, but a red wine glass.

    Args:
        tokens: of a caption; letter case makes no difference.
        tags: their part-of-speech tags.
        described: what a dataset describes freely (`freely_described`).

    >>> sorted(phrases(["a", "gold", "medal", "and", "a", "gold", "car"], ["AT0", "AJ0", "NN1", "CJC", "AT0", "AJ0", "NN1"]))
    [2]
    """
    words = [token.lower() for token in tokens]
    return frozenset(
        i
        for i in range(1, len(words))
        if words[i - 1] in _adjectives()
        and tags[i - 1][:2] in _MODIFYING
        and is_phrase(words[i - 1], words[i])
        and (tags[i][:2] == "NN" or tags[i][:2] == "AJ" and _names_stuff(f"{words[i - 1]} {words[i]}"))
        and not any((group, singular(words[i])) in described for group in load_lexicon().groups("adjectives", words[i - 1]))
        and not (words[i - 1] in _colours() and i + 1 < len(words) and is_unit(words[i], words[i + 1]))
    )


@lru_cache(_MEMORY)
def _names_stuff(words: str) -> bool:
    """Whether two words name a substance, which describes what is made of it: a white gold ring, but not a dark blue ring."""
    return any(sense.lexname in _STUFF for sense in wordnet.load_wordnet().senses("nouns", words))


def freely_described(pairs: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Groups of adjectives, and nouns in the singular of which captions say at least 3 of the group.

    If skies are grey, white and orange too, "blue sky" is no phrase.

    Args:
        pairs: two lower-case words, separated by a space, that stand beside each other `USUAL` times or more.
    """
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for pair in pairs:
        word, _, noun = pair.partition(" ")
        for group in load_lexicon().groups("adjectives", word):
            found[group, singular(noun)].add(word)
    return frozenset(each for each, words in found.items() if len(words) >= _FREELY)


@lru_cache(_MEMORY)
def is_phrase(adjective: str, noun: str) -> bool:
    """Whether an adjective of the lexicon and a noun, lower-case, are one entry of WordNet's: gold medal, red carpet, hard wood.

    Many such entries say no more than their words (blue sky). So a rewrite may put another word there if that makes a phrase too
    (silver medal), or if captions have it (grey sky). An entry is none where its adjective says what a thing is made of, its
    outline, or how it was cooked; nor where it names a plant or an animal, and its noun a thing.
    """
    lexicon, head = load_lexicon(), singular(noun)
    if adjective not in _adjectives() or is_unit(adjective, noun) or lexicon.groups("adjectives", adjective) & _FREE:
        return False
    if lexicon.categories("nouns", head) & _LIVING:
        return False
    entries = wordnet.compounds("nouns")
    found = next((entry for entry in (f"{adjective} {noun}", f"{adjective} {head}") if entry in entries), None)
    if found is None:
        return _is_kind(adjective + head, head)
    return noun_kinds().get(head) in _KINDS_OF_NATURE or not _names_nature(found)


def _names_nature(entry: str) -> bool:
    return all(sense.lexname in _KINDS_OF_NATURE for sense in wordnet.load_wordnet().senses("nouns", entry))


@lru_cache(1)
def _adjectives() -> frozenset[str]:
    return frozenset(load_lexicon().words("adjectives"))


@lru_cache(1)
def _colours() -> frozenset[str]:
    return frozenset(load_lexicon().group_words("adjectives", frozenset(("colours",))))


def _is_kind(word: str, head: str) -> bool:
    """Whether WordNet has this word, and for a kind of what its head names: hardwood."""
    if word not in noun_kinds():
        return False
    known = wordnet.load_wordnet()
    return any(head in known.words(above) for sense in known.senses("nouns", word) for above in known.levels_above(sense.synset))


@lru_cache(1)
def _followers() -> dict[str, set[str]]:
    """The second words of compounds by their first."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for compound in compounds():
        first, _, second = compound.partition(" ")
        found[first].add(second)
    return dict(found)


@lru_cache(_MEMORY)
def is_unit(first: str, second: str, is_verb: bool = False) -> bool:
    """Whether two lower-case words beside each other are one compound, or a verb with its noun."""
    followers = _followers().get(first.rpartition("-")[2], set())
    if is_verb:
        from lemminflect import getLemma

        followers = followers | _followers().get("".join(getLemma(first, upos="VERB")[:1]), set())
    return bool(followers) and (second in followers or singular(second) in followers)


@lru_cache(1)
def _hyphened() -> frozenset[str]:
    senses = wordnet.senses()
    adjectives = pc.and_(pc.equal(senses["part_of_speech"], "adjectives"), pc.match_substring(senses["word"], "-"))
    return frozenset(senses.filter(adjectives)["word"].to_pylist())


def is_hyphened(first: str, second: str) -> bool:
    """Whether two lower-case words are an adjective of WordNet's without its hyphen: middle aged."""
    return f"{first}-{second}" in _hyphened() and "colours" not in load_lexicon().groups("adjectives", second)


@lru_cache(_MEMORY)
def is_one_word(first: str, second: str) -> bool:
    """Whether two lower-case nouns are one that WordNet knows, written apart: head set."""
    nouns, last = noun_kinds(), singular(second)
    return first in nouns and last in nouns and first + last in nouns and not load_lexicon().groups("adjectives", first)


def labels(tokens: Sequence[str], tags: Sequence[str]) -> frozenset[int]:
    """The joints of names (Central Park), numbered things (Platform 9), measures (10 km), and quoted words with their quotes."""
    if not _may_label(" ".join(tokens)[1:]):
        return frozenset()
    found = {i + 1 for i in range(len(tokens) - 1) if _numbered(tokens, tags, i)}
    if not is_title_case(tokens):
        named = [_in_name(tokens, tags, i) for i in range(len(tokens))]
        found |= {i for i in range(1, len(tokens)) if named[i - 1] and named[i]}
    closing = ""
    for i, token in enumerate(tokens):
        if closing:
            found.update((i, i + 1) if token != closing else (i,))
            closing = "" if token == closing else closing
        elif token in _QUOTES and _QUOTES[token] in tokens[i + 1 :]:
            closing = _QUOTES[token]
    return frozenset(found)


def _numbered(tokens: Sequence[str], tags: Sequence[str], i: int) -> bool:
    word, following = tokens[i], tokens[i + 1]
    if following[0].isdigit() or (
        len(following) == 1 and following.isupper() and word.lower() in ("size", "platform", "gate", "vitamin")
    ):
        return tags[i] in ("NN1", "NP0") and word[0].isalpha()
    return word[0].isdigit() and following.lower() in _MEASURES


def _in_name(tokens: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether a word has a capital of its own: one at the beginning of a sentence counts only if it is known as a name."""
    if not tokens[i][0].isupper():
        return tokens[i][0].isdigit()
    return tags[i] == "NP0" or (i > 0 and tokens[i - 1] not in (".", "!", "?", ":") and len(tokens[i]) > 1)
