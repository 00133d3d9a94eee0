"""Readers: from a catalog card and its files to the records of `degla.evaluate.records`, one module a format.

A reader checks what it reads and names what is wrong; whether an image can be opened shows when it is encoded.
Called by `degla.evaluate.stage` through `read_benchmark`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from degla.catalog import Card
from degla.errors import ConfigError
from degla.evaluate.readers.captions_table import read_captions_table
from degla.evaluate.readers.image_folder import read_image_folder
from degla.evaluate.readers.miniworld import read_miniworld
from degla.evaluate.readers.sugarcrepe import read_sugarcrepe
from degla.evaluate.readers.word_order import read_word_order
from degla.evaluate.records import Benchmark

Reader = Callable[[Card, Mapping[str, str]], Benchmark]
"""From a card and the paths (role to path) to use in place of the card's."""

READERS: dict[str, Reader] = {
    "captions_table": read_captions_table,
    "image_folder": read_image_folder,
    "miniworld": read_miniworld,
    "sugarcrepe": read_sugarcrepe,
    "word_order": read_word_order,
}


def read_benchmark(card: Card, paths: Mapping[str, str]) -> Benchmark:
    """Read a benchmark with the reader its card names.

    Raises:
        ConfigError: there is no such reader, or it does not know an option of the card.
        InputError: a file is missing or is not what the reader expects.
    """
    reader = READERS.get(card.reader)
    if reader is None:
        near = difflib.get_close_matches(card.reader, READERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(READERS)}"
        raise ConfigError(f"card {card.name!r}: no benchmark reader {card.reader!r}; {hint}")
    return reader(card, paths)
