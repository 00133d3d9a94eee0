"""What must hold for two noun phrases of a caption to change places: that another thing is said, and said in good English."""

from __future__ import annotations

from itertools import combinations

from degla.generate.rules.kinds import living, names_thing, part_of_body
from degla.generate.rules.phrases import NounPhrase, Part, Sentence, is_picture, once
from degla.text.lexicon import Lexicon


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LISTING = frozenset(("CJC", "PUN"))
_STANDING = _words("is are sitting standing laying lying sits stand stands sit parked placed resting lay lays lie lies located")
_JOINING = _words("and or , & with near beside next to by far away from close alongside")
_BESIDE = _words("a an the is are sitting standing some one another")
_POSSESSIVES = _words("his her its their my your our 's ’s")
_AMOUNTS = _words("lots plenty tons loads dozens hundreds thousands")
_OWNING = _words("his her its their")
_REFERRING = _words("his her its their my your our each other another them it him himself herself itself themselves")
_FOR_LIVING = _words("he she his her him hers himself herself who whom whose themselves")
_NO_OBJECT = frozenset(("games", "meals", "weather", "stuff"))  # groups of nouns that are not moved with their determiner
# Before a part: it was not read from its beginning (a few horses, the same man, a clock tower).
_BEFORE_NOUNS = frozenset(("AT0", "DT0", "DPS", "CRD", "ORD", "AJ0", "AV0", "POS", "NN0", "NN1", "NN2", "NP0"))
_AND = (("and",), ("or",), ("&",))
_MISREAD = (("AJ0",), ("NN0",), ("NN1",), ("NN2",), ("NP0",), ("VM0",))  # after a noun: the phrase was not read to its end
_COUNTING_ONE = ("a", "an", "one", "each", "every", "another")
_COUNTING = (*_COUNTING_ONE, "two", "many", "several")


@once  # reshuffles and swaps of nouns ask, in different rounds
def exchangeable(sentence: Sentence) -> tuple[tuple[Part, Part], ...]:
    """Pairs of parts that may change places, determiners and all."""
    movable = [part for part in sentence.parts if _movable(sentence, part)]
    return tuple((one, other) for one, other in combinations(movable, 2) if _may_swap(sentence, one, other))


def _may_swap(sentence: Sentence, first: Part, second: Part) -> bool:
    if first.head.bare != second.head.bare:
        return False
    if first.head is sentence.phrases[0] and (_refers(sentence, first) or _refers(sentence, second)):
        return False  # nobody stands before it whose it could be
    if living(sentence.lexicon, first.head.lemma) and not _OWNING.isdisjoint(sentence.lower[second.start : second.end]):
        return False  # a father lifts his son
    if sentence.lower[first.end : first.end + 1] == ("each",) and first.head.plural != second.head.plural:
        return False
    if any(_again(sentence, each.head) for each in (first, second)):
        return False  # a man and a woman look at a man
    words = [set(sentence.lower[part.start : part.end]) - {"a", "an", "the"} for part in (first, second)]
    if words[0] <= words[1] or words[1] <= words[0]:
        return False
    if symmetric(sentence, first.head, second.head):
        return False
    return says_another(sentence, first.head, second.head)


def says_another(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether something else is said when two things change places."""
    lexicon = sentence.lexicon
    if worn(sentence, first.end, second) or _says_the_same(sentence, first, second):
        return False
    if part_of_body(lexicon, first.lemma) != part_of_body(lexicon, second.lemma):
        return False  # a boy holding up a head over an umbrella
    return living(lexicon, first.lemma) == living(lexicon, second.lemma) or not _stands_for_living(sentence, first.end)


def _movable(sentence: Sentence, part: Part) -> bool:
    """Whether a part is a thing, an amount or a group of things, said in full."""
    head, words = part.head, sentence.lower
    if head.misnumbered or head.colour or head.named or _NO_OBJECT & sentence.lexicon.groups("nouns", head.lemma):
        return False
    if (
        head.part_of_space
        or is_picture(head)
        or not (part.joined or not head.abstract and names_thing(sentence.lexicon, head.lemma))
    ):
        return False
    if words[part.end : part.end + 1] == ("of",) or sentence.tags[part.end : part.end + 1] in _MISREAD:
        return False
    if of_another(sentence, part.start) or part.start and sentence.tags[part.start - 1] in _BEFORE_NOUNS:
        return False
    return not (words[part.end : part.end + 1] in _AND and _continued(sentence, part.end + 1))


def _continued(sentence: Sentence, start: int) -> bool:
    """Whether at token `start` begins a noun that shares the determiner of the one before (a man and woman)."""
    return any(phrase.start == start and not phrase.determiner for phrase in sentence.phrases)


def _says_the_same(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether an exchange of two nouns is said of the same image, or may be."""
    lexicon = sentence.lexicon
    if first.lemma == second.lemma or second.lemma in lexicon.related("nouns", first.lemma):
        return True
    if same_place(sentence, first, second) or _beside(sentence, first, second) or _listed_alike(sentence, first, second):
        return True
    return symmetric(sentence, first, second) and not contrast(lexicon, first, second)


def same_place(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether the same preposition stands before both (in a bed in a room): in either order they say the same."""
    return (
        first.start > 0
        and sentence.lower[first.start - 1] == sentence.lower[second.start - 1]
        and (sentence.tags[first.start - 1] == "PRP")
    )


def worn(sentence: Sentence, end: int, phrase: NounPhrase) -> bool:
    """Whether a phrase follows token `end` as what is worn does: man in black jacket, a dog on a leash."""
    between = sentence.lower[end : phrase.start]
    return phrase.bare and between == ("in",) or phrase.lemma == "leash" and between == ("on",)


def _again(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether another phrase names the same thing."""
    return any(other is not phrase and other.lemma == phrase.lemma for other in sentence.phrases)


def _refers(sentence: Sentence, part: Part) -> bool:
    """Whether a part says whose something is, or stands for something said before."""
    return not _REFERRING.isdisjoint(sentence.lower[part.start : part.end])


def of_another(sentence: Sentence, start: int) -> bool:
    """Whether at token `start` begins what another thing is of (a group of people), unless that is a picture."""
    if sentence.lower[max(0, start - 1) : start] != ("of",):
        return False
    if sentence.lower[max(0, start - 2)] in _AMOUNTS:  # not always read as nouns
        return True
    return any(phrase.end == start - 1 and not is_picture(phrase) for phrase in sentence.phrases)


def _stands_for_living(sentence: Sentence, start: int) -> bool:
    """Whether a word from token `start` on stands for someone said before it (a man and his dog)."""
    return not _FOR_LIVING.isdisjoint(sentence.lower[start:])


def owned(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether it is said whose a thing is."""
    words = sentence.lower
    return not _POSSESSIVES.isdisjoint(words[phrase.start : phrase.run]) or words[phrase.start - 1] in ("'s", "’s")


def same_number(first: NounPhrase, second: NounPhrase) -> bool:
    """Whether both are one, or both several."""
    return first.plural is not None and first.plural == second.plural


def crosses_determiner(first: NounPhrase, second: NounPhrase, lexicon: Lexicon) -> bool:
    """Whether a mass noun would stand after "a", or a count noun without any determiner, if the nouns alone change places."""
    mass = (first.lemma in lexicon.mass, second.lemma in lexicon.mass)
    if mass[0] == mass[1]:
        return False
    other, own = (second, first) if mass[0] else (first, second)
    return other.determiner in _COUNTING or own.determiner in ("", "some", "much")


def symmetric(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether nothing but a list or a symmetric relation (and, with, near) links two phrases."""
    listed = sentence.listed
    return all(
        i in listed or sentence.tags[i] in _LISTING or sentence.lower[i] in _STANDING for i in range(first.end, second.start)
    )


def contrast(lexicon: Lexicon, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether the two are described differently in one respect, so that neither description can fit the other."""
    return any(
        lexicon.groups("adjectives", mine.word) & lexicon.groups("adjectives", other.word)
        and other.word not in lexicon.related("adjectives", mine.word)
        for mine in first.adjectives
        for other in second.adjectives
    )


def _beside(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether the second is only seen beside the first: "a cup on a table next to a plate" may be said of the plate."""
    last = next((each for each in sentence.relations if each.end == second.start), None)
    if last is None or not last.symmetric or first is not sentence.phrases[0]:
        return False
    if contrast(sentence.lexicon, first, second):
        return False
    if sentence.lower[first.end : first.end + 1] in (("and",), ("&",)):
        return True
    acting = any(
        sentence.tags[i][:2] == "VV" and (last.words == "with" or sentence.lower[i] not in _STANDING)
        for i in range(first.end, last.start)
    )
    return not acting or living(sentence.lexicon, first.lemma) == living(sentence.lexicon, second.lemma)


def _listed_alike(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether only joining words stand between two nouns, and nothing, or the same, describes both."""
    return _described_alike(sentence.lower, first.run, range(first.end, second.run))


def _described_alike(words: tuple[str, ...], start: int, gap: range) -> bool:
    """Whether the word at `start` and the one after `gap` are described alike, and only joining words link them."""
    between = words[gap.start : gap.stop]
    if not _JOINING & set(between) or between[0] not in _JOINING | _BESIDE:
        return False
    own = tuple(word for word in between if word not in _JOINING | _BESIDE)
    if not own:
        return True
    described = words[max(0, start - len(own)) : start] == own
    return described and (start == len(own) or words[start - len(own) - 1] in _JOINING | _BESIDE)


def owners_alike(words: tuple[str, ...], first: int, second: int) -> bool:
    """Whether two things of one kind, joined without an order, are described (a red cat and a blue cat)."""
    gap = words[first + 1 : second]
    own = tuple(word for word in gap if word not in _JOINING | _BESIDE)
    return bool(own and _JOINING & set(gap)) and words[second + 1 : second + 1 + len(own)] == own
