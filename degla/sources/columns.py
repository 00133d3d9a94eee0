"""Which column is what, in every format of rows, and the record that a row makes.

Columns are found by the names that are in use, else by what is in them. Two that could be meant are refused.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from degla.errors import DataError
from degla.negative_types import NEGATIVE_TYPES
from degla.sources.options import Column, SourceOptions
from degla.sources.records import ImageBytes, Negative, Record
from degla.text_files import nearest_key, shown

Row = Mapping[Any, Any]

_IMAGE_NAMES = (  # the first that a file has is its image
    *("file_name", "filename", "filepath", "file_path", "image", "image_path", "image_file", "image_name", "img", "img_path"),
    *("image_filename", "image_id", "imageid", "img_id", "photo", "picture", "path", "file", "key", "image_url", "url"),
)
_CAPTION = re.compile(r"(captions?|texts?|title|sentences?|comment|raw|original|description|alt_text|true_caption)(?:_?\d+)?")
_NEGATIVE = re.compile(
    r"(?:hard_)?neg(?:ative)?s?(?:_(?:captions?|texts?))?(?:_?\d+)?|\w+_aug_caption|(?:caption|text)_neg(?:ative)?(?:_?\d+)?"
    r"|enhanced|rewrites?|false_captions?|foil|" + "|".join(NEGATIVE_TYPES)
)
_NUMBERED = re.compile(r"_?\d+$")
_SPLIT, _TYPES, _GENERATOR = "split", ("type", "negative_type"), "generator"
_TEXT_FIELDS = ("text", "caption", "raw", "negative", "rewrite", "phrase", "value")
_IMAGE_VALUE = re.compile(r"^https?://|\.(?:jpe?g|png|webp|gif|bmp|tiff?)(?:[?#]\S*)?$", re.IGNORECASE)
_MOSTLY = 0.9
_WORDS = 2  # of a caption at the least, on average


def choose_columns(
    names: Sequence[Column], rows: Sequence[Row], options: SourceOptions, where: str, has_image: bool = True
) -> tuple[SourceOptions, list[str]]:
    """The options with every column named, and what is to be said.

    Args:
        names: the columns in order: names, or numbers from 1.
        rows: the first of the file.
        options: those that are set are checked against `names`.
        where: the file, for errors.
        has_image: whether a column names the image.

    Raises:
        DataError: a column that is set is not there, or one cannot be told; names the setting.
    """
    image: Column = ""
    if has_image:
        image = _known(options.image_column, names, where) if options.image_column != "" else _image(names, rows)
    captions = tuple(_known(name, names, where) for name in options.caption_columns())
    negatives = tuple(_known(name, names, where) for name in options.negative_columns())
    negatives = negatives or tuple(name for name in names if _is(_NEGATIVE, name) and name not in captions)
    captions = captions or _captions(names, rows, {image, *negatives}, where)
    split = _known(options.split_column, names, where) if options.split_column != "" else _SPLIT if _SPLIT in names else ""
    kind = _known(options.type_column, names, where) if options.type_column != "" else _type_column(names, rows)
    for name in options.where:
        _known(name, names, where)
    lists = tuple(_known(name, names, where) for name in options.list_columns())
    if options.list_column is None:
        lists = tuple(name for name in (*captions, *negatives) if _holds_lists(rows, name))
    chosen: dict[str, Any] = {"image_column": image, "caption_column": captions, "negative_column": negatives}
    chosen |= {"split_column": split, "type_column": kind, "list_column": lists or options.list_column}
    said = [f"image: {_shown(image)}; captions: {_listed(captions)}"] if image != "" else [f"captions: {_listed(captions)}"]
    if negatives:
        said.append(f"negatives: {_listed(negatives)}")
    if lists and options.list_column is None:
        said.append(f"each text of {_listed(lists)} is a list of texts (list_column)")
    return options.model_copy(update=chosen), said


def looks_like_header(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> bool | None:
    """Whether the first row has names and not data; None if neither can be told.

    Args:
        cells: the first row.
        rows: those below it.
    """
    if any(map(is_image_value, cells)):
        return False
    if any(_plain(cell) in _IMAGE_NAMES for cell in cells) or sum(_is(_CAPTION, cell) for cell in cells) > 0:
        return True
    has_images = any(_share(is_image_value, column) >= _MOSTLY for column in zip(*rows, strict=False))
    return True if has_images else None


class RowReader:
    """Makes records of rows.

    Args:
        options: with all columns named, see `choose_columns`.
    """

    def __init__(self, options: SourceOptions) -> None:
        self.options = options
        self._captions, self._negatives, self._lists = (
            options.caption_columns(),
            options.negative_columns(),
            options.list_columns(),
        )

    def record(
        self, row: Row, number: int, where: str, image: str | None = None, inside: ImageBytes | None = None
    ) -> Record | None:
        """The record of a row, whose image is "" if its cell is empty; None if `where` leaves it out.

        Args:
            row: column to value.
            number: of the row, from 1.
            where: file and row, for errors.
            image: its name, if no column has it.
            inside: the image itself, if the file holds it.

        Raises:
            DataError: a value is of the wrong kind; names the row and the column.
        """
        options = self.options
        if options.where and any(str(row.get(name)) != value for name, value in options.where.items()):
            return None
        image = self._image(row, where) if image is None else image
        captions = tuple(each.text for name in self._captions for each in self._texts(row, name, where))
        negatives = tuple(self._negatives_of(row, where)) if self._negatives else ()
        split = str(row.get(options.split_column) or "")
        return Record(where, number, image, captions, negatives, split, "" if inside else image, inside, row)

    def _image(self, row: Row, where: str) -> str:
        name = self.options.image_column
        if name == "":
            return ""
        value = row.get(name)
        if isinstance(value, Mapping):  # Hugging Face's image: bytes and path
            value = value.get("path")
        if value is None:
            return ""
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value).strip()
        raise DataError(f"{where}: {_shown(name)} is {shown(value)}, expected an image's name or number")

    def _negatives_of(self, row: Row, where: str) -> Iterator[Negative]:
        names = (self.options.type_column, _GENERATOR)
        own_type, generator = (value if isinstance(value := row.get(name), str) and value else None for name in names)
        for name in self._negatives:
            of_column = str(name) if name in NEGATIVE_TYPES else None
            for each in self._texts(row, name, where):
                yield Negative(each.text, each.type or own_type or of_column, each.generator or generator)

    def _texts(self, row: Row, name: Column, where: str) -> list[Negative]:
        value = row.get(name)
        if isinstance(value, str):
            if name not in self._lists or not value.strip():
                return [Negative(value)]
            value = _list(value, f"{where}: {_shown(name)}")
        return [_text(each, where, name) for each in (value if isinstance(value, list | tuple) else [value])]


def _text(value: Any, where: str, name: Column) -> Negative:
    if value is None or value != value:  # null, or pandas' NaN
        return Negative("")
    if isinstance(value, str):
        return Negative(value)
    if isinstance(value, Mapping):
        text = next((text for key in _TEXT_FIELDS if isinstance(text := value.get(key), str)), None)
        if text is not None:
            return Negative(text, value.get("type"), value.get(_GENERATOR))
    raise DataError(f"{where}: {_shown(name)} is {shown(value)}, expected a text or a list of texts")


def _known(column: Column, names: Sequence[Column], where: str) -> Column:
    """The column as the file has it: by name, or by number from 1."""
    if column not in names and (isinstance(column, int) or column.isdecimal()):
        column = int(column)
        if not 1 <= column <= len(names):
            raise DataError(f"{where} has {len(names)} columns, no column {column}")
        return names[column - 1]
    if column in names:
        return column
    if all(isinstance(name, int) for name in names):
        raise DataError(
            f"{where} has no header, so no column {column!r}: name columns by number, 1 to {len(names)}, or set header: true"
        )
    return nearest_key(map(str, names), str(column), where)


def _type_column(names: Sequence[Column], rows: Sequence[Row]) -> Column:
    """A column called so that holds nothing but our types."""
    named = (name for name in names if _plain(name) in _TYPES)
    return next((name for name in named if _share(NEGATIVE_TYPES.__contains__, [row.get(name) for row in rows]) == 1), "")


def _image(names: Sequence[Column], rows: Sequence[Row]) -> Column:
    plain = {_plain(name): name for name in reversed(names)}
    by_name = next((plain[name] for name in _IMAGE_NAMES if name in plain), None)
    if by_name is not None:
        return by_name
    return next((name for name in names if _share(is_image_value, [row.get(name) for row in rows]) >= _MOSTLY), "")


def _captions(names: Sequence[Column], rows: Sequence[Row], taken: set[Column], where: str) -> tuple[Column, ...]:
    free = [name for name in names if name not in taken and name != ""]
    found = [name for name in free if _is(_CAPTION, name)]
    if not found:
        found = [name for name in free if _mean_words([row.get(name) for row in rows]) >= _WORDS]
        families = {str(name) for name in found}
    else:
        families = {_NUMBERED.sub("", _plain(name)) for name in found}
    if len(families) != 1:
        what = f"which of {_listed(found)} has the captions?" if found else f"no column of captions among {_listed(names)}."
        raise DataError(f"{where}: {what} Set caption_column (and image_column), by name or by number from 1")
    return tuple(sorted(found, key=lambda name: int(re.sub(r"\D", "", str(name)) or 0))) if len(found) > 1 else tuple(found)


def _is(pattern: re.Pattern[str], name: Column) -> bool:
    return isinstance(name, str) and pattern.fullmatch(_plain(name)) is not None


def _plain(name: Column) -> str:
    return re.sub(r"\W+", "_", str(name).strip().casefold())


def is_column_name(name: str) -> bool:
    """Whether images, captions or negatives are known to stand under this name."""
    return _plain(name) in _IMAGE_NAMES or _is(_CAPTION, name) or _is(_NEGATIVE, name)


def is_image_value(value: Any) -> bool:
    """Whether a value is a URL or the name of an image file."""
    value = value.get("path") if isinstance(value, Mapping) else value
    return isinstance(value, str) and _IMAGE_VALUE.search(value.strip()) is not None


def _share(test: Callable[[Any], bool], values: Sequence[Any]) -> float:
    filled = [value for value in values if value not in (None, "")]
    return sum(map(test, filled)) / len(filled) if filled else 0.0


def _mean_words(values: Sequence[Any]) -> float:
    flat = (text for value in values for text in (value if isinstance(value, list) else [value]))
    texts = [text for text in flat if isinstance(text, str) and text]
    return sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0


def _holds_lists(rows: Sequence[Row], name: Column) -> bool:
    """Whether every text of a column is a list of texts, written as JSON or as Python."""
    texts = [value for row in rows if isinstance(value := row.get(name), str) and value.strip()]
    try:
        return bool(texts) and all(text.lstrip().startswith("[") and _list(text, "") is not None for text in texts)
    except DataError:
        return False


def _list(text: str, where: str) -> list[Any]:
    for parse in (json.loads, ast.literal_eval):  # a literal is read, never evaluated
        try:
            found = parse(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    raise DataError(f"{where} is {shown(text)}, expected a list of texts. Set list_column: [] if it is a text")


def _shown(name: Column) -> str:
    return f"column {name}" if isinstance(name, int) else repr(name)


def _listed(names: Sequence[Column]) -> str:
    return ", ".join(map(_shown, names[:20])) or "none"
