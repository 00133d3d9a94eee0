"""Which of the five types an edit is nearest to, where nobody says.

Read off tokens and part-of-speech tags. It is a name to be judged by, not a judgement: what fits none of the types gets the
nearest, and the filter then refuses it by that type's rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from degla.schemas import NegativeType
from degla.text.edits import exchanged_stretches, folded, is_word
from degla.text.tokens import tokenize

_FEW = 3  # places that must change before the filter takes it for a reshuffle


def type_of_edit(tokens: Sequence[str], tags: Sequence[str], text: str) -> NegativeType:
    """The type of the edit from a caption to `text`.

    The same words: `swap_nouns` or `swap_adjectives` where two stretches of nouns, or of adjectives, are exchanged (of a
    single pair that differs in kind, a noun decides), else `reshuffle`. Other words: `replace_adjectives` where all
    that is gone was adjectives, else `replace_nouns`; `reshuffle` where words were moved as well. Punctuation, case, and
    `a` for `an` are no change.

    Args:
        tokens: of the caption.
        tags: BNC C5, one for each token.
        text: the rewrite.
    """
    worded = [(folded(token), tag) for token, tag in zip(tokens, tags, strict=True) if is_word(token)]
    old, kinds = [word for word, _ in worded], [tag[:2] for _, tag in worded]
    new = [folded(token) for token in tokenize(text) if is_word(token)]
    if sorted(old) == sorted(new):
        return _type_of_move(old, kinds, new)
    return _type_of_replacement(old, kinds, new)


def _type_of_move(old: Sequence[str], kinds: Sequence[str], new: Sequence[str]) -> NegativeType:
    stretches = exchanged_stretches(old, new)
    if stretches is None:
        return "reshuffle"
    found = {_kind(kinds[place]) for stretch in stretches for place in stretch}
    a_pair = sum(before != after for before, after in zip(old, new, strict=True)) < _FEW
    if found == {"noun"} or (a_pair and "noun" in found):
        return "swap_nouns"
    if found == {"adjective"} or (a_pair and "adjective" in found):
        return "swap_adjectives"
    return "reshuffle"


def _type_of_replacement(old: Sequence[str], kinds: Sequence[str], new: Sequence[str]) -> NegativeType:
    gone = Counter(old) - Counter(new)
    if len(old) == len(new):
        num_changed = sum(before != after for before, after in zip(old, new, strict=True))
        if num_changed > gone.total() + 1:
            return "reshuffle"
    found = {_kind(kind) for word, kind in zip(old, kinds, strict=True) if word in gone}
    return "replace_adjectives" if found == {"adjective"} else "replace_nouns"


def _kind(tag: str) -> str:
    return {"NN": "noun", "NP": "noun", "AJ": "adjective"}.get(tag, "other")
