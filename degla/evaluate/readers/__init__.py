"""Readers: from a catalog card and its files to the records of `degla.evaluate.benchmark`, one module a format.

To add a format, add a module whose function is decorated with `@reader("name", Options)` (`registry`), and a card that
names it. Read `registry` and `word_order`, a short example. `match`, `choice` and `pairs` read any table, by columns that the
card names; `official` and `sources` hold what several readers share.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from degla.catalog import Card
from degla.config import validate
from degla.errors import ConfigError, MissingInputError
from degla.evaluate.benchmark import Benchmark
from degla.evaluate.readers.registry import READERS, Reader


@cache
def known_readers() -> dict[str, Reader]:
    """The readers of every module of this folder, by name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return READERS


def read_benchmark(card: Card) -> Benchmark:
    """Read a benchmark with the reader its card names. Whether its images can be opened shows when they are encoded.

    Raises:
        ConfigError: no such reader, or an option that the reader does not have.
        MissingInputError: a file is missing, or the files hold no set.
        DataError: a file is not what the reader expects.
    """
    found = known_readers().get(card.reader)
    if found is None:
        near = difflib.get_close_matches(card.reader, READERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"readers: {', '.join(READERS)}"
        raise ConfigError(f"card {card.name!r}: no benchmark reader {card.reader!r}; {hint}")
    benchmark = found.read(card, validate(found.options, card.options, f"card {card.name!r}, options"))
    if not benchmark.sets:
        raise MissingInputError(f"{card.name}: its files hold no items. Check its paths and options.")
    return benchmark
