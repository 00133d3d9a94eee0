"""Format `image_folder`: a folder of images, each with its captions beside it: `12.jpg` and `12.txt`, one caption a line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from degla.errors import DataError
from degla.sources.folders import IMAGE_SUFFIXES
from degla.sources.format import Format, Head
from degla.sources.options import SourceOptions
from degla.sources.records import FileBytes, Record, Skipped
from degla.sources.text import lines_of

_TEXTS = (".txt", ".caption")
_LISTED = 5


def _claims(head: Head) -> bool:
    return head.path.is_dir()


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    images = list(images_below(head.path))
    if not any(map(_beside, images)):
        what = f"{len(images):,} images and no captions beside them (.txt or .caption)" if images else "no captions and no images"
        below = ", ".join(str(path) for path in sorted(head.path.glob("*/metadata.*"))[:_LISTED])
        raise DataError(f"{head.path} holds {what}. Name the file that has the captions{f', such as {below}' if below else ''}.")
    return head.options.model_copy(update={"encoding": head.options.encoding or "utf-8-sig"}), [
        "each line of a .txt is a caption"
    ]


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for folder in files:
        for number, image in enumerate(images_below(folder), 1):
            name = image.relative_to(folder).as_posix()
            beside = _beside(image)
            if beside is None:
                yield Skipped(str(image), name, "no captions beside it (.txt or .caption)")
            else:
                captions = tuple(lines_of(beside, options.encoding, options.max_text))
                yield Record(str(beside), number, name, captions, inside=FileBytes(image))


def _beside(image: Path) -> Path | None:
    return next((path for kind in _TEXTS if (path := image.with_suffix(kind)).is_file()), None)


def images_below(folder: Path) -> Iterator[Path]:
    """The images of a folder and of its folders, sorted, without hidden ones."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


IMAGE_FOLDER = Format("image_folder", "images with .txt beside them", _claims, _complete, _read, lambda path, options: True)
