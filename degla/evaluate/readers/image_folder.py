"""Zero-shot classification from a folder with one sub-folder of images a class, as many data sets are laid out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field, field_validator

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, BenchmarkImage, ClassificationSet, LinearProbeSet
from degla.evaluate.readers.imagenet import class_name, is_wnid
from degla.evaluate.readers.registry import NoOptions, reader


class ImageFolderOptions(Config):
    """Options of a card with `reader: image_folder`."""

    templates: tuple[str, ...] = Field(("a photo of a {}.",), min_length=1)
    """Prompts with `{}` in place of the class name; a class is the mean of its prompts' embeddings."""
    class_names: dict[str, str] = Field(default_factory=dict)
    """Folder name to class name, if they differ. Of the others a WordNet id of ImageNet has CLIP's name for it, and any other
    folder its own name with spaces for underscores."""

    @field_validator("templates")
    @classmethod
    def _has_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if not all("{}" in template for template in templates):
            raise ValueError(f"every template needs {{}} in place of the class name; got {templates}")
        return templates


@reader("image_folder", ImageFolderOptions)
def read_image_folder(card: Card, options: ImageFolderOptions) -> Benchmark:
    """File: `images`, the folder of class folders. A class without images stays a choice, and the notes say so.

    Raises:
        DataError: fewer than two classes, or a class name that belongs to no folder.
    """
    root = card.file("images")
    files, notes = class_files(root)
    unknown = sorted(set(options.class_names) - set(files))
    if unknown:
        raise DataError(f"{root}: class_names names folders that do not exist: {', '.join(unknown)}")
    wnids = [name for name in files if is_wnid(name) and name not in options.class_names]
    known = {wnid: class_name(wnid) for wnid in wnids}
    if strange := [wnid for wnid, name in known.items() if name is None]:
        raise DataError(
            f"{root}: {len(strange):,} folders are WordNet ids outside ImageNet's 1,000 classes, such as {strange[0]}, of unknown"
            f" name. Give them in options.class_names, as {{{strange[0]}: goldfish}}."
        )
    if known:
        first, name = next(iter(known.items()))
        notes = (*notes, f"{len(known):,} folders are WordNet ids and take CLIP's names for ImageNet: {first} is {name!r}")
    names = tuple(options.class_names.get(name) or known.get(name) or name.replace("_", " ") for name in files)
    images = tuple(BenchmarkImage(path.relative_to(root).as_posix(), path) for paths in files.values() for path in paths)
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files.values()])
    prompts = tuple(tuple(template.replace("{}", name) for template in options.templates) for name in names)
    return Benchmark((ClassificationSet("classes", images, labels, names, prompts),), (), (*notes, *_empty(root, files)))


@reader("image_folder_probe", NoOptions)
def read_image_folder_probe(card: Card, options: NoOptions) -> Benchmark:
    """A linear probe. Files: `training` and `images`, folders of the same class folders, to fit on and to score.

    Raises:
        DataError: fewer than two classes, or classes that only one of the folders has.
    """
    roots = [card.file(role) for role in ("training", "images")]
    read = [class_files(root) for root in roots]
    found = [files for files, _ in read]
    if list(found[0]) != list(found[1]):
        other = sorted(set(found[0]) ^ set(found[1]))
        raise DataError(f"{roots[0]} and {roots[1]} must have the same classes; only one of them has {', '.join(other)}")
    rows = [
        (path, root, label)
        for root, files in zip(roots, found, strict=True)
        for label, own in enumerate(files.values())
        for path in own
    ]
    images = tuple(BenchmarkImage(f"{root.name}/{path.relative_to(root).as_posix()}", path) for path, root, _ in rows)
    labels = np.array([label for _, _, label in rows], dtype=np.int64)
    training = np.arange(len(rows)) < sum(map(len, found[0].values()))
    notes = (*read[0][1], *read[1][1], *_empty(roots[0], found[0]), *_empty(roots[1], found[1]))
    return Benchmark((LinearProbeSet("probe", images, labels, tuple(found[0]), training),), (), notes)


def class_files(root: Path) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """The image files of each class, and a note on files that are no images. Broken images stay: they are items not scored.

    Raises:
        DataError: there are fewer than two class folders.
    """
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if len(folders) < 2:
        raise DataError(f"{root}: expected a folder for each of two or more classes, found {len(folders)}")
    found = {folder.name: sorted(path for path in folder.rglob("[!.]*") if path.is_file()) for folder in folders}
    others = {path for paths in found.values() for path in paths if not _is_image(path)}
    first = min(others, default=root).relative_to(root)
    notes = (f"{len(others):,} files in {root} are no images and left out, such as {first}",) if others else ()
    return {name: [path for path in paths if path not in others] for name, paths in found.items()}, notes


def labelled_images(root: Path, numbers: Mapping[str, int]) -> tuple[tuple[BenchmarkImage, ...], np.ndarray]:
    """The images of class folders and their classes, int64 (M,); `numbers` is from a folder's name to its class. Folders that it
    lacks are left out."""
    files = {name: paths for name, paths in class_files(root)[0].items() if name in numbers}
    images = tuple(BenchmarkImage(path.relative_to(root.parent).as_posix(), path) for paths in files.values() for path in paths)
    return images, np.repeat(np.array([numbers[name] for name in files], dtype=np.int64), [len(own) for own in files.values()])


def _is_image(path: Path) -> bool:
    """By a suffix that Pillow reads, or else by content."""
    if Image.registered_extensions().get(path.suffix.lower()) in Image.OPEN:
        return True
    try:
        Image.open(path).close()
    except Exception:  # of many types; a file of no format raises OSError
        return False
    return True


def _empty(root: Path, files: Mapping[str, list[Path]]) -> tuple[str, ...]:
    empty = [name for name, paths in files.items() if not paths]
    return (f"{len(empty):,} of {len(files):,} classes in {root} have no images: {', '.join(empty)}",) if empty else ()
