"""Image folders: where the file of a name is, however the name is written."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from degla.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of files that are taken for images."""

_URL = ("http://", "https://")


class ImageFolders:
    """One or more folders of images.

    A name may be relative to a folder or to one above it (`val2014/COCO_val2014_000000391895.jpg` in the folder `val2014`),
    absolute, in the other Unicode form, or without its ending.

    Args:
        folders: all are looked through; a file that is in two of them is refused.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [Path(os.path.abspath(folder)) for folder in folders]

    def find(self, name: str) -> tuple[Path | None, str]:
        """The file of an image, or None and why.

        Raises:
            DataError: the name is of a file outside the folders, or files of two folders have it.
        """
        if name.startswith(_URL):
            return None, "is a URL: download it first (img2dataset), or set images: none"
        found = list(dict.fromkeys(path for folder in self._folders for path in self._below(folder, name)))
        if len(found) > 1:
            raise DataError(f"image {name!r} is two files: {found[0]} and {found[1]}. Give folders that have it once.")
        if found:
            return found[0], ""
        self._check_outside(name)
        return None, "no such file"

    def path(self, name: str) -> Path:
        """The file of an image, or where it would be below the first folder. Raises DataError as `find`."""
        found, _ = self.find(name)
        return found or self._folders[0] / [name, *_relative(self._folders[0], name)][-1]

    def _below(self, folder: Path, name: str) -> Iterator[Path]:
        for relative in _relative(folder, name.replace("\\", "/")):
            if found := _existing(folder, relative):
                yield found
                return

    def _check_outside(self, name: str) -> None:
        path = Path(os.path.abspath(self._folders[0] / name))
        if any(path.is_relative_to(folder) for folder in self._folders) or not _is_file(path):
            return
        given = ",".join(map(str, self._folders))
        raise DataError(
            f"image {name!r} lies outside the image folder {given}, whose images alone are checked for changes. Add its folder:"
            f" images={{{given},{path.parent}}}"
        )


def _relative(folder: Path, name: str) -> Iterator[str]:
    """The ways to read a name below a folder: as it is, or from the folder's own name on."""
    path = PurePosixPath(os.path.normpath(name)) if name else PurePosixPath()
    if path.is_absolute() and path.is_relative_to(folder):
        yield path.relative_to(folder).as_posix()
    elif not path.is_absolute() and path.parts[:1] != ("..",):
        yield path.as_posix()
    for place in range(len(path.parts) - 2, -1, -1):
        if path.parts[place] == folder.name:
            yield "/".join(path.parts[place + 1 :])


def _existing(folder: Path, relative: str) -> Path | None:
    path = folder / relative
    if _is_file(path):
        return path
    if not relative.isascii():
        path = _in_its_form(folder, relative)
        if _is_file(path):
            return path
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return next((found for suffix in IMAGE_SUFFIXES if _is_file(found := path.with_name(path.name + suffix))), None)
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except ValueError:  # no file can be called so
        return False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def _in_its_form(folder: Path, relative: str) -> Path:
    """The path with each part in the Unicode form that its folder has."""
    path = folder
    for part in PurePosixPath(relative).parts:
        path /= _forms(path).get(unicodedata.normalize("NFC", part), part)
    return path


@lru_cache(256)
def _forms(folder: Path) -> dict[str, str]:
    try:
        return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}
    except OSError:
        return {}
