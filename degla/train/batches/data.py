"""What the ranks train on: captions joined with their images, cut into batches that depend on nothing but the seed.

`join` runs once, before the ranks start, and writes an Arrow file that all ranks map into memory, as they do with prepare's
images. Order, negatives and crops are functions of (seed, epoch, caption), so the content of a global batch is the same for
any number of ranks or threads, and a run continues at any step. Knows neither models nor DeepSpeed, and loads no torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from degla.errors import DataError, InputError
from degla.files import atomic_path
from degla.images import ImageStore, read_images
from degla.models.trees import TextTrees
from degla.negative_types import NEGATIVE_TYPES, NegativeType
from degla.schemas import TRAINING, read_table
from degla.train.batches.context import Cut
from degla.train.batches.negatives import choose
from degla.train.batches.order import Plan
from degla.train.config import TrainConfig

SAMPLES_FILE = "samples.arrow"


@dataclass(frozen=True)
class JoinCounts:
    """Captions to train on, captions left out because their image is missing or undecodable, images and negatives."""

    captions: int
    captions_without_image: int
    images: int
    negatives: int


def join(images_path: Path, training_path: Path, types: Sequence[NegativeType], folder: Path) -> JoinCounts:
    """Join the training table with the images and write `samples.arrow` into `folder`.

    Args:
        images_path: prepare's `images.arrow`.
        training_path: filter's `training.parquet`.
        types: negatives of other types are left out.
        folder: of the result.

    Raises:
        DataError: an image that a caption names is not in the table.
        InputError: no caption has a usable image.
    """
    training = read_table(training_path, TRAINING)
    status = read_images(images_path, ["image_id", "status"])
    known = pc.index_in(training["image_id"], status["image_id"].combine_chunks())
    if known.null_count:
        lost = training.filter(pc.is_null(known))["image_id"][0].as_py()
        raise DataError(f"{training_path} names image {lost!r}, which {images_path} does not have: they belong to different data")
    usable = pc.equal(status["status"], "ok")
    kept = training.filter(usable.take(known))
    if not len(kept):
        raise InputError(
            f"no caption of {training_path} has a usable image in {images_path}: train needs images. Does the dataset"
            f" card name them, and were they found by prepare?"
        )
    rows = pc.index_in(kept["image_id"], status["image_id"].combine_chunks())
    negatives = _negatives(kept["negatives"], types)
    samples = pa.table({"caption_id": kept["caption_id"], "image_row": rows, "caption": kept["caption"], **negatives})
    with atomic_path(folder / SAMPLES_FILE) as path, pa.ipc.new_file(path, samples.schema) as writer:
        writer.write_table(samples.combine_chunks())
    return JoinCounts(len(kept), len(training) - len(kept), len(pc.unique(rows)), len(negatives["negatives"].flatten()))


def _negatives(negatives: pa.ChunkedArray, types: Sequence[NegativeType]) -> dict[str, pa.ListArray]:
    """The texts of these types, a list per caption, and their types as numbers in `NEGATIVE_TYPES`."""
    lists = negatives.combine_chunks()
    flat = lists.flatten()
    wanted = pc.is_in(pc.struct_field(flat, "type"), pa.array(types, pa.string()))
    captions = pc.list_parent_indices(lists).filter(wanted).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.bincount(captions, minlength=len(lists)).cumsum()]), pa.int32())
    numbers = pc.index_in(pc.struct_field(flat, "type"), pa.array(NEGATIVE_TYPES)).cast(pa.int8())
    return {
        "negatives": pa.ListArray.from_arrays(offsets, pc.struct_field(flat, "text").filter(wanted)),
        "negative_types": pa.ListArray.from_arrays(offsets, numbers.filter(wanted)),
    }


class Samples:
    """The joined captions, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        table = pa.ipc.open_file(pa.memory_map(str(folder / SAMPLES_FILE))).read_all().combine_chunks()
        negatives = table["negatives"].combine_chunks()
        self.caption_ids: np.ndarray = table["caption_id"].to_numpy()
        self.image_rows: np.ndarray = table["image_row"].to_numpy()
        """Of each sample the row of its image in prepare's table."""
        self._captions, self._negatives = table["caption"], negatives.flatten()
        self._types: np.ndarray = table["negative_types"].combine_chunks().flatten().to_numpy()
        self._offsets: np.ndarray = negatives.offsets.to_numpy()

    def __len__(self) -> int:
        return len(self.caption_ids)

    def caption_bytes(self) -> np.ndarray:
        """Length of each caption in UTF-8."""
        return pc.binary_length(self._captions).to_numpy()

    def negatives_of(self, sample: int) -> np.ndarray:
        """The text numbers of a sample's negatives, for `text`."""
        return len(self) + np.arange(self._offsets[sample], self._offsets[sample + 1])

    def types(self, numbers: np.ndarray) -> np.ndarray:
        """The types of negatives by text number, as numbers in `NEGATIVE_TYPES`, int8."""
        return self._types[numbers - len(self)]

    def text(self, number: int) -> str:
        """Text by number: a sample's number is its caption, higher ones are negatives."""
        return (self._captions[number] if number < len(self) else self._negatives[number - len(self)]).as_py()

    @property
    def num_texts(self) -> int:
        return len(self) + len(self._negatives)


def make_plan(config: TrainConfig, samples: Samples, rank: int = 0, num_ranks: int = 1) -> Plan:
    """A rank's plan; by default that of the global batches. Raises ConfigError, see `Plan`."""
    return Plan(
        image_rows=samples.image_rows,
        batch_size=config.batch_size,
        seed=config.seed,
        rank=rank,
        num_ranks=num_ranks,
        window=config.shuffle_window,
        images_apart=config.images_apart,
    )


class TokenCache:
    """Token rows of the texts, made at first use and kept in the narrowest type that holds them.

    Args:
        samples: the texts.
        tokenize: from texts to token rows.
        used_lengths: how many leading tokens of each row the model needs.
        context: tokens per row.
        vocabulary: number of tokens.
    """

    def __init__(
        self,
        samples: Samples,
        tokenize: Callable[[Sequence[str]], np.ndarray],
        used_lengths: Callable[[np.ndarray], np.ndarray],
        context: int,
        vocabulary: int,
    ) -> None:
        self._samples, self._tokenize, self._used_lengths = samples, tokenize, used_lengths
        dtype = np.uint16 if vocabulary <= 1 << 16 else np.int32
        self._rows = np.zeros((samples.num_texts, context), dtype)
        self._made = np.zeros(samples.num_texts, bool)

    def __call__(self, numbers: np.ndarray, chosen: Sequence[np.ndarray]) -> np.ndarray:
        """Rows of some samples, each followed by the negatives chosen for it, by text number: int64, cut at the longest."""
        text_TL = self._look_up(np.concatenate([text for pair in zip(numbers[:, None], chosen, strict=True) for text in pair]))
        return text_TL[:, : self._used_lengths(text_TL).max()]

    def _look_up(self, numbers: np.ndarray) -> np.ndarray:
        new = np.unique(numbers[~self._made[numbers]])
        if len(new):
            self._rows[new] = self._tokenize([self._samples.text(int(number)) for number in new])
            self._made[new] = True
        return self._rows[numbers].astype(np.int64)


@dataclass(frozen=True)
class Batch:
    """One rank's share of a step: B captions with at most K negatives each, T texts in all, caption by caption."""

    step: int
    image_BHW3: np.ndarray
    """uint8 pixels."""
    text: np.ndarray | TextTrees
    """int64 token rows, cut at the longest, or prefix trees: of each caption and then of its negatives."""
    slot_T: np.ndarray
    """The place of each text in (B, 1 + K): captions first, then negatives."""
    type_BK: np.ndarray
    """The type of each negative as a number in `NEGATIVE_TYPES`, int8; -1 where there is none."""

    @property
    def mask_BK(self) -> np.ndarray:
        """Which negatives exist."""
        return self.type_BK >= 0


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batch of any step. Thread-safe.

    Args:
        samples, images, plan: data and order.
        crop: from pixels, epoch and caption id to the model's pixels (`degla.train.batches.pixels.Crop`).
        texts: from sample numbers and the text numbers of each one's negatives to the model's input.
        negatives_of: the sample whose negatives each sample gets.
        cut: names the negatives that no caption gets.
        num_negatives: K.
    """

    samples: Samples
    images: ImageStore
    plan: Plan
    crop: Callable[[np.ndarray, int, int], np.ndarray]
    texts: Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray | TextTrees]
    negatives_of: np.ndarray
    cut: Cut
    num_negatives: int

    def __call__(self, step: int) -> Batch:
        numbers, epoch = self.plan.samples(step), self.plan.epoch(step)
        images = [self._image(n, epoch) for n in numbers]
        chosen = [self._negatives(n, epoch) for n in numbers]
        mask_BK = np.arange(self.num_negatives) < np.array([len(each) for each in chosen])[:, None]
        type_BK = np.full(mask_BK.shape, -1, np.int8)
        type_BK[mask_BK] = self.samples.types(np.concatenate(chosen))
        slot_T = np.flatnonzero(np.insert(mask_BK, 0, True, axis=1))
        return Batch(step, np.stack(images), self.texts(numbers, chosen), slot_T, type_BK)

    def _image(self, sample: int, epoch: int) -> np.ndarray:
        caption_id = int(self.samples.caption_ids[sample])
        try:
            pixels = self.images.pixels(int(self.samples.image_rows[sample]))
        except ValueError as error:
            raise DataError(f"the image of caption {caption_id} cannot be decoded: {error}. Run prepare again.") from error
        return self.crop(pixels, epoch, caption_id)

    def _negatives(self, sample: int, epoch: int) -> np.ndarray:
        source = self.negatives_of[sample]
        caption_id = int(self.samples.caption_ids[sample])
        numbers = self.samples.negatives_of(source)
        numbers = numbers[~self.cut.dropped[numbers]]
        return choose(numbers, self.samples.types(numbers), self.num_negatives, self.plan.seed, epoch, caption_id)


class Timed:
    """Iterates over batches and counts the seconds spent waiting for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        start = time.monotonic()
        try:
            return next(self._batches)
        finally:
            self.seconds += time.monotonic() - start


def prefetched(make: Callable[[int], Batch], steps: Sequence[int], threads: int) -> Iterator[Batch]:
    """The batches of these steps in order, made ahead in background threads."""
    with ThreadPoolExecutor(threads, thread_name_prefix="batch") as pool:
        waiting: list[Future[Batch]] = []
        try:
            for step in steps:
                waiting.append(pool.submit(make, step))
                if len(waiting) > threads + 1:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
