"""Ways to rewrite a caption, put in order: the best first, spread over the places of the caption before its words.

Knows no grammar.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from itertools import islice, zip_longest
from random import Random
from typing import NamedTuple

from degla.negative_types import NegativeType
from degla.text.edits import what_is_said


class Option(NamedTuple):
    """One way to rewrite a caption."""

    score: float
    """How good, among the options of the same type and caption."""
    place: Hashable
    """What of the caption it changes."""
    make: Callable[[], str | None]
    """Writes the text; None where that turns out not to be well formed."""


class Chance:
    """Chance that is the same whenever and wherever a caption is rewritten in one way."""

    def __init__(self, caption: str, negative_type: NegativeType) -> None:
        self._caption, self._type = caption, negative_type

    @cached_property
    def random(self) -> Callable[[], float]:
        """Draws of [0, 1). Seeded when first asked for, which takes 5 µs: many captions and types have nothing to draw."""
        digest = hashlib.blake2b(f"{self._type}|{self._caption}".encode("utf-8", "replace"), digest_size=8).digest()
        return Random(int.from_bytes(digest, "big")).random


def ordered(options: Iterable[Option], rng: Chance) -> Iterator[Option]:
    """One option of each place in turn, both by score and, where that is equal, by chance."""
    found = list(options)
    if len(found) > 1:
        found.sort(key=lambda option: (-option.score, rng.random()))
    places: dict[Hashable, list[Option]] = {}
    for option in found:
        places.setdefault(option.place, []).append(option)
    for turn in zip_longest(*places.values()):
        yield from (option for option in turn if option is not None)


class Rewrites:
    """The distinct texts of options, made when they are first asked for.

    Args:
        caption: not one of the texts.
        options: in their order.
    """

    def __init__(self, caption: str, options: Iterable[Option]) -> None:
        self._known = {what_is_said(caption)}
        self._options = iter(options)
        self._texts: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Each text, and what it says (`what_is_said`)."""
        i = 0
        while i < len(self._texts) or self._make_next():
            yield self._texts[i]
            i += 1

    def after(self, i: int, together: int) -> tuple[str, ...]:
        """The texts after the i-th in its group of so many."""
        return tuple(text for text, _ in islice(self, i + 1, i - i % together + together))

    def _make_next(self) -> bool:
        for option in self._options:
            text = option.make()
            if text is not None and (said := what_is_said(text)) not in self._known:
                self._known.add(said)
                self._texts.append((text, said))
                return True
        return False
