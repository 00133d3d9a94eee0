"""Writing files so that they are whole or absent: to a temporary file beside, flushed to disk, then moved into place. And locks,
so that one process at a time writes.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

logger = logging.getLogger(__name__)

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


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[TextIO]:
    """Hold an exclusive lock on a file, made if it is missing. The kernel releases it when the process ends, whatever ends it.

    Args:
        path: the file.
        waiting: logged if another process holds the lock.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    logger.info(waiting)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(lock, path):
                yield lock
                return


def _is_at(file: TextIO, path: Path) -> bool:
    """False if the file was deleted, perhaps with its folder, while this process waited for its lock."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
