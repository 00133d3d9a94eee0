"""Reader `table`: a TSV or CSV file with a header, one row a caption, and an image folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from degla.catalog import Card
from degla.config import Config, validate
from degla.errors import DataError
from degla.prepare.readers import FolderSource, Skipped, group_captions

_LISTED_PROBLEMS = 5


class TableOptions(Config):
    """Options of a card that names the `table` reader."""

    image_column: str = "image"
    """Column with the image's file name below the image folder, which is also the image id."""

    caption_column: str = "caption"
    """Column with the caption."""

    where: dict[str, str] = {}
    """Read only rows with these values by column, such as `{split: train}`."""

    quoted: bool | None = None
    """Whether fields may be quoted, and then hold line breaks; by default yes in `.csv`, no in other files."""


def open_table(card: Card, captions_path: Path | None, images_path: Path | None) -> FolderSource:
    """Open a caption table. Captions are grouped by image, in order of the file.

    Raises:
        DataError: a column is missing, or lines are broken; names each by its number.
    """
    if captions_path is None:
        raise DataError(f"card {card.name!r}: the table reader needs a `captions` file")
    options = validate(TableOptions, card.options, f"card {card.name!r} options")
    skipped: list[Skipped] = []
    captions = group_captions(_rows(captions_path, options), skipped)
    if not captions:
        raise DataError(f"{captions_path}: no row has a caption (where: {options.where or 'all rows'})")
    return FolderSource(captions, {image_id: image_id for image_id in captions}, images_path, skipped)


def _rows(path: Path, options: TableOptions) -> Iterator[tuple[str, str, str]]:
    broken: list[str] = []
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected a file of captions")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        is_csv = path.suffix.lower() == ".csv"
        quoted = is_csv if options.quoted is None else options.quoted
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        reader = csv.reader(file, delimiter="," if is_csv else "\t", quoting=quoting)
        try:
            header = next(reader, [])
            columns = [options.image_column, options.caption_column, *options.where]
            missing = [name for name in columns if name not in header]
            if missing:
                found = ", ".join(header).encode(errors="replace").decode()[:200]
                raise DataError(f"{path}: no column {missing[0]!r}; the header has: {found or 'nothing'}")
            image, caption = header.index(options.image_column), header.index(options.caption_column)
            wanted = [(header.index(name), value) for name, value in options.where.items()]
            for row in reader:
                problem = _problem(row, len(header), image)
                if problem:
                    broken.append(f"line {reader.line_num}: {problem}")
                elif all(row[index] == value for index, value in wanted):
                    yield f"line {reader.line_num}", row[image], row[caption]
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not a table: {error}. Look for an unclosed quote.") from error
    if broken:
        listed = "; ".join(broken[:_LISTED_PROBLEMS])
        raise DataError(f"{path}: {len(broken)} broken line(s): {listed}. Fix or remove them.")


def _problem(row: list[str], width: int, image: int) -> str | None:
    if len(row) != width:
        return f"{len(row)} fields, the header has {width}"
    if not row[image].strip():
        return "no image name"
    if any("\udc80" <= character <= "\udcff" for field in row for character in field):
        return "is not UTF-8"
    return None
