"""The classification sets of the field through torchvision's datasets: zero-shot with CLIP's prompts, and for the linear probe.

torchvision knows where the files of each set lie and which are its test split; degla opens the images itself. Prompts and class
names are those published with CLIP (`zero_shot.yaml`). ImageNet is read from `val/<WordNet id>` without torchvision, if it is
unpacked: the development kit then is not needed. Two sets have no official split: SUN397 and Caltech101 are taken whole for
zero-shot, and are split here, within each class and by a fixed seed, for the linear probe; the notes say so. CIFAR's files are
Python pickles, which torchvision opens after comparing their MD5 sums with the official ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from degla.catalog import Card
from degla.config import Config, read_yaml
from degla.errors import DataError, MissingInputError
from degla.evaluate.benchmark import Benchmark, BenchmarkImage, ClassificationSet, LinearProbeSet
from degla.evaluate.readers import imagenet
from degla.evaluate.readers.image_folder import labelled_images
from degla.evaluate.readers.registry import reader
from degla.outcomes.known import absences

SetName = Literal[
    "cifar10",
    "cifar100",
    "food101",
    "oxford_pets",
    "flowers102",
    "sun397",
    "stanford_cars",
    "dtd",
    "caltech101",
    "fgvc_aircraft",
    "imagenet",
]

TRAINING_FRACTION = 0.8
"""Of each class, for the sets without an official split."""
SEED = 0

_PROMPTS = Path(__file__).with_name("zero_shot.yaml")


class ZeroShotSetOptions(Config):
    """Options of a card with `reader: zero_shot_set` or `linear_probe_set`."""

    dataset: SetName
    """Which of torchvision's datasets."""


@dataclass(frozen=True)
class _Dataset:
    """How to ask torchvision for a set."""

    torchvision: str
    folder: str
    """Name of the folder that torchvision looks for; empty if it is given the folder itself."""
    test: dict[str, Any]
    train: dict[str, Any] | None
    """None: there is no official split."""


_DATASETS: dict[str, _Dataset] = {
    "cifar10": _Dataset("CIFAR10", "cifar-10-batches-py", {"train": False}, {"train": True}),
    "cifar100": _Dataset("CIFAR100", "cifar-100-python", {"train": False}, {"train": True}),
    "food101": _Dataset("Food101", "food-101", {"split": "test"}, {"split": "train"}),
    "oxford_pets": _Dataset("OxfordIIITPet", "oxford-iiit-pet", {"split": "test"}, {"split": "trainval"}),
    "flowers102": _Dataset("Flowers102", "flowers-102", {"split": "test"}, {"split": "train"}),
    "sun397": _Dataset("SUN397", "SUN397", {}, None),
    "stanford_cars": _Dataset("StanfordCars", "stanford_cars", {"split": "test"}, {"split": "train"}),
    "dtd": _Dataset("DTD", "dtd", {"split": "test"}, {"split": "train"}),
    "caltech101": _Dataset("Caltech101", "caltech101", {}, None),
    "fgvc_aircraft": _Dataset("FGVCAircraft", "fgvc-aircraft-2013b", {"split": "test"}, {"split": "trainval"}),
    "imagenet": _Dataset("ImageNet", "", {"split": "val"}, {"split": "train"}),
}


@dataclass(frozen=True)
class _Part:
    """A split: images, and for each its class."""

    images: tuple[BenchmarkImage, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]


@reader("zero_shot_set", ZeroShotSetOptions)
def read_zero_shot_set(card: Card, options: ZeroShotSetOptions) -> Benchmark:
    """Files: `images`, the folder as torchvision has it (`zero_shot.yaml` gives the prompts).

    Raises:
        MissingInputError: the folder is not complete.
        DataError: the folder has another name than torchvision looks for, or its lists are broken.
    """
    part = _load(options.dataset, card.file("images"), train=False)
    templates = _templates(options.dataset)
    prompts = tuple(tuple(template.replace("{}", name) for template in templates) for name in part.class_names)
    absent, notes = absences(card, {"classes": len(part.images)})
    if _DATASETS[options.dataset].train is None:
        notes.append("all images: the set has no official split, so scores of papers that take a part of it are not comparable")
    data = ClassificationSet("classes", part.images, part.labels, part.class_names, prompts)
    return Benchmark((data,), (), tuple(notes), absent)


@reader("linear_probe_set", ZeroShotSetOptions)
def read_linear_probe_set(card: Card, options: ZeroShotSetOptions) -> Benchmark:
    """As `read_zero_shot_set`, with the training split for the classifier to be fitted on."""
    folder = card.file("images")
    test = _load(options.dataset, folder, train=False)
    notes: list[str] = []
    if _DATASETS[options.dataset].train is None:
        images, labels, training = test.images, test.labels, _drawn(test.labels)
        notes.append(f"{TRAINING_FRACTION:.0%} of each class for training, drawn with seed {SEED}: no official split")
    else:
        train = _load(options.dataset, folder, train=True)
        images, labels = (*train.images, *test.images), np.concatenate([train.labels, test.labels])
        training = np.arange(len(images)) < len(train.images)
    absent, more = absences(card, {"probe": int((~training).sum())})
    probe = LinearProbeSet("probe", images, labels, test.class_names, training)
    return Benchmark((probe,), (), (*notes, *more), absent)


def _drawn(label_M: np.ndarray) -> np.ndarray:
    rng, training_M = np.random.default_rng(SEED), np.zeros(len(label_M), dtype=bool)
    for label in np.unique(label_M):
        rows = rng.permutation(np.flatnonzero(label_M == label))
        training_M[rows[: round(TRAINING_FRACTION * len(rows))]] = True
    return training_M


@lru_cache(1)
def _prompts() -> dict[str, Any]:
    return read_yaml(_PROMPTS)


def _templates(name: str) -> Sequence[str]:
    return imagenet.templates() if name == "imagenet" else _prompts()["templates"][name]


def _class_names(name: str, classes: Sequence[str]) -> tuple[str, ...]:
    if name == "imagenet":
        return tuple(imagenet.class_names().values())
    own = _prompts()["class_names"].get(name)
    return tuple(own or (each.replace("_", " ").replace("/", " ") for each in classes))


def _load(name: str, folder: Path, train: bool) -> _Part:
    import torchvision

    if name == "imagenet" and (unpacked := folder / ("train" if train else "val")).is_dir():
        return _by_wnid(unpacked)
    known = _DATASETS[name]
    if known.folder and folder.name != known.folder:
        raise DataError(f"{folder}: torchvision looks for a folder named {known.folder}; give that folder")
    root = folder.parent if known.folder else folder
    make = getattr(torchvision.datasets, known.torchvision)
    try:
        dataset = make(str(root), **(known.train if train else known.test))  # type: ignore[arg-type]
    except (RuntimeError, FileNotFoundError, NotADirectoryError) as error:
        raise MissingInputError(
            f"{folder} is not complete: {error}. Put the set there as torchvision.datasets.{known.torchvision} unpacks it."
        ) from error
    except Exception as error:  # of many types, on broken lists and tables
        raise DataError(
            f"{folder}: torchvision.datasets.{known.torchvision} cannot read its lists ({type(error).__name__}: {error}). Unpack"
            f" the set again."
        ) from error
    sources, labels = _CONTENT.get(name, _files)(dataset)
    if name == "sun397":  # torchvision lists them in the order of the file system
        order = sorted(range(len(sources)), key=lambda index: str(sources[index]))
        sources, labels = [sources[index] for index in order], [labels[index] for index in order]
    split = "train" if train else "test"
    images = tuple(_image(name, split, number, source, folder) for number, source in enumerate(sources))
    return _Part(images, np.array(labels, dtype=np.int64), _class_names(name, getattr(dataset, "classes", ())))


def _by_wnid(folder: Path) -> _Part:
    """ImageNet's unpacked folder: a folder for each WordNet id. Classes without a folder stay choices."""
    numbers = {wnid: number for number, wnid in enumerate(imagenet.class_names())}
    imagenet.check_folders(folder, numbers, "WordNet id of one of ImageNet's 1,000 classes")
    images, labels = labelled_images(folder, numbers)
    return _Part(images, labels, tuple(imagenet.class_names().values()))


def _image(name: str, split: str, number: int, source: Path | np.ndarray, folder: Path) -> BenchmarkImage:
    if isinstance(source, np.ndarray):
        return BenchmarkImage(f"{name}/{split}/{number}", source)
    return BenchmarkImage(source.relative_to(folder).as_posix() if source.is_relative_to(folder) else source.name, source)


Content = tuple[Sequence[Path | np.ndarray], Sequence[int]]


def _files(dataset: Any) -> Content:
    return [Path(path) for path in dataset._image_files], dataset._labels


def _pets(dataset: Any) -> Content:
    return [Path(path) for path in dataset._images], dataset._labels


def _samples(dataset: Any) -> Content:
    samples = dataset.samples if hasattr(dataset, "samples") else dataset._samples
    return [Path(path) for path, _ in samples], [int(label) for _, label in samples]


def _arrays(dataset: Any) -> Content:
    return list(np.ascontiguousarray(dataset.data)), dataset.targets


def _caltech(dataset: Any) -> Content:
    root = Path(dataset.root) / "101_ObjectCategories"
    paths = [root / dataset.categories[y] / f"image_{index:04d}.jpg" for index, y in zip(dataset.index, dataset.y, strict=True)]
    return paths, dataset.y


_CONTENT: dict[str, Callable[[Any], Content]] = {
    "cifar10": _arrays,
    "cifar100": _arrays,
    "oxford_pets": _pets,
    "stanford_cars": _samples,
    "caltech101": _caltech,
    "imagenet": _samples,
}
