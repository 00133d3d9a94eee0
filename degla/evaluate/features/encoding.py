"""Encode each distinct image and text that a store lacks, once, in fp32.

Texts that begin alike, of any benchmark, are encoded together, and their common beginning once. Features are stored in pieces: a
killed run resumes at its piece, with the same batches. Knows nothing of benchmarks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from degla import checksums
from degla.evaluate.benchmark import BenchmarkImage, UnreadableImage
from degla.evaluate.features.contents import image_keys, text_keys, token_keys
from degla.evaluate.features.store import StoredFeatures
from degla.files import write_text_atomic
from degla.models.fast_modules import make_fast
from degla.models.features import check_finite, encoding_order, image_features, in_batches, text_features
from degla.models.loading import LoadedClip

FEATURES_VERSION = 5
"""Raised whenever the same model, image or text gives other features."""

T = TypeVar("T")

_PIECE = 4096  # images or texts that are stored at once; a killed run loses at most these


def identity(clip: LoadedClip) -> dict[str, Any]:
    """All that features depend on, as JSON values: weights, architecture, activation, preprocessing, tokenizer, device."""
    return {
        "version": FEATURES_VERSION,
        "weights": weights_hash(clip.model),
        "architecture": clip.architecture,
        "activation": clip.activation,
        "preprocessing": clip.preprocessing.as_config(),
        "tokenizer": {path.name: checksums.read(path) for path in clip.tokenizer_files} or "open_clip",
        "device": clip.device.type,
    }


def folder_name(described: dict[str, Any]) -> str:
    """The folder of a model's features, below the folder of all."""
    return checksums.of_value(described)[:16]


def weights_hash(model: torch.nn.Module) -> str:
    """SHA-256 over the sorted names, shapes and values of all weights: equal for equal weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@dataclass
class FeatureEncoder:
    """Encodes for one model what its store lacks.

    Args:
        clip: the model, on its device; its modules are exchanged for fast ones on the same weights.
        name: of the model in messages.
        folder: where its features are stored.
        batch_size: images or texts at once; changes speed and memory, not scores.
        report: called with a line of progress.
    """

    clip: LoadedClip
    name: str
    folder: Path
    batch_size: int
    report: Callable[[str], None] = lambda note: None
    features: StoredFeatures = field(init=False)
    undecodable: dict[str, str] = field(default_factory=dict)
    """Key of an image (hexadecimal) to the reason why it could not be decoded."""

    def __post_init__(self) -> None:
        self.features = StoredFeatures(self.folder, self.undecodable)
        make_fast(self.clip.model)

    def images(self, images: Iterable[BenchmarkImage]) -> int:
        """Encode and store the images that are new; returns how many. Those that cannot be decoded go to `undecodable`.

        Raises:
            ModelError: a feature is not finite.
            OSError: the file system failed (not: a file that is missing or broken, which is a problem of its image).
        """
        images = list(images)
        known = self.features.image_store
        new = {
            key: image
            for key, image in zip(image_keys(images), images, strict=True)
            if isinstance(key, bytes) and key not in known
        }
        for done, keys in self._pieces(list(new)):
            piece = [new[key] for key in keys]
            say = self._reporter(done, len(new), "images")
            rows = list(in_batches(self._encode_images, piece, self.batch_size, self.clip.device, say))
            readable = {key: row for key, row in zip(keys, rows, strict=True) if isinstance(row, np.ndarray)}
            self.undecodable |= {k.hex(): str(row) for k, row in zip(keys, rows, strict=True) if isinstance(row, UnreadableImage)}
            check_finite(self.name, list(readable.values()), [f"image {new[key].id}" for key in readable])
            known.add(list(readable), list(readable.values()), [False] * len(readable), list(readable))
        return len(new)

    def texts(self, texts: Iterable[str]) -> int:
        """Encode and store the texts that are new; returns how many. Those longer than the context are cut as open_clip's
        tokenizers cut them. Texts of equal tokens get one feature, so that they tie whatever the batches.

        Raises:
            ModelError: a feature is not finite.
        """
        texts = list(dict.fromkeys(texts))
        known = self.features.text_store
        new = [text for text, key in zip(texts, text_keys(texts), strict=True) if key not in known]
        if not new:
            return 0
        tokens = torch.cat([self.clip.tokenizer(new[start : start + _PIECE]) for start in range(0, len(new), _PIECE)])
        cut = self.clip.cuts(new, tokens).tolist()
        inputs, keys = token_keys(tokens.numpy()), text_keys(new)
        first = {key: row for row, key in reversed(list(enumerate(inputs))) if not known.has_input(key)}
        distinct = sorted(first.values())
        order = encoding_order(self.clip.model, tokens[distinct])
        for done, rows in self._pieces([distinct[place] for place in order]):
            say = self._reporter(done, len(distinct), "texts")
            features = text_features(self.clip, tokens[list(rows)], self.batch_size, say)
            check_finite(self.name, features, [f"text {new[row]!r}" for row in rows])
            known.add(_rows(keys, rows), features, _rows(cut, rows), _rows(inputs, rows))
        alike = sorted(set(range(len(new))) - set(distinct))
        known.add(_rows(keys, alike), known.of_inputs(_rows(inputs, alike)), _rows(cut, alike), _rows(inputs, alike))
        return len(new)

    def _pieces(self, items: Sequence[Any]) -> Iterable[tuple[int, Sequence[Any]]]:
        """Parts of whole batches, with the number of items before each."""
        size = self.batch_size * max(1, _PIECE // self.batch_size)
        for start in range(0, len(items), size):
            yield start, items[start : start + size]

    def _reporter(self, before: int, total: int, what: str) -> Callable[[int], None]:
        return lambda done: self.report(f"{self.name}: {before + done:,} of {total:,} {what}")

    def _encode_images(self, images: Sequence[BenchmarkImage]) -> list[np.ndarray | UnreadableImage]:
        pixels = [self._pixels(image) for image in images]
        readable = [item for item in pixels if isinstance(item, Tensor)]
        if not readable:
            return [item for item in pixels if isinstance(item, UnreadableImage)]
        rows = iter(image_features(self.clip, readable))
        return [next(rows) if isinstance(item, Tensor) else item for item in pixels]

    def _pixels(self, image: BenchmarkImage) -> Tensor | UnreadableImage:
        try:
            return self.clip.preprocess(image.open())
        except UnreadableImage as problem:
            return problem


def _rows(column: Sequence[T], rows: Iterable[int]) -> list[T]:
    return [column[row] for row in rows]


def describe(folder: Path, described: dict[str, Any]) -> None:
    """Write into the folder of a model's features which model it is."""
    write_text_atomic(folder / "model.json", json.dumps(described, indent=1))
