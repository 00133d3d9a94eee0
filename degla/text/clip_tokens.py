"""How many of CLIP's 77 tokens a text takes, by open_clip's own tokenizer, for the few texts long enough to matter."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

CONTEXT = 77
"""Tokens that CLIP reads of a text, start and end included."""

SHORT = 200
"""Characters of an English text that surely fits: the tokenizer, whose import takes seconds, is not asked about it."""


def num_clip_tokens(text: str) -> int:
    """The tokens of a text, start and end included."""
    return len(_encoder()(text)) + 2


def exceeds_clip(text: str) -> bool:
    """Whether CLIP cannot read the text to its end."""
    return len(text) > SHORT and num_clip_tokens(text) > CONTEXT


@lru_cache(1)
def _encoder() -> Callable[[str], list[int]]:
    from open_clip import SimpleTokenizer

    return SimpleTokenizer().encode
