"""Unpack an archive into an empty folder: plain files inside the folder, or nothing at all.

Every name is checked before the first byte is written.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from degla.errors import DataError, StorageError

_FREE_BYTES_LEFT = 50 << 20


def unpack(archive: Path, kind: str, folder: Path) -> list[str]:
    """Unpack a `zip` or a `tar` (compressed or not); returns the names of its files, relative to `folder`.

    Raises:
        DataError: not an archive of this kind, damaged, or with a name outside the folder, a link or a device; the name is given.
        StorageError: what it holds does not fit on the disk.
    """
    folder.mkdir(parents=True)
    try:
        return list(_unpack_zip(archive, folder) if kind == "zip" else _unpack_tar(archive, folder))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, NotImplementedError, UnicodeError) as error:
        raise DataError(f"{archive.name} is not a complete {kind} archive: {error}. Download it again.") from error


def _unpack_zip(archive: Path, folder: Path) -> Iterator[str]:
    with zipfile.ZipFile(archive) as file:
        entries = file.infolist()
        for entry in entries:
            mode = entry.external_attr >> 16
            _check(entry.filename, stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0, archive)
        _check_space(sum(entry.file_size for entry in entries), folder)
        for entry in entries:
            if not entry.is_dir():
                with file.open(entry) as source:  # reads to the end, which compares the CRC
                    yield _write(source, entry.filename, folder)


def _unpack_tar(archive: Path, folder: Path) -> Iterator[str]:
    with tarfile.open(archive) as file:
        entries = file.getmembers()
        for entry in entries:
            _check(entry.name, entry.isfile() or entry.isdir(), archive)
        _check_space(sum(entry.size for entry in entries), folder)
        for entry in entries:
            if entry.isfile():
                with file.extractfile(entry) as source:  # type: ignore[union-attr]
                    yield _write(source, entry.name, folder)


def _check(name: str, plain: bool, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\0" in name:
        raise DataError(f"{archive.name} holds a path outside its folder ({name!r}); nothing was unpacked")
    if not plain:
        raise DataError(f"{archive.name} holds a link or a device ({name!r}); nothing was unpacked")


def _check_space(wanted: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if wanted + _FREE_BYTES_LEFT > free:
        raise StorageError(
            f"{folder} has {free >> 20:,} MB free; unpacking needs {wanted >> 20:,} MB. Free space or move DEGLA_DATA."
        )


def _write(source: IO[bytes], name: str, folder: Path) -> str:
    relative = PurePosixPath(name.replace("\\", "/")).as_posix()
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as to:
        shutil.copyfileobj(source, to, 1 << 20)
    return relative
