"""Readers by the name that cards give: a module of this folder registers its own with `@reader`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Average, Benchmark

Options = TypeVar("Options", bound=Config)


class NoOptions(Config):
    """Of a card whose reader has no options."""


class Reader(NamedTuple):
    """How to read the files of a card."""

    read: Callable[..., Benchmark]
    """From the card and its options."""
    options: type[Config]
    averages: tuple[Average, ...]
    """Those that the benchmark has by its definition, whatever its files."""


READERS: dict[str, Reader] = {}


def reader(
    name: str, options: type[Options], averages: tuple[Average, ...] = ()
) -> Callable[[Callable[[Card, Options], Benchmark]], Callable[[Card, Options], Benchmark]]:
    """Register the decorated function for cards with `reader: <name>`; it is called with options of this class.

    Args:
        name: of the reader.
        options: class of its options.
        averages: which the benchmark has by its definition.
    """

    def register(read: Callable[[Card, Options], Benchmark]) -> Callable[[Card, Options], Benchmark]:
        READERS[name] = Reader(read, options, averages)
        return read

    return register
