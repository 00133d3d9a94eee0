"""What a benchmark is, whatever its files: sets of captions to choose from, pairs to match, classes, captions to retrieve.

Readers (`degla.evaluate.readers`) make these records, `degla.evaluate.items` scores them. Knows no file format and no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from degla.errors import DataError
from degla.images import ARRAY_START, decode, decode_array
from degla.outcomes.averages import Average
from degla.outcomes.items import STATUS_MISSING, STATUS_UNDECODABLE
from degla.sources.folders import ImageFolders
from degla.sources.records import ImageBytes


class UnreadableImage(DataError):
    """An image whose file does not exist (`status` missing) or that cannot be decoded (`status` undecodable)."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, eq=False)
class BenchmarkImage:
    """An image that is opened when it is needed."""

    id: str
    """Names it in item files."""
    source: Path | ImageBytes | bytes | np.ndarray
    """A file, a place in one (tar, Parquet), an encoded file's bytes, or uint8 (H, W, 3)."""
    box: tuple[int, int, int, int] | None = None
    """The part to look at, as left, upper, right and lower pixel of the upright image; None takes the whole image."""
    channels: Literal["", "rgb", "bgr"] = ""
    """The order of colours if the file is a NumPy array, which does not say it."""

    def open(self) -> Image.Image:
        """The image, or its part, upright and RGB (`degla.images.decode`).

        Raises:
            UnreadableImage: the file does not exist, is not an image or is truncated.
            OSError: the file system failed; it may succeed at another time.
        """
        whole = Image.fromarray(self._pixels())
        return whole if self.box is None else whole.crop(self.box)

    def encoded(self) -> bytes:
        """The encoded file. Raises OSError if it cannot be read."""
        assert not isinstance(self.source, np.ndarray)
        if isinstance(self.source, bytes):
            return self.source
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source.read()

    def _pixels(self) -> np.ndarray:
        if isinstance(self.source, np.ndarray):
            return self.source
        try:
            data = self.encoded()
            if not data.startswith(ARRAY_START):
                return decode(data)
            if not self.channels:
                raise ValueError("a NumPy array, whose order of colours is unknown: set the card's array_channels to rgb or bgr")
            return decode_array(data, self.channels)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise UnreadableImage(STATUS_MISSING, f"{error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise UnreadableImage(STATUS_UNDECODABLE, f"{self.id}: {error}") from error


@dataclass(frozen=True)
class ChoiceItem:
    """One image and the captions to choose from; candidate 0 is the true one."""

    id: str
    image: int
    """Index into the set's images."""
    candidates: tuple[str, ...]
    group: str | None = None
    """Its group in the macro accuracy (ARO's relation or pair of attributes); None leaves it out of that mean."""


@dataclass(frozen=True)
class Together:
    """A group of items of a set, right if every one of them is right (a pair or a set of What'sUp)."""

    kind: str
    """What the group is: `pair` makes the metric `pair_accuracy`."""
    id: str
    items: tuple[int, ...]
    """Indices into the set's items."""


@dataclass(frozen=True)
class ChoiceSet:
    """Images with one true and one or more false captions each (SugarCrepe, VALSE, ARO)."""

    name: str
    images: tuple[BenchmarkImage, ...]
    items: tuple[ChoiceItem, ...]
    ties_are_right: bool = False
    """Whether an image as near to a false caption as to the true one is right: so in ARO's order sets, not in SugarCrepe."""
    both_tie_rules: bool = False
    """Whether the accuracy under the other rule is reported too, because both are in use."""
    together: tuple[Together, ...] = ()
    """Groups of items that are right only if all of their items are."""


@dataclass(frozen=True)
class ParaphraseItem:
    """One image, two true captions and a false one (SugarCrepe++)."""

    id: str
    image: int
    captions: tuple[str, str]
    negative: str


@dataclass(frozen=True)
class ParaphraseSet:
    """Images with two true captions and a false one each."""

    name: str
    images: tuple[BenchmarkImage, ...]
    items: tuple[ParaphraseItem, ...]


@dataclass(frozen=True)
class MatchItem:
    """Images and as many captions, two or more; caption k belongs to image k (Winoground)."""

    id: str
    images: tuple[int, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class MatchSet:
    """Images to match with captions, a few at a time."""

    name: str
    images: tuple[BenchmarkImage, ...]
    items: tuple[MatchItem, ...]
    rewritten: bool = False
    """Whether the second caption is a rewrite of the first (BiVLC): whether each image chose its caption is then reported too."""


@dataclass(frozen=True)
class ClassificationSet:
    """Images of one class each, and the prompts that describe each class."""

    name: str
    images: tuple[BenchmarkImage, ...]
    labels: np.ndarray
    """int64 (M,): index into the class names."""
    class_names: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    seen_classes: tuple[bool, ...] | None = None
    """Whether fine-tuning showed the class, if known."""


@dataclass(frozen=True)
class LinearProbeSet:
    """Images of one class each to fit a linear classifier on, and others to score it on."""

    name: str
    images: tuple[BenchmarkImage, ...]
    labels: np.ndarray
    """int64 (M,): index into the class names."""
    class_names: tuple[str, ...]
    training: np.ndarray
    """bool (M,): whether the classifier is fitted on the image; the others are scored."""


@dataclass(frozen=True)
class RetrievalSet:
    """Images and captions; each caption belongs to one image."""

    name: str
    images: tuple[BenchmarkImage, ...]
    texts: tuple[str, ...]
    text_image: np.ndarray
    """int64 (T,): the index of each caption's image."""
    equal_texts_are_right: bool = True
    """Whether a caption is also right for the images whose captions have the same text. Karpathy's test splits count a caption
    for its own image only."""

    def num_shared(self) -> int:
        """Captions whose text is also a caption of another image."""
        images: dict[str, set[int]] = {}
        for text, image in zip(self.texts, self.text_image.tolist(), strict=True):
            images.setdefault(text, set()).add(image)
        return sum(len(images[text]) > 1 for text in self.texts)


@dataclass(frozen=True)
class LabelledRetrievalSet:
    """Images and captions of which people said, for some of them, all that is right (ECCV-Caption); only these are queries."""

    name: str
    images: tuple[BenchmarkImage, ...]
    texts: tuple[str, ...]
    text_image: np.ndarray
    """int64 (T,): the index of each caption's own image, without which it leaves the pool."""
    right_texts: Mapping[int, tuple[int, ...]]
    """Image to the captions that are right for it; -1 is one that is not among `texts`, and counts as not found."""
    right_images: Mapping[int, tuple[int, ...]]
    """Caption to the images that are right for it; -1 as above."""


BenchmarkSet = ChoiceSet | ParaphraseSet | MatchSet | ClassificationSet | LinearProbeSet | RetrievalSet | LabelledRetrievalSet


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as a reader found it."""

    sets: tuple[BenchmarkSet, ...]
    averages: tuple[Average, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What a reader of the scores must know, such as `351 of 7,511 official items`."""
    absent: Mapping[str, int] = field(default_factory=dict)
    """Set name to the number of official items that the files lack; the set is then marked incomplete."""
    candidates: str = ""
    """The items drawn for this benchmark, as JSONL for the reader `word_order`; kept in the artifact."""


def file_images(folder: Path, names: list[str]) -> tuple[tuple[BenchmarkImage, ...], list[int]]:
    """The distinct images among `names`, and for each name the index of its image."""
    position = {name: index for index, name in enumerate(dict.fromkeys(names))}
    folders = ImageFolders([folder])
    return tuple(BenchmarkImage(name, folders.path(name)) for name in position), [position[name] for name in names]
