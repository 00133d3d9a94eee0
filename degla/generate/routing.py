"""Decides by text and parts of speech which types a caption cannot have, so that no back end is asked for them."""

from __future__ import annotations

from collections.abc import Sequence

from degla.negative_types import TRAITS, NegativeType, PartOfSpeech

_LONGEST = 400  # characters
_MIN_ASCII = 0.9  # share of a caption's characters

_TAGS: dict[PartOfSpeech, str] = {"nouns": "NN", "adjectives": "AJ"}  # first letters of BNC C5


def unanswerable(caption: str, tokens: Sequence[str], tags: Sequence[str], negative_type: NegativeType) -> str | None:
    """Why a caption cannot have this type, or None: the text is unusable, or lacks the words to change."""
    if not tokens:
        return "the caption is empty"
    if len(caption) > _LONGEST:
        return f"the caption is longer than {_LONGEST} characters"
    if not caption.isprintable():
        return "the caption has control characters"
    if not caption.isascii() and sum(character.isascii() for character in caption) < _MIN_ASCII * len(caption):
        return "the caption is not in English letters"
    needed, part_of_speech = TRAITS[negative_type].needs
    found = sum(tag.startswith(_TAGS[part_of_speech]) for tag in tags)
    return f"needs {needed} {part_of_speech}, the caption has {found}" if found < needed else None
