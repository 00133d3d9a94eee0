"""Readers by the name that cards give: a module of this folder registers its own with `@reader`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Benchmark

Options = TypeVar("Options", bound=Config)


class NoOptions(Config):
    """Of a card whose reader has no options."""


class Reader(NamedTuple):
    """How to read the files of a card."""

    read: Callable[..., Benchmark]
    """From the card and its options."""
    options: type[Config]


READERS: dict[str, Reader] = {}


def reader(
    name: str, options: type[Options]
) -> Callable[[Callable[[Card, Options], Benchmark]], Callable[[Card, Options], Benchmark]]:
    """Register the decorated function for cards with `reader: <name>`; it is called with options of this class.

    Args:
        name: of the reader.
        options: class of its options.
    """

    def register(read: Callable[[Card, Options], Benchmark]) -> Callable[[Card, Options], Benchmark]:
        READERS[name] = Reader(read, options)
        return read

    return register
