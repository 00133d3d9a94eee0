"""Format `negclip`: NegCLIP's TSV (Yuksekgonul et al., arXiv 2210.01936): title, filepath and a Python list of negatives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from degla.errors import DataError
from degla.released.rows import ImportedRow
from degla.text_files import stream_delimited

_COLUMNS = ("title", "filepath", "neg_caption")


def read_negclip(path: Path) -> Iterator[ImportedRow]:
    """A row for each text in `neg_caption`, which is read as a literal and never evaluated.

    Raises:
        DataError: a column is missing, or a list cannot be read; names the row.
    """
    for number, (title, filepath, negatives) in stream_delimited(path, "\t", _COLUMNS):
        for text in _texts(negatives, f"{path}: row {number}"):
            yield ImportedRow(number, filepath or None, title, text)


def _texts(literal: str, where: str) -> list[str]:
    try:
        texts = ast.literal_eval(literal)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: `neg_caption` is {literal[:100]!r}, expected a list of texts") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: `neg_caption` is {literal[:100]!r}, expected a list of texts")
    return texts
