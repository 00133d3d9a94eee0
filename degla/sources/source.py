"""From paths to records: which files are meant, of which format they are, and their captions and negatives, checked alike
whatever the format."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from degla.errors import ConfigError, DataError, InputError, MissingInputError
from degla.sources.format import Format, Head
from degla.sources.formats import FORMATS
from degla.sources.options import SourceOptions
from degla.sources.records import Negative, Record, Skipped
from degla.text_files import nearest_key

logger = logging.getLogger(__name__)

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_WILD = re.compile(r"[*?\[]")
_TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
_FIRST = (("metadata.jsonl", "metadata.csv", "metadata.parquet"), ("training.parquet",), ("captions.parquet",), ("*.tar",))
_DERIVED = "cache-"  # Hugging Face's results of map and filter, beside the data that they were made of
_PACKED = {
    b"\x1f\x8b": "compressed: unpack it (gunzip)",
    b"PK\x03\x04": "a zip archive or an Excel file: unpack it, or save it as CSV",
    b"BZh": "compressed: unpack it (bunzip2)",
    b"\xfd7zXZ": "compressed: unpack it (xz)",
    b"\x28\xb5\x2f\xfd": "compressed: unpack it (zstd)",
    b"version https://git-lfs": "a pointer of Git LFS and not the file: fetch it (git lfs pull)",
}
_SHOWN = 8
_ZERO_WIDTH_SPACE = "\u200b"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Recognised:
    """Files, their format, and all options with which they are read."""

    format: Format
    files: tuple[Path, ...]
    options: SourceOptions
    guessed: frozenset[str]
    """The options that were recognised and not set."""
    said: tuple[str, ...]
    """What was recognised, in words."""

    @property
    def holds_images(self) -> bool:
        """Whether the images are in the files themselves."""
        return self.format.holds_images(self.files[0], self.options)


@dataclass
class Source:
    """The records of recognised files. What is counted fills while they are read."""

    recognised: Recognised
    preferred: tuple[str, ...] = ()
    """The splits to read if none are chosen; those that the files lack are no fault."""
    skipped: list[Skipped] = field(default_factory=list)
    splits: Counter[str] = field(default_factory=Counter)
    """Split to the records that were read of it."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Split to the records that were not read."""

    def __iter__(self) -> Iterator[Record]:
        options = self.recognised.options
        chosen = set(options.splits or self.preferred)
        for each in self.recognised.format.read(self.recognised.files, options, self.recognised.guessed):
            if isinstance(each, Skipped):
                self.skipped.append(each)
            elif chosen and each.split not in chosen:
                self.left_out[each.split] += 1
            else:
                self.splits[each.split] += 1
                yield self._checked(each, options)
        lacking = sorted(set(options.splits) - set(self.splits))
        if lacking:
            there = ", ".join(sorted(filter(None, {*self.splits, *self.left_out}))) or "none"
            raise DataError(f"{self.recognised.files[0]}: no split {lacking[0]!r}; there are: {there}")

    def pairs(self) -> Iterator[tuple[Record, str, Negative]]:
        """Every negative, also an empty one, with its record and the caption that it is made from.

        Raises:
            DataError: negatives stand beside several captions; names the entry.
        """
        for record in self:
            if record.negatives and len(record.captions) > 1:
                raise DataError(
                    f"{record.where}: {len(record.captions)} captions beside its negatives; which one are they made from? Set"
                    f" caption_column"
                )
            caption = record.captions[0] if record.captions else ""
            yield from ((record, caption, negative) for negative in record.negatives)

    def _checked(self, record: Record, options: SourceOptions) -> Record:
        """The record with its texts folded, "" for those that stand for none. Captions that are none go to `skipped`."""
        captions = []
        for caption in record.captions:
            text = _folded(caption, record.where)
            reason = _why_not(text, options)
            if reason:
                self.skipped.append(Skipped(record.where, record.image, reason))
            else:
                captions.append(text)
        folded = (each._replace(text=_folded(each.text, record.where)) for each in record.negatives)
        negatives = record.negatives and tuple(
            each._replace(text="") if each.text in options.no_text else each for each in folded
        )
        image = unicodedata.normalize("NFC", record.image)
        return record._replace(image=image, captions=tuple(captions), negatives=negatives)


def recognise(paths: str | Path | Sequence[str | Path], options: SourceOptions | None = None) -> Recognised:
    """What files these are.

    Args:
        paths: files, folders, or patterns (`part-*.parquet`, `{00000..00041}.tar`).
        options: what is known; the rest is recognised on the first file.

    Raises:
        MissingInputError: nothing is there.
        ConfigError: there is no format of the name that is set.
        DataError: the format, or how the file is written, cannot be told; says which option to set.
    """
    options = options or SourceOptions()
    files = find_files(paths)
    head = Head(files[0], options)
    format_ = _format(head)
    other = next((path for path in files[1:] if _format(Head(path, options)) is not format_), None)
    if other is not None:
        raise DataError(f"{other} is not of the format {format_.name}, as {files[0]} is. Give files of one format.")
    completed, said = format_.complete(head)
    completed = completed.model_copy(update={"format": format_.name})
    open_to_guess = SourceOptions.model_fields.keys() - options.model_fields_set
    guessed = frozenset(name for name in open_to_guess if getattr(options, name) != getattr(completed, name))
    return Recognised(format_, tuple(files), completed, guessed, tuple(said))


def open_source(paths: str | Path | Sequence[str | Path], options: SourceOptions | None = None) -> Source:
    """The records of files; see `recognise`. What was recognised is logged."""
    found = recognise(paths, options)
    logger.info("%s: read as %s: %s", found.files[0].name, found.format.name, "; ".join(found.said) or found.format.about)
    return Source(found)


def find_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that paths, folders and patterns mean. Raises MissingInputError if one means none."""
    several = [paths] if isinstance(paths, str | Path) else paths
    return [file for path in several for name in expanded(str(path)) for file in _files(name)]


def _files(name: str) -> list[Path]:
    path = Path(name).expanduser().absolute()
    if not path.exists() and _WILD.search(name):
        base = Path(path.anchor)
        found = sorted(base.glob(path.relative_to(base).as_posix()))
        if not found:
            raise MissingInputError(f"no file matches {path}")
        return [file for each in found for file in _files(str(each))]
    if not path.exists():
        raise MissingInputError(f"{path} does not exist")
    return _of_folder(path) if path.is_dir() else [path]


def _of_folder(folder: Path) -> list[Path]:
    """The files of a folder that has captions: metadata, tars, Parquet or Arrow files, a table, or images with texts beside."""
    for patterns in _FIRST:
        found = sorted(path for pattern in patterns for path in folder.glob(pattern))
        if found:
            return found
    for ending in ("parquet", "arrow"):
        files = sorted(path for path in folder.rglob(f"*.{ending}") if not path.name.startswith(_DERIVED))
        if files:
            return files
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLES and path.is_file())
    if any(_has_image(folder, path.stem) for path in tables):
        return [folder]
    tables = [path for path in tables if _is_readable(path)] if len(tables) > 1 else tables
    if len(tables) < 2:
        return tables or [folder]
    listed = ", ".join(path.name for path in tables[:_SHOWN])
    raise DataError(f"{folder} holds several files that may have captions: {listed}. Name the one to read.")


def _is_readable(path: Path) -> bool:
    try:
        recognise(path)
    except InputError:
        return False
    return True


def _has_image(folder: Path, stem: str) -> bool:
    return any(path.suffix.lower() not in _TABLES for path in folder.glob(f"{_escaped(stem)}.*"))


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def expanded(text: str) -> list[str]:
    """`{00..02}.tar` and `{train,val}.json` as the names they stand for; what exists under the name itself is no pattern."""
    found = _BRACES.search(text)
    if not found or Path(text).exists():
        return [text]
    parts = _choices(found[1])
    return [name for part in parts for name in expanded(text[: found.start()] + part + text[found.end() :])]


def _choices(inside: str) -> Iterable[str]:
    if limits := _RANGE.fullmatch(inside):
        return (str(number).zfill(len(limits[1])) for number in range(int(limits[1]), int(limits[2]) + 1))
    return inside.split(",")


def _format(head: Head) -> Format:
    if head.options.format:
        name = nearest_name(head.options.format)
        return FORMATS[name]
    found = next((each for each in FORMATS.values() if each.claims(head)), None)
    packed = next((what for mark, what in _PACKED.items() if head.start.startswith(mark)), None)
    if packed and found is not FORMATS["webdataset"]:
        raise DataError(f"{head.path} is {packed}")
    if found is None:
        raise DataError(f"{head.path}: no format recognised; it begins with {head.start[:40]!r}. Formats: {', '.join(FORMATS)}")
    return found


def nearest_name(name: str) -> str:
    """The name of a format. Raises ConfigError with the nearest one if there is none of this name."""
    try:
        return nearest_key(FORMATS, name, "formats")
    except DataError as error:
        raise ConfigError(f"format: {error}") from error


def _folded(text: str, where: str) -> str:
    """The text in Unicode's composed form, with single blanks. Raises DataError at a NUL, which no text has."""
    if "\0" in text:
        raise DataError(f"{where}: a text holds a NUL: {text[:40]!r}")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).replace(_ZERO_WIDTH_SPACE, " ")
    return " ".join(text.split())


def is_unicode(text: str) -> bool:
    """Whether a text can be written: it has no unpaired surrogate."""
    return text.isascii() or not _SURROGATE.search(text)


def _why_not(caption: str, options: SourceOptions) -> str:
    if not caption:
        return "empty caption"
    if caption in options.no_text:
        return f"no caption ({caption})"
    return "" if is_unicode(caption) else "not Unicode text (an unpaired surrogate)"
