"""An encoder whose features are asked for at once, as tests want them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from degla.evaluate.encoding import Encoder
from degla.evaluate.features import ImageFeatures, TextFeatures
from degla.evaluate.records import BenchmarkImage


@dataclass
class Encoded:
    """Encodes what is asked for, and gives its features."""

    encoder: Encoder

    def images(self, images: Sequence[BenchmarkImage]) -> ImageFeatures:
        self.encoder.images(images)
        return self.encoder.features.images(images)

    def texts(self, texts: Sequence[str]) -> TextFeatures:
        self.encoder.texts(texts)
        return self.encoder.features.texts(texts)


MakeEncoder = Callable[..., Encoded]
