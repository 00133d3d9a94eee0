"""Word order from a file of frozen candidates: an image, its caption, and reorderings of the caption.

The protocol is that of ARO's order sets (Yuksekgonul et al. 2023): right if no reordering is nearer to the image, ties included.
The candidates are the user's own. ARO makes its own at random with the spaCy and NLTK versions at hand, so scores on
another file of candidates are not ARO's scores and are never named so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from degla.catalog import Card
from degla.config import Config, validate
from degla.errors import DataError
from degla.evaluate.readers.json_files import text_fields
from degla.evaluate.records import Benchmark, ChoiceItem, ChoiceSet, file_images


class WordOrderOptions(Config):
    """A card with `reader: word_order` has no options."""


def read_word_order(card: Card, paths: Mapping[str, str]) -> Benchmark:
    """Files: `annotations`, JSONL with `id`, `image` and `candidates` (the true caption first); `images`, their folder.

    Raises:
        DataError: a line is not such an object, or an id comes twice; file and line are named.
    """
    validate(WordOrderOptions, card.options, f"card {card.name!r}, options")
    path = card.file("annotations", paths.get("annotations"))
    rows = read_candidates(path)
    images, positions = file_images(card.file("images", paths.get("images")), [image for _, image, _ in rows])
    items = [ChoiceItem(key, at, candidates) for (key, _, candidates), at in zip(rows, positions, strict=True)]
    return Benchmark((ChoiceSet(Path(path).stem, images, tuple(items), ties_are_right=True),))


def read_candidates(path: Path, skip: int = 0) -> list[tuple[str, str, tuple[str, ...]]]:
    """Id, image and candidates of each line after the first `skip`. Raises DataError as `read_word_order` does."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    numbered = list(enumerate(lines, start=1))[skip:]
    rows = [_parse(line, f"{path}, line {number}") for number, line in numbered]
    if not rows or len({key for key, _, _ in rows}) < len(rows):
        raise DataError(f"{path} has " + ("ids that come more than once; give each line its own" if rows else "no items"))
    return rows


def _parse(line: str, where: str) -> tuple[str, str, tuple[str, ...]]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    key, image = text_fields(entry, ("id", "image"), where)
    candidates = entry.get("candidates")
    if not isinstance(candidates, list) or len(candidates) < 2 or not all(isinstance(text, str) for text in candidates):
        raise DataError(f"{where}: candidates is {candidates!r}, expected a list of two or more texts, the true one first")
    return key, image, tuple(candidates)
