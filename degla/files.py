"""Writing files so that they are whole or absent: beside, flushed to disk, then moved into place. Files that grow line by
line are read up to their last whole line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_UNFINISHED = ".tmp-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it and move it to `path`, on an error remove it.

    A process that is killed leaves only a `.tmp-*` file, which nothing reads (`finished_files`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_UNFINISHED}{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def finished_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that match, sorted, without those that are being written, which a glob finds too."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith(_UNFINISHED))


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; empty where there is no file. Half a last line, which a process at work or a
    killed one leaves, is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
