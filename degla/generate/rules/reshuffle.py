"""Reshuffle: the same words in another order that is still a sentence, but with the roles exchanged.

Subject and object, or the two sides of a directed relation, change places ("a dog on a couch" to "a couch on a dog").
Where the caption has only symmetric relations, the descriptions of two things change places. Where neither says
something new there is no reshuffle; words are never scrambled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from degla.generate.rules.options import Option
from degla.generate.rules.phrases import NounPhrase, Sentence, is_picture
from degla.generate.rules.rewording import exchange, fronted
from degla.generate.rules.swaps import contrast, same_place, symmetric, worn
from degla.text.tokens import tokenize

_ROLES = 1.0  # score of an exchange of roles beside one of descriptions
_MIN_MOVED = 3  # tokens; fewer say too little anew
_MUTUAL = frozenset(
    (
        "kissing",
        "hugging",
        "facing",
        "meeting",
        "touching",
        "matching",
        "resembling",
        "fighting",
        "embracing",
        "like",
        "kiss",
        "hug",
    )
)
_GOING_ON = (("and",), ("or",), ("&",), ("of",))
_MISREAD = (("AJ0",), ("NN0",), ("NN1",), ("NN2",), ("VM0",))  # after a noun: the phrase was not read to its end
_PRONOUNS = frozenset(("his", "her", "its", "their", "my", "your", "our", "each", "other", "another"))
_BE = frozenset(("VBZ", "VBB", "VBD", "VBG", "VBN"))
_FINITE_SINGULAR = frozenset(("VBZ", "VVZ", "VHZ", "VDZ"))
_FINITE_PLURAL = frozenset(("VBB", "VVB", "VHB", "VDB"))
_LINKING = frozenset(("AV0", "AVP", "CJT", "DTQ", "PNQ", "VM0", "VVI"))


@dataclass(frozen=True)
class _Side:
    """One side of a link: tokens `start:end`, a noun phrase with what "of" joins to it."""

    start: int
    end: int
    head: NounPhrase
    joined: bool


def reshuffles(caption: str, sentence: Sentence, rng: Random) -> Iterator[Option]:
    """Exchanges of roles, and after them of descriptions, that make a different, well-formed sentence."""
    yield from _role_exchanges(caption, sentence)
    yield from _description_exchanges(caption, sentence)


def _option(caption: str, sentence: Sentence, score: float, first: range, second: range, may_front: bool) -> Option:
    return Option(score, (first.start, second.start), partial(_rewritten, caption, sentence, first, second, may_front))


def _rewritten(caption: str, sentence: Sentence, first: range, second: range, may_front: bool) -> str | None:
    """The exchange, if need be with the last part put first, so that enough words move; or None."""
    text = exchange(caption, sentence.tokens, sentence.tags, first, second)
    if _num_moved(text, sentence) >= _MIN_MOVED:
        return text
    front = fronted(text, sentence) if may_front else None
    return front if front and _num_moved(front, sentence) >= _MIN_MOVED else None


def _num_moved(text: str, sentence: Sentence) -> int:
    new = ["a" if word == "an" else word for word in (token.lower() for token in tokenize(text))]
    old = ["a" if word == "an" else word for word in sentence.lower]
    return sum(left != right for left, right in zip(old, new, strict=True)) if len(old) == len(new) else 0


def _role_exchanges(caption: str, sentence: Sentence) -> Iterator[Option]:
    sides = list(_sides(sentence))
    for k, (first, second) in enumerate(zip(sides, sides[1:], strict=False)):
        weight = _link_weight(sentence, sides, k)
        if weight is None or _unfit(sentence, first, second):
            continue
        tags = set(sentence.tags[first.end : second.start])
        may_front = "VVG" not in tags or bool(tags & _BE)
        spans = range(first.start, first.end), range(second.start, second.end)
        yield _option(caption, sentence, _ROLES + weight, *spans, may_front)


def _sides(sentence: Sentence) -> Iterator[_Side]:
    phrases = sentence.phrases
    i = 0
    while i < len(phrases):
        start = i
        while i + 1 < len(phrases) and _joined_by_of(sentence, phrases[i], phrases[i + 1]):
            i += 1
        yield _Side(phrases[start].start, phrases[i].end, phrases[start], joined=i > start)
        i += 1


def _joined_by_of(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    return sentence.lower[first.end : second.start] == ("of",) and not is_picture(first)


def _unfit(sentence: Sentence, first: _Side, second: _Side) -> bool:
    if any(side.head.abstract and not side.joined or side.head.part_of_space for side in (first, second)):
        return True
    if any(head.misnumbered or head.colour for head in (first.head, second.head)):
        return True
    if worn(sentence, first.end, second.head) or is_picture(second.head) or first.head.named or second.head.named:
        return True
    if sentence.lower[second.end : second.end + 1] in _GOING_ON or sentence.tags[second.end : second.end + 1] in _MISREAD:
        return True
    if same_place(sentence, first.head, second.head) or first.head.bare != second.head.bare:
        return True
    if first.head.lemma == second.head.lemma or first.head.lemma in sentence.lexicon.related("nouns", second.head.lemma):
        return True
    words = [set(sentence.lower[side.start : side.end]) - {"a", "an", "the"} for side in (first, second)]
    if words[0] <= words[1] or words[1] <= words[0]:
        return True
    return any(_PRONOUNS & set(sentence.lower[side.start : side.end]) for side in (first, second))


def _link_weight(sentence: Sentence, sides: list[_Side], k: int) -> float | None:
    """How good an exchange across the link after side `k` is; None where the link does not allow one."""
    first, second = sides[k], sides[k + 1]
    places = range(first.end, second.start)
    if not places or not _agrees(sentence, first, second, places) or _continues(sentence, sides, k):
        return None
    after = [relation for relation in sentence.relations if relation.end == second.start and relation.start >= first.end]
    if len(after) > 1 or any(relation.symmetric for relation in after):
        return None
    links = [i for i in places if not after or i < after[0].start]
    if any(sentence.tags[i] == "AVP" for i in links) and not any(sentence.tags[i][0] == "V" for i in links):
        return None
    if any(sentence.tags[i][0] != "V" and sentence.tags[i] not in _LINKING for i in links):
        return None
    verbs = [i for i in links if sentence.tags[i][0] == "V"]
    action = any(sentence.tags[i] not in _BE for i in verbs)
    if (not after and not action) or _MUTUAL & set(sentence.lower[first.end : second.start]):
        return None
    if verbs and _is_object(sentence, sides, k):
        return None
    lexicon = sentence.lexicon
    known = all(lexicon.names_thing(side.head.lemma) for side in (first, second))
    opening = k == 0 or (k == 1 and is_picture(sides[0].head))
    return 2.0 * opening + (action and not after) + known


def _continues(sentence: Sentence, sides: list[_Side], k: int) -> bool:
    """Whether a side belongs to what stands before it: the second of a pair, or nouns that were not read as one phrase."""
    start = sides[k].start
    after_opening = k == 1 and sides[0].start == 1 and sentence.tags[0] == "PRP"  # "on the grass a dog ..."
    return start > 0 and (sentence.tags[start - 1] == "CJC" or (k > 0 and sides[k - 1].end == start and not after_opening))


def _is_object(sentence: Sentence, sides: list[_Side], k: int) -> bool:
    """Whether a side follows a preposition or a verb, so that the verb after it is not its own."""
    start = sides[k].start
    if start == 0:
        return False
    before = sentence.tags[start - 1]
    if before == "PRF":
        return not (k > 0 and is_picture(sides[k - 1].head)) and not _after_picture(sentence, start)
    ends_relation = any(relation.end == start and relation.words not in ("and", "or", "&") for relation in sentence.relations)
    return (
        ends_relation
        or before in ("PRP", "CJC")
        or (before[0] == "V" and before not in _BE and sentence.lower[start - 1] != "see")
    )


def _after_picture(sentence: Sentence, start: int) -> bool:
    return any(phrase.end == start - 1 and is_picture(phrase) for phrase in sentence.phrases)


def _agrees(sentence: Sentence, first: _Side, second: _Side, places: range) -> bool:
    """Whether the verb of the link, and an "is" before it, fit the other side's number too."""
    tags = {sentence.tags[i] for i in (*places, *range(second.end, min(second.end + 1, len(sentence.tags))))}
    opening = {sentence.tags[i] for i in range(first.start) if sentence.tags[i] in ("VBZ", "VBB")}
    finite = (tags | opening) & (_FINITE_SINGULAR | _FINITE_PLURAL)
    if not finite:
        return True
    return first.head.plural is not None and first.head.plural == second.head.plural and not (first.joined or second.joined)


def _description_exchanges(caption: str, sentence: Sentence) -> Iterator[Option]:
    """Exchange what describes two things that only a symmetric relation links."""
    for k, first in enumerate(sentence.phrases):
        for second in sentence.phrases[k + 1 :]:
            if first.abstract or second.abstract or not symmetric(sentence, first, second):
                continue
            mine, other = _description(sentence, first), _description(sentence, second)
            if mine and other and first.lemma != second.lemma and contrast(sentence.lexicon, first, second):
                yield _option(caption, sentence, 0.0, mine, other, may_front=False)


def _description(sentence: Sentence, phrase: NounPhrase) -> range:
    """The tokens between determiner and noun, if they are all adjectives of the lexicon."""
    start = phrase.start + (1 if phrase.determiner else 0)
    words = range(start, phrase.run)
    return words if len(words) == len(phrase.adjectives) else range(0)
