"""Features of images and texts under one model, kept in files by content: written once, read by any later run.

A file holds keys (`degla.evaluate.features.contents`) with their features; its name is a hash of the keys, so two processes
that encode the same write the same file. Nothing here loads a model: reading a feature that was not stored is an error.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from degla.errors import DataError
from degla.evaluate.benchmark import BenchmarkImage, UnreadableImage
from degla.evaluate.features.contents import KEY_BYTES, image_keys, text_keys
from degla.evaluate.protocols import normalised
from degla.files import atomic_path, finished_files
from degla.outcomes.items import STATUS_UNDECODABLE

logger = logging.getLogger(__name__)

_SUFFIX = ".arrow"


@dataclass(frozen=True)
class ImageFeatures:
    """Features (M, D) of images; the rows of those that could not be read are zero and named in `problems`."""

    features: np.ndarray
    problems: dict[int, UnreadableImage]


@dataclass(frozen=True)
class TextFeatures:
    """Features (T, D) of texts, and which of them (T,) were longer than the model's context and so cut off."""

    features: np.ndarray
    truncated: np.ndarray


class Store:
    """Features by key in the files of one folder. A damaged file is skipped, and its content encoded again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[bytes, tuple[int, int]] = {}
        self._of_input: dict[bytes, tuple[int, int]] = {}
        self._features: list[np.ndarray] = []
        self._truncated: list[np.ndarray] = []
        for path in finished_files(folder, f"*{_SUFFIX}"):
            self._read(path)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def has_input(self, key: bytes) -> bool:
        """Whether the feature of these tokens is known, for whichever text."""
        return key in self._of_input

    def of_inputs(self, inputs: Sequence[bytes]) -> list[np.ndarray]:
        """The features of known tokens, as stored."""
        return [self._features[file][row] for file, row in map(self._of_input.__getitem__, inputs)]

    def add(
        self,
        keys: Sequence[bytes],
        features: Sequence[np.ndarray] | np.ndarray,
        truncated_N: Sequence[bool],
        inputs: Sequence[bytes],
    ) -> None:
        """Write the features of N keys, in float32, to a file of their own.

        Args:
            keys: of the contents; without any, nothing is written.
            features: a row (D,) for each.
            truncated_N: whether the text was cut.
            inputs: hash of the tokens that the model was given; of an image its key.
        """
        if not keys:
            return
        features_ND = np.ascontiguousarray(features, dtype=np.float32)
        width = features_ND.shape[1]
        values = pa.array(features_ND.reshape(-1))
        columns = {
            "key": pa.array(keys, pa.binary(KEY_BYTES)),
            "feature": pa.FixedSizeListArray.from_arrays(values, width),
            "truncated": pa.array(truncated_N, pa.bool_()),
            "input": pa.array(inputs, pa.binary(KEY_BYTES)),
        }
        table = pa.table(columns)
        path = self._folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:32]}{_SUFFIX}"
        with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as to:
            to.write_table(table, max_chunksize=len(keys))
        self._read(path)

    def get(self, keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D) of norm 1 in float64, and whether the text was cut, bool (N,). Raises KeyError if one is absent."""
        places = [self._places[key] for key in keys]
        rows = [self._features[file][row] for file, row in places]
        cut = np.array([self._truncated[file][row] for file, row in places], dtype=bool)
        return normalised(np.stack(rows)) if rows else np.zeros((0, 1)), cut

    def _read(self, path: Path) -> None:
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            values = batch.column("feature")
            features = values.values.to_numpy().reshape(len(values), -1)
            keys, inputs = batch.column("key").to_pylist(), batch.column("input").to_pylist()
            truncated = batch.column("truncated").to_numpy(zero_copy_only=False)
        except (pa.ArrowException, OSError, KeyError, ValueError, AttributeError) as error:
            logger.warning("%s is damaged and skipped: %s", path, error)
            return
        self._places.update((key, (len(self._features), row)) for row, key in enumerate(keys))
        self._of_input.update((key, (len(self._features), row)) for row, key in enumerate(inputs))
        self._features.append(features)
        self._truncated.append(truncated)


@dataclass
class StoredFeatures:
    """The features of one model, and the images that could not be decoded."""

    folder: Path
    undecodable: Mapping[str, str] = field(default_factory=dict)
    """Key of an image in hexadecimal digits to the reason why it could not be decoded."""

    def __post_init__(self) -> None:
        self.image_store, self.text_store = Store(self.folder / "images"), Store(self.folder / "texts")

    def images(self, images: Sequence[BenchmarkImage]) -> ImageFeatures:
        """Features of images; missing and undecodable ones are named.

        Raises:
            DataError: an image was not encoded.
        """
        keys = [self._problem(image, key) for image, key in zip(images, image_keys(images), strict=True)]
        problems = {index: key for index, key in enumerate(keys) if isinstance(key, UnreadableImage)}
        readable = {index: key for index, key in enumerate(keys) if not isinstance(key, UnreadableImage)}
        found, _ = _get(self.image_store, list(readable.values()), [images[index].id for index in readable])
        features = np.zeros((len(images), found.shape[1]))
        features[list(readable)] = found
        return ImageFeatures(features, problems)

    def texts(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts. Raises DataError if one was not encoded."""
        return TextFeatures(*_get(self.text_store, text_keys(texts), texts))

    def _problem(self, image: BenchmarkImage, key: bytes | UnreadableImage) -> bytes | UnreadableImage:
        if isinstance(key, bytes) and key.hex() in self.undecodable:
            return UnreadableImage(STATUS_UNDECODABLE, f"{image.id}: {self.undecodable[key.hex()]}")
        return key


def _get(store: Store, keys: Sequence[bytes], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    for key, name in zip(keys, names, strict=True):
        if key not in store:
            raise DataError(
                f"{name!r} was not encoded: the benchmark's files have changed since the run began, or its features were deleted."
                f" Run the evaluate stage again with --refresh."
            )
    return store.get(keys)
