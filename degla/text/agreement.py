"""Number: whether determiners and verbs agree with their nouns, and the form of a verb that does.

Reads words and part-of-speech tags; silent where a number is not certain. Knows nothing of rewrites but their words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from degla.text.inflection import singular
from degla.text.kinds import noun_kinds
from degla.text.lexicon import load_lexicon

_MEMORY = 1 << 16
_PAIRS = (("is", "are"), ("was", "were"), ("has", "have"), ("does", "do"), ("this", "these"), ("that", "those"), ("much", "many"))
_OTHER_FORM = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
_SINGULAR_VERBS = frozenset(one for one, _ in _PAIRS[:4])
_PRESENT = frozenset(("VVZ", "VVB", "VVI", "VBZ", "VBB", "VBD", "VHZ", "VHB", "VDZ", "VDB"))
_PRESENT_SINGULAR = frozenset(("VVZ", "VBZ", "VHZ", "VDZ"))
_OF_ONE = frozenset(("a", "an", "one", "this", "each", "every", "another", "much"))
_OF_MANY = frozenset(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "many", "several", "few", "both"))
_OF_MANY_TOO = frozenset(("these", "those"))
_DESCRIBING = frozenset(("AJ0", "AJC", "AJS", "ORD", "CRD", "VVN", "VVG", "AV0"))
_SOME_OF = frozenset(
    ("crowd", "group", "herd", "flock", "pair", "couple", "bunch", "number", "lot", "row", "team", "set", "line")
)


def is_mass(noun: str) -> bool:
    """Whether a noun in the singular takes neither an article nor a number: the lexicon's, and other substances of WordNet's."""
    lexicon = load_lexicon()
    return noun in lexicon.mass or (noun_kinds().get(noun) == "noun.substance" and not lexicon.is_noun(noun))


@lru_cache(_MEMORY)
def other_number(verb: str) -> str:
    """The form of a lower-case word of the present tense, or determiner, for a subject of the other number.

    >>> other_number("chase"), other_number("carries"), other_number("are"), other_number("these")
    ('chases', 'carry', 'is', 'this')
    """
    known = _OTHER_FORM.get(verb)
    if known:
        return known
    from lemminflect import getInflection, getLemma

    base = getLemma(verb, upos="VERB")
    if base and base[0] != verb:
        return base[0]
    forms = getInflection(verb, tag="VBZ")
    return forms[0] if forms else f"{verb}s"


def as_in(words: Sequence[str], tags: Sequence[str], new: Sequence[str]) -> list[str]:
    """The new words with the verbs and determiners that have another number than in the caption put back into its number.

    Args:
        words: the caption's, lower-case.
        tags: their part-of-speech tags.
        new: words of a rewrite, lower-case.
    """
    gone = {
        word: tag for word, tag in zip(words, tags, strict=True) if word not in new and (tag in _PRESENT or word in _OTHER_FORM)
    }
    back = {other_number(word): word for word in gone}
    return [back.get(word, word) if word not in words else word for word in new]


def agrees(words: Sequence[str], tags: Sequence[str], new: Sequence[str]) -> bool:
    """Whether new words, in the order of a rewrite, agree in number wherever the caption's do.

    Args:
        words: the caption's, lower-case.
        tags: their part-of-speech tags.
        new: the rewrite's, lower-case; those that the caption has in another number have its tags.
    """
    kinds = dict(zip(reversed(words), reversed(tags), strict=True))
    old_forms = as_in(words, tags, new)
    new_tags = [_in_number(word, old, kinds.get(old, "XX0")) for word, old in zip(new, old_forms, strict=True)]
    return _faults(tuple(new), tuple(new_tags)) <= _faults(tuple(words), tuple(tags))


def _in_number(word: str, old: str, tag: str) -> str:
    """The tag of a verb that was put into the other number."""
    if word == old or tag not in _PRESENT or tag == "VBD":
        return tag
    return f"{tag[:2]}B" if tag[2] == "Z" else f"{tag[:2]}Z"


@lru_cache(_MEMORY)
def _faults(words: tuple[str, ...], tags: tuple[str, ...]) -> int:
    return sum(_misnumbered(words, tags, i) or _disagrees(words, tags, i) for i in range(len(words)))


def _misnumbered(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the determiner here contradicts the noun that it belongs to."""
    if words[i] not in _OF_ONE and words[i] not in _OF_MANY and words[i] not in _OF_MANY_TOO:
        return False
    head = _head(tags, i + 1)
    if head is None:
        return False
    number = _number(words, tags, head)
    if words[i] in _OF_ONE:
        mass = words[i] != "much" and number == "mass"
        return mass or number == "plural" or (words[i] == "much" and number == "singular")
    return number in ("singular", "mass") or (words[i] in _OF_MANY and words[head] in load_lexicon().plural_only)


def _head(tags: Sequence[str], i: int) -> int | None:
    """The last noun of the phrase whose modifiers begin here."""
    while i < len(tags) and tags[i] in _DESCRIBING:
        i += 1
    end = i
    while end < len(tags) and (tags[end][:2] == "NN" or tags[end] == "NP0") and not (end > i and _may_be_verb(tags, end)):
        end += 1
    return end - 1 if end > i else None


def _may_be_verb(tags: Sequence[str], i: int) -> bool:
    """Whether the plural noun here may be a verb that the tagger took for one: a photograph blocks the view."""
    return tags[i] == "NN2" and i + 1 < len(tags) and tags[i + 1] in ("AT0", "DPS")


def _number(words: Sequence[str], tags: Sequence[str], head: int) -> str:
    """`singular`, `plural`, `mass`, or `any` where the noun does not tell."""
    lexicon, word = load_lexicon(), words[head]
    if word == "people" or word in lexicon.plural_only:
        return "plural"
    if word in lexicon.unchanged_plural or tags[head] == "NN0":
        return "any"
    if tags[head] == "NN2":
        return "plural"
    if tags[head] == "NN1":
        return "mass" if is_mass(singular(word)) else "singular"
    return "any"


def _disagrees(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the verb of the present tense here does not agree with the first noun of its clause."""
    if tags[i] not in _PRESENT or (tags[i] == "VVI" and i and tags[i - 1] in ("TO0", "VM0")) or _denied_or_asked(tags, i):
        return False
    start = i
    while start and not (tags[start - 1] in ("PUN", "CJS", "PNQ", "DTQ", "CJT") or tags[start - 1] in _PRESENT):
        start -= 1
    if start and tags[start - 1] in (*_PRESENT, "PNQ", "DTQ", "CJT"):
        return False  # whose subject stands elsewhere
    first = next(
        (k for k in range(start, i) if tags[k] == "PRP" or tags[k][:2] == "NN" or tags[k] in ("NP0", "EX0", "PNP")), None
    )
    if first is None or tags[first][:2] != "NN":
        return False
    while first + 1 < i and tags[first + 1][:2] == "NN":
        first += 1
    between = range(first + 1, i)
    if words[first] in _SOME_OF or any(words[k] in ("and", "or", "&", ",") for k in between):
        return False
    number = _number(words, tags, first)
    is_one = words[i] in _SINGULAR_VERBS or tags[i] in _PRESENT_SINGULAR
    return number in ("singular", "mass") if not is_one else number == "plural"


def _denied_or_asked(tags: Sequence[str], i: int) -> bool:
    return any(tag in ("VM0", "TO0", "VDB", "VDZ") for tag in tags[max(0, i - 2) : i])
