"""Word order from a file of frozen candidates: an image, its caption, and reorderings of the caption.

The protocol is that of ARO's order sets (Yuksekgonul et al. 2023): right if no reordering is nearer to the image, ties included.
The candidates are the user's own. ARO makes its own at random with the spaCy and NLTK versions at hand, so scores on
another file of candidates are not ARO's scores and are never named so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from degla.catalog import Card
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.registry import NoOptions, reader
from degla.text_files import check_distinct, read_json_lines, text_fields, text_list


@reader("word_order", NoOptions)
def read_word_order(card: Card, options: NoOptions) -> Benchmark:
    """Files: `annotations`, JSONL with `id`, `image` and `candidates` (the true caption first); `images`, their folder.

    Raises:
        DataError: a line is malformed, or an id is repeated; file and line are named.
    """
    path = card.file("annotations")
    rows = candidate_rows(path, read_json_lines(path))
    images, positions = file_images(card.file("images"), [image for _, image, _ in rows])
    items = [ChoiceItem(key, at, candidates) for (key, _, candidates), at in zip(rows, positions, strict=True)]
    return Benchmark((ChoiceSet(Path(path).stem, images, tuple(items), ties_are_right=True),))


def candidate_rows(path: Path, lines: Sequence[tuple[str, Any]]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Id, image and candidates of each line of the file. Raises DataError as `read_word_order` does."""
    rows = [_row(entry, where) for where, entry in lines]
    check_distinct([key for key, *_ in rows], path)
    return rows


def _row(entry: Any, where: str) -> tuple[str, str, tuple[str, ...]]:
    key, image = text_fields(entry, ("id", "image"), where)
    return key, image, text_list(entry, "candidates", where, least=2)
