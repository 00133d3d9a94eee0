"""Zero-shot classification from a folder with one sub-folder of images a class, as many data sets are laid out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from degla.catalog import IMAGE_SUFFIXES, Card
from degla.config import Config, validate
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, BenchmarkImage, ClassificationSet, LinearProbeSet


class ImageFolderOptions(Config):
    """Options of a card with `reader: image_folder`."""

    templates: tuple[str, ...] = Field(("a photo of a {}.",), min_length=1)
    """Prompts with `{}` in place of the class name; a class is the mean of its prompts' embeddings."""
    class_names: dict[str, str] = Field(default_factory=dict)
    """Folder name to class name, where they differ; others are the folder name with spaces for underscores."""

    @field_validator("templates")
    @classmethod
    def _has_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if not all("{}" in template for template in templates):
            raise ValueError("every template needs {} where the class name goes")
        return templates


def read_image_folder(card: Card, paths: Mapping[str, str]) -> Benchmark:
    """File: `images`, the folder of class folders.

    Raises:
        DataError: there are fewer than two classes, a class has no image, or a class name belongs to no folder.
    """
    options = validate(ImageFolderOptions, card.options, f"card {card.name!r}, options")
    root = card.file("images", paths.get("images"))
    files = {folder.name: _image_files(folder) for folder in sorted(root.iterdir()) if _is_class(folder)}
    _check(root, files, options)
    names = tuple(options.class_names.get(name, name.replace("_", " ")) for name in files)
    images = tuple(BenchmarkImage(path.relative_to(root).as_posix(), path) for paths in files.values() for path in paths)
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files.values()])
    prompts = tuple(tuple(template.replace("{}", name) for template in options.templates) for name in names)
    return Benchmark((ClassificationSet("classes", images, labels, names, prompts),))


class ImageFolderProbeOptions(Config):
    """A card with `reader: image_folder_probe` has no options."""


def read_image_folder_probe(card: Card, paths: Mapping[str, str]) -> Benchmark:
    """A linear probe. Files: `training` and `images`, folders of the same class folders, to fit on and to score.

    Raises:
        DataError: there are fewer than two classes, a class has no image, or the two folders have other classes.
    """
    validate(ImageFolderProbeOptions, card.options, f"card {card.name!r}, options")
    roots = [card.file(role, paths.get(role)) for role in ("training", "images")]
    found = [{folder.name: _image_files(folder) for folder in sorted(root.iterdir()) if _is_class(folder)} for root in roots]
    for root, files in zip(roots, found, strict=True):
        _check(root, files, ImageFolderOptions())
    if list(found[0]) != list(found[1]):
        other = sorted(set(found[0]) ^ set(found[1]))
        raise DataError(f"{roots[0]} and {roots[1]} have other classes: {', '.join(other)} is in one of them only")
    rows = [
        (path, root, label)
        for root, files in zip(roots, found, strict=True)
        for label, own in enumerate(files.values())
        for path in own
    ]
    images = tuple(BenchmarkImage(f"{root.name}/{path.relative_to(root).as_posix()}", path) for path, root, _ in rows)
    labels = np.array([label for _, _, label in rows])
    training = np.arange(len(rows)) < sum(map(len, found[0].values()))
    return Benchmark((LinearProbeSet("probe", images, labels, tuple(found[0]), training),))


def _is_class(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def _check(root: Path, files: Mapping[str, list[Path]], options: ImageFolderOptions) -> None:
    empty = [name for name, paths in files.items() if not paths]
    unknown = sorted(set(options.class_names) - set(files))
    if len(files) < 2:
        raise DataError(f"{root}: expected a folder for each of two or more classes, found {len(files)}")
    if empty:
        raise DataError(f"{root}: no images ({', '.join(IMAGE_SUFFIXES)}) in the class folders {', '.join(empty)}")
    if unknown:
        raise DataError(f"{root}: class_names names folders that are not there: {', '.join(unknown)}")
