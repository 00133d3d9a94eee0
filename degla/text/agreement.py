"""Agreement: whether determiners, verbs and pronouns go with their nouns, and the forms that do when words change places.

Reads words and part-of-speech tags; silent where a number is not certain. Knows nothing of rewrites but their words.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from degla.text.inflection import singular
from degla.text.kinds import noun_kinds
from degla.text.lexicon import load_lexicon
from degla.text.pronouns import MAY_REFER, PRONOUNS, kind_for, kind_of, num_unbound, row_of

_MEMORY = 1 << 16
_PAIRS = (("is", "are"), ("was", "were"), ("has", "have"), ("does", "do"), ("this", "these"), ("that", "those"), ("much", "many"))
_OTHER_FORM = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
_SINGULAR_VERBS = frozenset(one for one, _ in _PAIRS[:4])
PRESENT = frozenset(("VVZ", "VVB", "VVI", "VBZ", "VBB", "VBD", "VHZ", "VHB", "VDZ", "VDB"))
"""Tags of verbs that have a number."""
_PRESENT_SINGULAR = frozenset(("VVZ", "VBZ", "VHZ", "VDZ"))
_OF_ONE = frozenset(("a", "an", "one", "this", "each", "every", "another", "much"))
_OF_MANY = frozenset(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "many", "several", "few", "both"))
_OF_MANY_TOO = frozenset(("these", "those"))
_NUMBERED = _OF_ONE | _OF_MANY | _OF_MANY_TOO
_OPENING = frozenset(("PUN", "CJS", "PNQ", "DTQ", "CJT"))
_DESCRIBING = frozenset(("AJ0", "AJC", "AJS", "ORD", "CRD", "VVN", "VVG", "AV0"))
SOME_OF = frozenset(("crowd", "group", "herd", "flock", "pair", "couple", "bunch", "number", "lot", "row", "team", "set", "line"))
"""Nouns for several of what follows "of"."""


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
    """The new words with the verbs, determiners and pronouns that have another form than in the caption put back into its form.

    Args:
        words: the caption's, lower-case.
        tags: their part-of-speech tags.
        new: words of a rewrite, lower-case.
    """
    gone = [(word, _forms(word, tag)) for word, tag in zip(words, tags, strict=True) if word not in new]
    found = []
    for word in new:
        at = next((k for k, (_, forms) in enumerate(gone) if word in forms), None) if word not in words else None
        found.append(word if at is None else gone.pop(at)[0])
    return found


def _forms(word: str, tag: str) -> Collection[str]:
    """What a word of a caption may become beside other nouns."""
    if word in PRONOUNS:
        return row_of(word, tag).values()
    return (other_number(word),) if tag in PRESENT or word in _OTHER_FORM else ()


def agrees(words: Sequence[str], tags: Sequence[str], new: Sequence[str]) -> bool:
    """Whether new words, in the order of a rewrite, agree in number wherever the caption's do, and its pronouns have somebody to
    stand for wherever the caption's have.

    Args:
        words: the caption's, lower-case.
        tags: their part-of-speech tags.
        new: the rewrite's, lower-case; those that the caption has in another form have its tags.
    """
    kinds = dict(zip(reversed(words), reversed(tags), strict=True))
    old_forms = as_in(words, tags, new)
    new_tags = [_in_number(word, old, kinds.get(old) or _tag_of(word)) for word, old in zip(new, old_forms, strict=True)]
    before, after = (tuple(words), tuple(tags)), (tuple(new), tuple(new_tags))
    return _faults(*after) <= _faults(*before) and (MAY_REFER.isdisjoint(new) or num_unbound(*after) <= num_unbound(*before))


def _tag_of(word: str) -> str:
    """The tag of a noun that the caption lacks."""
    if singular(word) not in noun_kinds():
        return "XX0"
    return "NN1" if singular(word) == word else "NN2"


def re_inflected(words: Sequence[str], tags: Sequence[str], order: Sequence[int]) -> dict[int, str] | None:
    """The verbs and pronouns of a caption that need another form when its words change places, by their places in it.

    Args:
        words: the caption's, lower-case.
        tags: their part-of-speech tags.
        order: the caption's places in the order of the rewrite.

    Returns:
        None if what a verb belongs to, or whom a pronoun stands for, is not certain.

    >>> re_inflected(["two", "dogs", "chase", "a", "cat"], ["CRD", "NN2", "VVB", "AT0", "NN1"], [3, 4, 2, 0, 1])
    {2: 'chases'}
    """
    new, new_tags = [words[k] for k in order], [tags[k] for k in order]
    verbs = _other_verbs(words, tags, order, new, new_tags)
    if verbs is None or MAY_REFER.isdisjoint(words) or num_unbound(new, new_tags) <= num_unbound(words, tags):
        return verbs
    noun = next((i for i, tag in enumerate(new_tags) if tag[:2] == "NN"), None)
    kind = None if noun is None or order[noun] == noun else kind_for(new[noun], new_tags[noun])
    if noun is None or kind is None or len({kind_of(word) for word in words if word in PRONOUNS}) > 1:
        return None
    pronouns = {k: row_of(new[i], tags[k])[kind] for i, k in enumerate(order) if new[i] in PRONOUNS and i > noun}
    after = [(verbs | pronouns).get(k, words[k]) for k in order]
    return verbs | pronouns if num_unbound(after, new_tags) <= num_unbound(words, tags) else None


def _other_verbs(
    words: Sequence[str], tags: Sequence[str], order: Sequence[int], new: Sequence[str], new_tags: Sequence[str]
) -> dict[int, str] | None:
    found = {}
    for i, k in enumerate(order):
        if not _is_finite(new_tags, i):
            continue
        number = _number_of_subject(new, new_tags, i)
        if number == "unknown" or _disagrees(words, tags, k):
            if _numbers(words, tags) != _numbers(new, new_tags):
                return None
        elif _disagrees(new, new_tags, i) or (number == "group" and not _is_one(words, tags, k)):
            found[k] = other_number(words[k])
    return found


def _numbers(words: Sequence[str], tags: Sequence[str]) -> list[str]:
    """The numbers of the nouns, in order."""
    return [_number(words, tags, i) for i, tag in enumerate(tags) if tag[:2] == "NN"]


def _in_number(word: str, old: str, tag: str) -> str:
    """The tag of a verb that was put into the other number."""
    if word == old or tag not in PRESENT or tag == "VBD":
        return tag
    return f"{tag[:2]}B" if tag[2] == "Z" else f"{tag[:2]}Z"


@lru_cache(_MEMORY)
def _faults(words: tuple[str, ...], tags: tuple[str, ...]) -> int:
    places = [i for i, (word, tag) in enumerate(zip(words, tags, strict=True)) if word in _NUMBERED or tag in PRESENT]
    return sum(_misnumbered(words, tags, i) or _disagrees(words, tags, i) for i in places)


def _misnumbered(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the determiner here contradicts the noun that it belongs to."""
    if words[i] not in _NUMBERED:
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
        return "plural" if _is_counted(words, tags, head) else "any"
    if tags[head] == "NN2":
        return "plural"
    if tags[head] == "NN1":
        return "mass" if is_mass(singular(word)) else "singular"
    return "any"


def _is_counted(words: Sequence[str], tags: Sequence[str], head: int) -> bool:
    """Whether what stands before a noun makes it several (two brown sheep)."""
    while head and words[head - 1] not in _NUMBERED and tags[head - 1] in _DESCRIBING:
        head -= 1
    return head > 0 and words[head - 1] in _OF_MANY | _OF_MANY_TOO


def _disagrees(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the verb of the present tense here does not agree with its subject."""
    if not _is_finite(tags, i):
        return False
    number = _number_of_subject(words, tags, i)
    return number == "plural" if _is_one(words, tags, i) else number in ("singular", "mass")


def _is_one(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the verb here is in the singular."""
    return words[i] in _SINGULAR_VERBS or tags[i] in _PRESENT_SINGULAR


def _is_finite(tags: Sequence[str], i: int) -> bool:
    """Whether a verb stands here that has the number of its subject."""
    return tags[i] in PRESENT and not (tags[i] == "VVI" and i and tags[i - 1] in ("TO0", "VM0")) and not _denied_or_asked(tags, i)


def _number_of_subject(words: Sequence[str], tags: Sequence[str], i: int) -> str:
    """The number of a verb's subject: the first noun of its clause, the noun before "that", the noun after "there is", or the
    subject of the verb before "and". `any` for a list, `group` for a group of several, `unknown` if it is not certain."""
    if i and tags[i - 1] == "EX0":
        head = _head(tags, i + 1 + any(tag in ("AT0", "DT0") for tag in tags[i + 1 : i + 2]))
        return "unknown" if head is None or "and" in words[head + 1 : head + 2] else _number_of(words, tags, head)
    start = i
    while start and not (tags[start - 1] in _OPENING or tags[start - 1] in PRESENT):
        start -= 1
    if start == i and i > 1 and tags[i - 1] in ("PNQ", "DTQ", "CJT") and tags[i - 2][:2] == "NN":
        return _number_of(words, tags, i - 2)
    if start and tags[start - 1] in PRESENT and words[i - 1] == "and":
        return _number_of_subject(words, tags, start - 1)
    if start and tags[start - 1] in (*PRESENT, "PNQ", "DTQ", "CJT"):
        return "unknown"  # its subject stands elsewhere
    first = next(
        (k for k in range(start, i) if tags[k] == "PRP" or tags[k][:2] == "NN" or tags[k] in ("NP0", "EX0", "PNP")), None
    )
    if first is None or tags[first][:2] != "NN":
        return "unknown"
    while first + 1 < i and tags[first + 1][:2] == "NN":
        first += 1
    listed = any(words[k] in ("and", "or", "&", ",") for k in range(first + 1, i))
    return "any" if listed else _number_of(words, tags, first)


def _number_of(words: Sequence[str], tags: Sequence[str], head: int) -> str:
    return ("group" if tags[head] == "NN1" else "any") if words[head] in SOME_OF else _number(words, tags, head)


def _denied_or_asked(tags: Sequence[str], i: int) -> bool:
    return any(tag in ("VM0", "TO0", "VDB", "VDZ") for tag in tags[max(0, i - 2) : i])
