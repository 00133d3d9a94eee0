"""Format `webdataset`: tars of samples: members of one key (`12.jpg`, `12.txt`, `12.json`) are an image and its captions.

The tar is walked once, header by header; images stay where they are and are read by their offset.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.sources.columns import RowReader, choose_columns
from degla.sources.folders import IMAGE_SUFFIXES
from degla.sources.format import Format, Head, split_of
from degla.sources.options import SourceOptions
from degla.sources.records import FileBytes, Record, Skipped
from degla.text_files import parse_json

_TEXTS = ("txt", "caption", "text")
_TEXT = "txt"
_IMAGES = tuple(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES)
_SAMPLE_MEMBERS = 300
_GZIP, _MAGIC = b"\x1f\x8b", slice(257, 262)


def _claims(head: Head) -> bool:
    return head.start[_MAGIC] == b"ustar" or head.path.suffix == ".tar" or head.path.name.endswith((".tar.gz", ".tgz"))


@dataclass
class _Sample:
    key: str
    image: FileBytes | None = None
    name: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    """The fields of the .json, and the .txt under `txt`."""


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    options = head.options.model_copy(update={"encoding": head.options.encoding or "utf-8"})
    rows = [sample.row for sample in _samples(head.path, options, _SAMPLE_MEMBERS) if sample.row]
    if not rows:
        raise DataError(
            f"{head.path} holds images without captions: no .txt, .caption or .json. Give the file that has the captions."
        )
    if not options.caption_columns() and all(_TEXT in row for row in rows):
        options = options.model_copy(update={"caption_column": _TEXT})
    names = list(dict.fromkeys(name for row in rows for name in row))
    return choose_columns(names, rows, options, str(head.path), has_image=False)


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        reader, split = RowReader(options), split_of(path)
        for number, sample in enumerate(_samples(path, options), 1):
            where = f"{path}, sample {sample.key}"
            if sample.image is None or not any(name in sample.row for name in options.caption_columns()):
                yield Skipped(where, sample.name, "no image" if sample.image is None else "no caption")
            elif record := reader.record(sample.row, number, where, f"{path.name}/{sample.name}", sample.image):
                yield record if record.split else record._replace(split=split)


def _samples(path: Path, options: SourceOptions, most: int | None = None) -> list[_Sample]:
    """The samples of a tar in order, or of its first members; members of a key need not stand together."""
    samples: dict[str, _Sample] = {}
    try:
        with tarfile.open(path, "r:", encoding="utf-8") as tar:
            for member in islice(tar, most):
                folder, _, name = member.name.rpartition("/")
                stem, _, kind = name.partition(".")
                if member.isfile() and not name.startswith("."):
                    key = f"{folder}/{stem}" if folder else stem
                    _add(samples.setdefault(key, _Sample(key)), member, kind.lower(), tar, options)
    except (tarfile.TarError, OSError) as error:
        hint = " It is compressed, and images are read in place: gunzip it." if path.open("rb").read(2) == _GZIP else ""
        raise DataError(f"{path}: not a readable tar: {error}.{hint}") from error
    return list(samples.values())


def _add(sample: _Sample, member: tarfile.TarInfo, kind: str, tar: tarfile.TarFile, options: SourceOptions) -> None:
    path = Path(str(tar.name))
    where = f"{path}, {member.name}"
    if kind in _IMAGES:
        if sample.image is not None:
            raise DataError(f"{where}: the sample {sample.key} has two images, {sample.name} too")
        sample.image, sample.name = FileBytes(path, member.offset_data, member.size), member.name
    elif kind in _TEXTS or kind == "json":
        if member.size > options.max_text:
            raise DataError(f"{where}: {member.size:,} bytes are more than max_text = {options.max_text:,}")
        text = _decoded(tar.extractfile(member).read(), options.encoding, where)  # type: ignore[union-attr]
        if kind == "json":
            found = parse_json(text, where)
            sample.row |= found if isinstance(found, dict) else {}
        else:
            sample.row[_TEXT] = text


def _decoded(data: bytes, encoding: str, where: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeError as error:
        raise DataError(f"{where}: not {encoding} ({error}); set encoding") from error


WEBDATASET = Format("webdataset", "tars of images with .txt or .json", _claims, _complete, _read, lambda path, options: True)
