"""SHA-256 of raw inputs: files, folders and values. A file's checksum is cached by path, size and modification time.

The cache is an SQLite file in the artifact root, so that a folder of 100,000 images is read once and not before every run. If it
cannot be written, checksums are computed again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from degla.home import artifact_root

_BLOCK = 1 << 20  # bytes read at once


def of_value(value: Any) -> str:
    """SHA-256 (64 hex digits) of a JSON value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return of_files([path])[path]


def of_folder(folder: Path, suffixes: Iterable[str] = ()) -> str:
    """SHA-256 over the sorted (relative name, checksum) of the files below `folder`, without hidden ones.

    Args:
        folder: the folder to walk.
        suffixes: lower-case suffixes to keep, such as `.jpg`; empty keeps all.
    """
    wanted = tuple(suffixes)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and (not wanted or path.suffix.lower() in wanted)
    )
    sums = of_files(files)
    return of_value([[path.relative_to(folder).as_posix(), sums[path]] for path in files])


def of_files(paths: Iterable[Path]) -> dict[Path, str]:
    """The checksum of each file, from the cache if path, size and modification time are unchanged."""
    with closing(_open_cache()) as cache:
        sums = {path: _cached(path, cache) for path in paths}
        cache.commit()
    return sums


def read(path: Path) -> str:
    """SHA-256 of a file, read from disk and not from the cache."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _cached(path: Path, cache: sqlite3.Connection) -> str:
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    row = cache.execute("select sha256 from sums where path=? and size=? and mtime_ns=?", key).fetchone()
    if row:
        return row[0]
    value = read(path)
    cache.execute("insert or replace into sums values (?, ?, ?, ?)", (*key, value))
    return value


def _open_cache() -> sqlite3.Connection:
    create = "create table if not exists sums (path text primary key, size int, mtime_ns int, sha256 text)"
    try:
        root = artifact_root()
        root.mkdir(parents=True, exist_ok=True)
        cache = sqlite3.connect(root / "checksums.sqlite", timeout=30)
        cache.execute(create)
    except (OSError, sqlite3.Error):
        cache = sqlite3.connect(":memory:")
        cache.execute(create)
    return cache
