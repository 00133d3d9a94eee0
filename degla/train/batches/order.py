"""The captions of each batch: a function of seed and step, so that a run can continue at any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from degla.errors import ConfigError
from degla.train.batches.streams import Stream, stream

_SHARD = 1_024  # captions read one after the other, with a window
_DRAWS = 20


@dataclass(frozen=True, eq=False)
class Plan:
    """A new shuffle each epoch; the incomplete last batch is dropped.

    Args:
        image_rows: row of each caption's image in the store.
        batch_size: global batch.
        seed: of the order.
        rank, num_ranks: this rank's share is one contiguous block of each global batch.
        window: captions are shuffled within so many neighbours; 0 shuffles all (see `windowed`).
        images_apart: no batch holds two captions of one image (see `apart`).

    Raises:
        ConfigError: the batch size does not fit the data or the ranks.
    """

    image_rows: np.ndarray
    batch_size: int
    seed: int
    rank: int = 0
    num_ranks: int = 1
    window: int = 0
    images_apart: bool = False

    def __post_init__(self) -> None:
        if self.num_samples < self.batch_size:
            raise ConfigError(
                f"train.batch_size={self.batch_size}, but there are only {self.num_samples} captions with an image: lower it"
            )
        if self.batch_size % self.num_ranks:
            raise ConfigError(f"train.batch_size={self.batch_size} cannot be split evenly over {self.num_ranks} ranks")
        if self.images_apart:
            self._order(0)  # raises now if there are too few images

    @property
    def num_samples(self) -> int:
        return len(self.image_rows)

    @property
    def steps_per_epoch(self) -> int:
        return self.num_samples // self.batch_size

    def epoch(self, step: int) -> int:
        """The epoch of a step; both count from 0."""
        return step // self.steps_per_epoch

    def samples(self, step: int) -> np.ndarray:
        """This rank's sample numbers at a step."""
        share = self.batch_size // self.num_ranks
        start = (step % self.steps_per_epoch) * self.batch_size + self.rank * share
        return self._order(self.epoch(step))[start : start + share]

    @cached_property
    def _order(self) -> Callable[[int], np.ndarray]:
        return lru_cache(maxsize=2)(self._shuffled)  # batches are made ahead, so two epochs may be under way

    def _shuffled(self, epoch: int) -> np.ndarray:
        random = stream(self.seed, Stream.ORDER, epoch)
        if self.images_apart:
            return apart(self.image_rows, self.batch_size, random)
        if self.window:
            return windowed(self.image_rows, self.window, random)
        return random.permutation(self.num_samples)


def windowed(image_rows: np.ndarray, window: int, random: np.random.Generator) -> np.ndarray:
    """An order that reads the store piece by piece, for a store larger than memory.

    Shards of captions whose images lie side by side are shuffled, and then the captions within each `window` of them: at any
    time the images in use lie in window / 1024 places.
    """
    line = np.argsort(image_rows, kind="stable")
    shards = np.array_split(line, -(-len(line) // _SHARD))
    order = np.concatenate([shards[number] for number in random.permutation(len(shards))])
    for start in range(0, len(order), window):
        random.shuffle(order[start : start + window])
    return order


def apart(image_rows: np.ndarray, batch_size: int, random: np.random.Generator) -> np.ndarray:
    """An order in which no batch holds two captions of one image.

    The c captions of an image, shuffled, follow each other at 1/c of the epoch from a random start, which keeps them about
    N/c places apart.

    Raises:
        ConfigError: no order was found: there are too few images for the batch.
    """
    count = np.bincount(image_rows)
    for _ in range(_DRAWS):
        shuffled = random.permutation(len(image_rows))
        line = shuffled[np.argsort(image_rows[shuffled], kind="stable")]  # image by image
        image = image_rows[line]
        number = np.arange(len(line)) - (np.cumsum(count) - count)[image]
        order = line[np.argsort((random.random(len(count))[image] + number / count[image]) % 1, kind="stable")]
        used = order[: len(order) // batch_size * batch_size]
        in_batches = np.sort(image_rows[used].reshape(-1, batch_size), axis=1)
        if (np.diff(in_batches, axis=1) > 0).all():
            return order
    raise ConfigError(
        f"train.images_apart: {np.count_nonzero(count):,} images with up to {count.max()} captions each are too few for batches"
        f" of {batch_size} without two captions of one image. Lower train.batch_size, or set train.images_apart=false."
    )
