"""Tokens of a caption: words, numbers and punctuation marks, with their places in the text.

A word keeps its inner hyphens ("t-shirt"); a possessive or contracted ending is a token of its own ("woman", "'s"). The
pattern is written twice, for Python and for DuckDB's regular expressions, and a test holds the two together, so that a
filter in SQL sees the very tokens that were tagged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENDING = r"['’](?:[sStTdDmM]|ll|re|ve)\b"
_FORM = r"[0-9]+(?:[.,:/][0-9]+)+|{w}+(?:-{w}+)*|" + _ENDING + r"|\.\.+|{other}"

SQL_PATTERN = _FORM.format(w=r"[\p{L}\p{N}]", other=r"[^\s\p{L}\p{N}]")
"""The token pattern in DuckDB's dialect (RE2)."""

_LONG = 3  # letters; titles keep shorter words small

_PATTERN = re.compile(_FORM.format(w=r"[^\W_]", other=r"[^\s]"))


def tokenize(text: str) -> list[str]:
    """The tokens of a text, as written.

    >>> tokenize("The woman's t-shirt costs 3.50, doesn't it?")
    ['The', 'woman', "'s", 't-shirt', 'costs', '3.50', ',', 'doesn', "'t", 'it', '?']
    """
    return _PATTERN.findall(text)


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each token in the text, in characters: `text[start:end]` is the token."""
    return [match.span() for match in _PATTERN.finditer(text)]


def is_title_case(tokens: Sequence[str]) -> bool:
    """Whether nearly all longer words begin with a capital, so that capitals tell nothing."""
    words = [token for token in tokens if token[0].isalpha() and len(token) >= _LONG]
    return len(words) > 1 and sum(word[0].isupper() for word in words) > 0.8 * len(words)
