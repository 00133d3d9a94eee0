"""What an edit did to the words of a caption, read off tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


def is_word(token: str) -> bool:
    """Whether the token is more than punctuation."""
    return token.isalnum() or any(sign.isalnum() for sign in token)


def folded(token: str) -> str:
    """The token without what is no change: in lower case, and `a` for `an`."""
    word = token.lower()
    return "a" if word == "an" else word


@lru_cache(1 << 16)  # a caption's texts are compared with each new one
def what_is_said(text: str) -> str:
    """The text without letter case, spacing and closing punctuation: two texts that say the same are one rewrite."""
    return " ".join(text.casefold().split()).rstrip(" .,;:!?")


def exchanged_stretches(old: Sequence[str], new: Sequence[str]) -> tuple[range, range] | None:
    """The places in `old` of the two shortest stretches X, Z where `old` is ..X M Z.. and `new` is ..Z M X.., or None."""
    changed = [place for place, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
    if not changed:
        return None
    start, stop = changed[0], changed[-1] + 1
    x, y = list(old[start:stop]), list(new[start:stop])
    size = len(x)
    fitting = [
        (first + second, first, second)
        for first in range(1, size)
        for second in range(1, size - first + 1)
        if x[:first] == y[size - first :]
        and x[size - second :] == y[:second]
        and x[first : size - second] == y[second : size - first]
    ]
    if not fitting:
        return None
    _, first, second = min(fitting)
    return range(start, start + first), range(stop - second, stop)
