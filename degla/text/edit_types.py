"""The negative type that an edit is nearest to, if the file does not say.

Read off tokens and part-of-speech tags. It decides which rules judge the edit, not whether it passes them: an edit that fits no
type gets the nearest, and the filter refuses it by that type's rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from degla.negative_types import Change, NegativeType, PartOfSpeech, types_that
from degla.text.edits import exchanged_stretches, folded, is_word
from degla.text.tokens import tokenize

_Edit = tuple[Change, PartOfSpeech | None]

_FEW = 3  # an exchange of two single words changes two places
_CHANGEABLE: tuple[PartOfSpeech, ...] = ("nouns", "adjectives")
_PARTS: Mapping[str, PartOfSpeech] = {"NN": "nouns", "NP": "nouns", "AJ": "adjectives"}  # by the start of a BNC C5 tag


def type_of_edit(tokens: Sequence[str], tags: Sequence[str], text: str) -> NegativeType:
    """The type of the edit from a caption to `text`: the first that makes such a change.

    The same words: an exchange of nouns or adjectives if two stretches of them are exchanged (one noun decides for a pair of
    single words of different parts of speech), else a reordering. Other words: a replacement of adjectives if only adjectives
    are gone, else of nouns; a reordering if words moved as well. Punctuation, case, and `a` for `an` are no change.

    Args:
        tokens: of the caption.
        tags: BNC C5, one for each token.
        text: the rewrite.
    """
    worded = [(folded(token), tag) for token, tag in zip(tokens, tags, strict=True) if is_word(token)]
    old, parts = [word for word, _ in worded], [_PARTS.get(tag[:2]) for _, tag in worded]
    new = [folded(token) for token in tokenize(text) if is_word(token)]
    change, of = _exchange(old, parts, new) if sorted(old) == sorted(new) else _replacement(old, parts, new)
    return types_that(change, of=of)[0]


def _exchange(old: Sequence[str], parts: Sequence[PartOfSpeech | None], new: Sequence[str]) -> _Edit:
    stretches = exchanged_stretches(old, new)
    if stretches is None:
        return "reorders", None
    found = {parts[place] for stretch in stretches for place in stretch}
    single_words = _num_changed(old, new) < _FEW
    of = next((part for part in _CHANGEABLE if found == {part} or (single_words and part in found)), None)
    return ("exchanges", of) if of else ("reorders", None)


def _replacement(old: Sequence[str], parts: Sequence[PartOfSpeech | None], new: Sequence[str]) -> _Edit:
    gone = Counter(old) - Counter(new)
    if len(old) == len(new) and _num_changed(old, new) > gone.total() + 1:
        return "reorders", None
    found = {part for word, part in zip(old, parts, strict=True) if word in gone}
    return "replaces", "adjectives" if found == {"adjectives"} else "nouns"


def _num_changed(old: Sequence[str], new: Sequence[str]) -> int:
    return sum(before != after for before, after in zip(old, new, strict=True))
