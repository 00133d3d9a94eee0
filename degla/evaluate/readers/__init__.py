"""Readers: from a catalog card and its files to the records of `degla.evaluate.benchmark`, one module a format.

A reader checks what it reads and names what is wrong; whether an image can be opened shows when it is encoded.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from degla.catalog import Card
from degla.errors import ConfigError
from degla.evaluate.benchmark import Benchmark
from degla.evaluate.readers.aro import read_vg_attribution, read_vg_relation
from degla.evaluate.readers.caption_order import read_aro_order, read_caption_order
from degla.evaluate.readers.captions_table import read_captions_table
from degla.evaluate.readers.image_folder import read_image_folder, read_image_folder_probe
from degla.evaluate.readers.karpathy import read_karpathy
from degla.evaluate.readers.miniworld import read_miniworld
from degla.evaluate.readers.pairs import read_pairs
from degla.evaluate.readers.sugarcrepe import read_sugarcrepe
from degla.evaluate.readers.sugarcrepe_pp import read_sugarcrepe_pp
from degla.evaluate.readers.valse import read_valse
from degla.evaluate.readers.winoground import read_winoground
from degla.evaluate.readers.word_order import read_word_order
from degla.evaluate.readers.zero_shot_sets import read_linear_probe_set, read_zero_shot_set

Reader = Callable[[Card, Mapping[str, str]], Benchmark]
"""From a card and the paths (role to path) to use in place of the card's."""

READERS: dict[str, Reader] = {
    "aro_order": read_aro_order,
    "aro_vg_attribution": read_vg_attribution,
    "aro_vg_relation": read_vg_relation,
    "caption_order": read_caption_order,
    "captions_table": read_captions_table,
    "image_folder": read_image_folder,
    "image_folder_probe": read_image_folder_probe,
    "karpathy": read_karpathy,
    "linear_probe_set": read_linear_probe_set,
    "miniworld": read_miniworld,
    "pairs": read_pairs,
    "sugarcrepe": read_sugarcrepe,
    "sugarcrepe_pp": read_sugarcrepe_pp,
    "valse": read_valse,
    "winoground": read_winoground,
    "word_order": read_word_order,
    "zero_shot_set": read_zero_shot_set,
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
