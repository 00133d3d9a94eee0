"""Features of images and texts under one model: each distinct one encoded once, in fp32, whatever the batches.

Knows nothing of benchmarks. Called by `degla.evaluate.stage`; `degla.evaluate.outcomes` asks it for features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from degla.evaluate.records import BenchmarkImage, UnreadableImage
from degla.models.features import image_features, in_batches, text_features
from degla.models.loading import LoadedClip


@dataclass(frozen=True)
class EncodedImages:
    """Features (M, D) of images; the rows of those that could not be read are zero and named in `problems`."""

    features: np.ndarray
    problems: dict[int, UnreadableImage]


@dataclass(frozen=True)
class EncodedTexts:
    """Features (T, D) of texts, and which of them (T,) were longer than the model's context and so cut off."""

    features: np.ndarray
    truncated: np.ndarray


@dataclass
class Encoder:
    """Encodes for one model and remembers: an image or text met again, in this benchmark or the next, costs nothing.

    Args:
        clip: the model, on the device it computes on.
        batch_size: images or texts at once; changes speed and memory, not scores.
        report: called with a line for people as work goes on.
    """

    clip: LoadedClip
    batch_size: int
    report: Callable[[str], None] = lambda note: None
    _images: dict[str, np.ndarray | UnreadableImage] = field(default_factory=dict)
    _texts: dict[str, np.ndarray] = field(default_factory=dict)
    _truncated: set[str] = field(default_factory=set)

    def images(self, images: Sequence[BenchmarkImage]) -> EncodedImages:
        """Normalised features of images, float64.

        Raises:
            OSError: the file system failed (not: a file that is missing or broken, which is a problem of its image).
        """
        new = [image for image in {image.key: image for image in images}.values() if image.key not in self._images]
        keys = [image.key for image in new]
        report = self._reporter(len(new), "images")
        rows = in_batches(self._encode_images, new, self.batch_size, self.clip.device, report)
        self._images.update(zip(keys, rows, strict=True))
        known = [self._images[image.key] for image in images]
        problems = {index: row for index, row in enumerate(known) if isinstance(row, UnreadableImage)}
        blank = np.zeros(next((len(row) for row in known if isinstance(row, np.ndarray)), 1))
        return EncodedImages(np.stack([blank if isinstance(row, UnreadableImage) else row for row in known]), problems)

    def texts(self, texts: Sequence[str]) -> EncodedTexts:
        """Normalised features of texts, float64. Texts longer than the context are cut as open_clip's tokenizers cut them."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            tokens = self.clip.tokenizer(new)
            self._truncated.update(text for text, cut in zip(new, self._cut(new, tokens), strict=True) if cut)
            features = text_features(self.clip, tokens, self.batch_size, self._reporter(len(new), "texts"))
            self._texts.update(zip(new, features, strict=True))
        features = np.stack([self._texts[text] for text in texts])
        return EncodedTexts(features, np.array([text in self._truncated for text in texts]))

    def _reporter(self, total: int, what: str) -> Callable[[int], None]:
        return lambda done: self.report(f"{done:,} of {total:,} {what}")

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

    def _cut(self, texts: list[str], tokens: Tensor) -> list[bool]:
        # a text was cut if one more place in the context changes the tokens before it
        full = (tokens[:, -1] != 0).nonzero()[:, 0].tolist()
        cut = [False] * len(texts)
        if full:
            longer = self.clip.tokenizer([texts[row] for row in full], context_length=tokens.shape[1] + 1)
            for row, extended in zip(full, longer, strict=True):
                cut[row] = not torch.equal(extended[:-1], tokens[row])
        return cut
