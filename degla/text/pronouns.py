"""Pronouns: whom a "his" or "itself" may stand for, and the pronoun that stands for another one instead.

An antecedent is a noun that stands before its pronoun and fits it in number and sex. Knows nothing of rewrites.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from degla.text.inflection import singular
from degla.text.kinds import noun_kinds
from degla.text.lexicon import load_lexicon
from degla.text.wordnet import load_wordnet

Kind = Literal["he", "she", "it", "they"]

_MEMORY = 1 << 16
_ROWS: tuple[dict[Kind, str], ...] = (
    {"he": "he", "she": "she", "it": "it", "they": "they"},
    {"he": "him", "she": "her", "it": "it", "they": "them"},
    {"he": "his", "she": "her", "it": "its", "they": "their"},
    {"he": "himself", "she": "herself", "it": "itself", "they": "themselves"},
)
_KINDS: dict[str, Kind] = {form: kind for row in _ROWS for kind, form in row.items()}
_OBJECT, _POSSESSIVE = _ROWS[1], _ROWS[2]
_MUTUAL = frozenset((("each", "other"), ("one", "another")))
_GROUPS = frozenset(("group", "couple", "pair", "crowd", "family", "team", "herd", "flock", "bunch", "crew", "band", "trio"))
_MALE, _FEMALE = frozenset(("male", "kinsman", "male parent")), frozenset(("female", "kinswoman", "female parent"))
_OF_CONCEPTS: dict[str, Kind] = {"man": "he", "boy": "he", "woman": "she", "girl": "she"}
_OF_ENDINGS: dict[str, Kind] = {"woman": "she", "man": "he", "ess": "she"}
_MOSTLY = 0.5  # share of a noun's uses for one sex

PRONOUNS = frozenset(_KINDS)
"""Lower-case pronouns of the third person."""
MAY_REFER = PRONOUNS | {"each", "one"}
"""Lower-case words of which every text has one that says of somebody what stands before."""


def row_of(word: str, tag: str) -> dict[Kind, str]:
    """The pronouns that may stand where this one does; "her" is a possessive by its tag."""
    if word == "her":
        return _POSSESSIVE if tag == "DPS" else _OBJECT
    return next(row for row in _ROWS if word in row.values())


def kind_of(pronoun: str) -> Kind:
    """Whom a pronoun stands for."""
    return _KINDS[pronoun]


def num_unbound(words: Sequence[str], tags: Sequence[str]) -> int:
    """How many pronouns have nothing before them that they may stand for.

    Args:
        words: lower-case.
        tags: their part-of-speech tags.
    """
    referring = (i for i, word in enumerate(words) if word in _KINDS or tuple(words[i : i + 2]) in _MUTUAL)
    return sum(not _is_bound(words, tags, i) for i in referring)


def _is_bound(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    kind = _KINDS.get(words[i])
    if kind in (None, "they") and any(word in ("and", "&") for word in words[:i]):
        return True
    return any(
        _fits(kind, words[k], tags[k]) for k in range(i) if tags[k][:2] in ("NN", "NP", "PN") or _is_misread(words, tags, k)
    )


def _is_misread(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether a noun was taken for an adjective that describes nothing: a husky has its paw."""
    return tags[i] == "AJ0" and tags[i + 1][:2] not in ("AJ", "NN") and words[i] in noun_kinds()


def _fits(kind: Kind | None, noun: str, tag: str) -> bool:
    """Whether a pronoun may stand for this noun; None is "each other"."""
    if tag[:2] in ("NP", "PN") and noun not in _KINDS:
        return True
    if noun in _KINDS:
        return _KINDS[noun] == kind
    if noun in _GROUPS or tag == "NN0" or noun in load_lexicon().unchanged_plural:
        return True
    many = tag == "NN2" or noun == "people" or noun in load_lexicon().plural_only
    what = noun_kinds().get(singular(noun), "")
    if kind in (None, "they"):
        return many or (kind == "they" and what == "noun.person")
    if many:
        return False
    if kind == "it":
        return what != "noun.person"
    return what in ("noun.person", "noun.animal", "noun.group", "") and sex(singular(noun)) in (None, kind)


def kind_for(noun: str, tag: str) -> Kind | None:
    """The pronoun of a noun; None where several fit."""
    if noun in _GROUPS or tag not in ("NN1", "NN2"):
        return None
    if tag == "NN2":
        return "they"
    what = noun_kinds().get(noun, "")
    return sex(noun) if what == "noun.person" else "it" if what else None


@lru_cache(_MEMORY)
def sex(noun: str) -> Kind | None:
    """`he` or `she` for a noun in the singular that names mostly men, or mostly women."""
    concepts = load_lexicon().concepts("nouns", noun)
    known = _OF_CONCEPTS.get(concepts[0].words[0]) if concepts else None
    if known or noun_kinds().get(noun) != "noun.person":
        return known
    for ending, of_one in _OF_ENDINGS.items():
        if noun.endswith(ending):
            return of_one
    wordnet = load_wordnet()
    shares = dict.fromkeys(("he", "she"), 0.0)
    for sense in wordnet.senses("nouns", noun):
        if sense.lexname == "noun.person":
            above = {word for synset in wordnet.levels_above(sense.synset) for word in wordnet.words(synset)}
            shares["he"] += sense.share * bool(above & _MALE and not above & _FEMALE)
            shares["she"] += sense.share * bool(above & _FEMALE and not above & _MALE)
    return "he" if shares["he"] >= _MOSTLY else "she" if shares["she"] >= _MOSTLY else None
