"""What the ranks train on: captions joined with their images, cut into batches that depend on nothing but the seed.

`join` runs once, before the ranks start, and leaves two Arrow files that all ranks map into memory. Order, negatives and
crops are functions of (seed, epoch, caption), so the content of a global batch is the same for any number of ranks or
threads, and a run continues at any step. Knows neither models nor DeepSpeed. Called by `degla.train.stage` (`join`) and
`degla.train.worker`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from degla.errors import ConfigError, DataError, InputError
from degla.files import atomic_path
from degla.schemas import IMAGES, NEGATIVE_TYPES, TRAINING, NegativeType, read_table

SAMPLES_FILE = "samples.arrow"
IMAGES_FILE = "images.arrow"
_ORDER, _NEGATIVES, _CROP, _OTHER = range(4)  # what a random stream is for


@dataclass(frozen=True)
class JoinCounts:
    """How many captions train, and how many are left out because their image is missing or undecodable."""

    captions: int
    captions_without_image: int
    images: int
    negatives: int


def join(images_path: Path, training_path: Path, types: Sequence[NegativeType], folder: Path) -> JoinCounts:
    """Join the training table with the images and write `samples.arrow` and `images.arrow` into `folder`.

    Args:
        images_path: prepare's `images.parquet`.
        training_path: filter's `training.parquet`.
        types: negatives of other types are left out.
        folder: where to.

    Raises:
        DataError: an image that a caption names is not in the table.
        InputError: no caption has a usable image.
    """
    training = read_table(training_path, TRAINING)
    status = read_table(images_path, IMAGES, ["image_id", "status"])
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
    used = pc.and_(usable, pc.is_in(status["image_id"], kept["image_id"].combine_chunks()))
    num_images = _write_images(images_path, used.to_numpy(), folder / IMAGES_FILE)
    rows = pc.index_in(kept["image_id"], status.filter(used)["image_id"].combine_chunks())
    negatives = _negatives(kept["negatives"], types)
    samples = pa.table({"caption_id": kept["caption_id"], "image_row": rows, "caption": kept["caption"], **negatives})
    with atomic_path(folder / SAMPLES_FILE) as path, pa.ipc.new_file(path, samples.schema) as writer:
        writer.write_table(samples.combine_chunks())
    return JoinCounts(len(kept), len(training) - len(kept), num_images, len(negatives["negatives"].flatten()))


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


def _write_images(source: Path, used: np.ndarray, target: Path) -> int:
    """Copy the encoded images of the used rows, row group by row group; returns how many."""
    schema = pa.schema([pa.field("image", pa.large_binary())])
    parquet, start, count = pq.ParquetFile(source), 0, 0
    with atomic_path(target) as path, pa.ipc.new_file(path, schema) as writer:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, columns=["image"])
            table = table.filter(pa.array(used[start : start + len(table)]))
            start += parquet.metadata.row_group(group).num_rows
            count += len(table)
            writer.write_table(table.cast(schema))
    return count


class Samples:
    """The joined captions, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        table = pa.ipc.open_file(pa.memory_map(str(folder / SAMPLES_FILE))).read_all().combine_chunks()
        negatives = table["negatives"].combine_chunks()
        self.caption_ids: np.ndarray = table["caption_id"].to_numpy()
        self.image_rows: np.ndarray = table["image_row"].to_numpy()
        self._captions, self._negatives = table["caption"], negatives.flatten()
        self._types: np.ndarray = table["negative_types"].combine_chunks().flatten().to_numpy()
        self._offsets: np.ndarray = negatives.offsets.to_numpy()
        self._images = pa.ipc.open_file(pa.memory_map(str(folder / IMAGES_FILE))).read_all()["image"]

    def __len__(self) -> int:
        return len(self.caption_ids)

    def image(self, sample: int) -> Image.Image:
        """The decoded RGB image of a sample. Raises DataError where it cannot be decoded."""
        try:
            return Image.open(io.BytesIO(self._images[int(self.image_rows[sample])].as_py())).convert("RGB")
        except (OSError, ValueError) as error:
            raise DataError(f"the image of caption {self.caption_ids[sample]} cannot be decoded: {error}") from error

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


@dataclass(frozen=True)
class Plan:
    """Which samples are in which batch: a new shuffle each epoch, the incomplete last batch left out.

    Args:
        num_samples: captions in all.
        batch_size: global batch.
        seed: of the order.
        rank, num_ranks: this rank's share is one contiguous block of each global batch.
    """

    num_samples: int
    batch_size: int
    seed: int
    rank: int = 0
    num_ranks: int = 1

    def __post_init__(self) -> None:
        if self.num_samples < self.batch_size:
            raise ConfigError(
                f"train.batch_size={self.batch_size}, but there are only {self.num_samples} captions with an image: lower it"
            )
        if self.batch_size % self.num_ranks:
            raise ConfigError(f"train.batch_size={self.batch_size} cannot be split evenly over {self.num_ranks} ranks")

    @property
    def steps_per_epoch(self) -> int:
        return self.num_samples // self.batch_size

    def epoch(self, step: int) -> int:
        """The epoch of a step; both count from 0."""
        return step // self.steps_per_epoch

    def samples(self, step: int) -> np.ndarray:
        """This rank's sample numbers at a step."""
        order = _order(self.seed, self.epoch(step), self.num_samples)
        share = self.batch_size // self.num_ranks
        start = (step % self.steps_per_epoch) * self.batch_size + self.rank * share
        return order[start : start + share]


@lru_cache(maxsize=2)  # batches are made ahead, so two epochs may be under way
def _order(seed: int, epoch: int, num_samples: int) -> np.ndarray:
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(num_samples)


def own_negatives(num_samples: int) -> np.ndarray:
    """Each caption keeps its own negatives."""
    return np.arange(num_samples)


def other_negatives(image_rows: np.ndarray, seed: int) -> np.ndarray:
    """Whose negatives each caption gets in the control experiment: a permutation that leaves none in its place.

    Captions are lined up image by image in random order and shifted by the largest group, so that the other caption
    belongs to another image as long as there are enough images.
    """
    count = len(image_rows)
    shuffled = np.random.default_rng([seed, _OTHER]).permutation(image_rows.max() + 1)
    line = np.argsort(shuffled[image_rows], kind="stable")
    shift = min(int(np.bincount(image_rows).max()), count - 1)
    others = np.empty(count, dtype=np.int64)
    others[line] = np.roll(line, -shift)
    return others


def choose(negatives: np.ndarray, limit: int, seed: int, epoch: int, caption_id: int) -> np.ndarray:
    """At most `limit` of a caption's negatives, drawn anew each epoch where there are more."""
    if len(negatives) <= limit:
        return negatives
    return np.random.default_rng([seed, _NEGATIVES, epoch, caption_id]).choice(negatives, limit, replace=False)


@dataclass(frozen=True)
class Crop:
    """RandomResizedCrop, or the evaluation's resize and centre crop where `scale` is (1, 1).

    Args:
        size: height and width of the result, pixels.
        scale: share of the image's area.
        seed: of the crops.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    seed: int

    def __call__(self, image: Image.Image, epoch: int, caption_id: int) -> np.ndarray:
        """uint8 (height, width, 3), bicubic."""
        if self.scale == (1.0, 1.0):
            box = _centre_box(image, self.size)
        else:
            box = self._random_box(image, np.random.default_rng([self.seed, _CROP, epoch, caption_id]))
        height, width = self.size
        return np.asarray(image.crop(box).resize((width, height), Image.Resampling.BICUBIC))

    def _random_box(self, image: Image.Image, random: np.random.Generator) -> tuple[int, int, int, int]:
        area = image.width * image.height
        for _ in range(10):
            target = area * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
            width, height = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
            if 0 < width <= image.width and 0 < height <= image.height:
                left = int(random.integers(image.width - width + 1))
                top = int(random.integers(image.height - height + 1))
                return left, top, left + width, top + height
        return _centre_box(image, self.size)


def _centre_box(image: Image.Image, size: tuple[int, int]) -> tuple[int, int, int, int]:
    height, width = size
    shrink = min(image.width / width, image.height / height)
    used_width, used_height = round(width * shrink), round(height * shrink)
    left, top = (image.width - used_width) // 2, (image.height - used_height) // 2
    return left, top, left + used_width, top + used_height


class TokenCache:
    """Token rows of the texts, made when a text is first used and kept in the narrowest type that holds them."""

    def __init__(self, samples: Samples, tokenize: Callable[[Sequence[str]], np.ndarray], context: int, vocabulary: int) -> None:
        self._samples, self._tokenize = samples, tokenize
        dtype = np.uint16 if vocabulary <= 1 << 16 else np.int32
        self._rows = np.zeros((samples.num_texts, context), dtype)
        self._made = np.zeros(samples.num_texts, bool)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """int64 (texts, context)."""
        new = np.unique(numbers[~self._made[numbers]])
        if len(new):
            self._rows[new] = self._tokenize([self._samples.text(int(number)) for number in new])
            self._made[new] = True
        return self._rows[numbers].astype(np.int64)


@dataclass(frozen=True)
class Batch:
    """One rank's share of a step: B captions with at most K negatives each, T texts in all."""

    step: int
    image_BHW3: np.ndarray
    """uint8 pixels."""
    text_TL: np.ndarray
    """int64 token rows, cut at the longest: first the B captions, then the negatives that exist."""
    slot_T: np.ndarray
    """The place of each text in B captions followed by (B, K) negatives."""
    type_BK: np.ndarray
    """The type of each negative as a number in `NEGATIVE_TYPES`, int8; -1 where there is none."""

    @property
    def mask_BK(self) -> np.ndarray:
        """Which negatives exist."""
        return self.type_BK >= 0


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batch of any step. Safe to call from several threads.

    Args:
        samples, plan, crop, tokens: what they say.
        negatives_of: whose negatives each sample gets.
        num_negatives: K.
        used_length: how many leading tokens of these rows the model needs.
    """

    samples: Samples
    plan: Plan
    crop: Crop
    tokens: TokenCache
    negatives_of: np.ndarray
    num_negatives: int
    used_length: Callable[[np.ndarray], int]

    def __call__(self, step: int) -> Batch:
        numbers, epoch = self.plan.samples(step), self.plan.epoch(step)
        images = [self.crop(self.samples.image(n), epoch, int(self.samples.caption_ids[n])) for n in numbers]
        chosen = [self._negatives(n, epoch) for n in numbers]
        mask_BK = np.arange(self.num_negatives) < np.array([len(each) for each in chosen])[:, None]
        slot_T = np.concatenate([np.arange(len(numbers)), len(numbers) + np.flatnonzero(mask_BK)])
        type_BK = np.full(mask_BK.shape, -1, np.int8)
        text_T = np.concatenate([numbers, *chosen])
        type_BK[mask_BK] = self.samples.types(text_T[len(numbers) :])
        text_TL = self.tokens.rows(text_T)
        return Batch(step, np.stack(images), text_TL[:, : self.used_length(text_TL)], slot_T, type_BK)

    def _negatives(self, sample: int, epoch: int) -> np.ndarray:
        source = self.negatives_of[sample]
        caption_id = int(self.samples.caption_ids[sample])
        return choose(self.samples.negatives_of(source), self.num_negatives, self.plan.seed, epoch, caption_id)


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
