"""Which types of rewrite a caption cannot have, so that nobody is asked for them: by its text and its parts of speech.

Knows nothing of back ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from degla.schemas import NegativeType

_LONGEST = 400  # characters
_MIN_ASCII = 0.9  # share of a caption's characters

_NEEDED: dict[NegativeType, tuple[str, int, str]] = {
    "reshuffle": ("NN", 2, "nouns"),
    "swap_nouns": ("NN", 2, "nouns"),
    "swap_adjectives": ("AJ", 2, "adjectives"),
    "replace_nouns": ("NN", 1, "nouns"),
    "replace_adjectives": ("AJ", 1, "adjectives"),
}


def unanswerable(caption: str, tokens: Sequence[str], tags: Sequence[str], negative_type: NegativeType) -> str | None:
    """Why a caption cannot have this type at all, or None: it is no text to work on, or lacks the words to change."""
    if not tokens:
        return "the caption is empty"
    if len(caption) > _LONGEST:
        return f"the caption is longer than {_LONGEST} characters"
    if not caption.isprintable():
        return "the caption has control characters"
    if not caption.isascii() and sum(character.isascii() for character in caption) < _MIN_ASCII * len(caption):
        return "the caption is not in English letters"
    tag, needed, what = _NEEDED[negative_type]
    found = sum(each.startswith(tag) for each in tags)
    return f"needs {needed} {what}, the caption has {found}" if found < needed else None
