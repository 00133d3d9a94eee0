"""Decides by text and parts of speech what captions cannot have, so that no back end is asked for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from degla.judge.judge import MAX_TOKENS
from degla.negative_types import TRAITS, NegativeType, PartOfSpeech
from degla.text.clip_tokens import CONTEXT, exceeds_clip
from degla.text.edits import is_word
from degla.text.language import foreign_language

_TAGS: dict[PartOfSpeech, str] = {"nouns": "NN", "adjectives": "AJ"}  # first letters of BNC C5
_CONTROLS = frozenset(("Cc", "Cs", "Cn", "Co", "Zl", "Zp"))  # Unicode categories; invisible joiners (Cf) stand in emoji


def unusable(caption: str, tokens: Sequence[str]) -> str | None:
    """Why nobody is asked about a caption at all, as `name: reason`, or None. It takes 20 µs, so it is found once a caption."""
    if not tokens:
        return "empty: the caption is empty"
    if not caption.isprintable() and any(unicodedata.category(sign) in _CONTROLS for sign in caption):
        return "control_characters: the caption has control characters"
    words = sum(map(is_word, tokens))
    if words > MAX_TOKENS:
        return f"too_long: the caption has {words} words, and a rewrite may have {MAX_TOKENS}"
    if exceeds_clip(caption):
        return f"too_long: the caption has more than the {CONTEXT} tokens that CLIP reads"
    language = foreign_language(caption)
    return f"not_english: the caption is in another language ({language})" if language else None


def unanswerable(tags: Sequence[str], negative_type: NegativeType) -> str | None:
    """Why a usable caption cannot have this type, or None: it lacks the words to change."""
    needed, part_of_speech = TRAITS[negative_type].needs
    found = _count(tuple(tags), _TAGS[part_of_speech])
    return f"needs {needed} {part_of_speech}, the caption has {found}" if found < needed else None


@lru_cache(len(_TAGS))  # a caption is looked at for one type after the other
def _count(tags: tuple[str, ...], beginning: str) -> int:
    return sum(tag.startswith(beginning) for tag in tags)
