"""A small CLIP, and an encoder whose features are asked for at once, as tests want them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from degla.evaluate.benchmark import BenchmarkImage
from degla.evaluate.features.encoding import FeatureEncoder
from degla.evaluate.features.store import ImageFeatures, TextFeatures
from degla.outcomes.scores import ScoreRecord

TINY = {
    "model_cfg": {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
}
"""A CLIP of 2 M parameters with open_clip's own tokenizer."""


@dataclass
class Encoded:
    """Encodes what is asked for, and gives its features."""

    encoder: FeatureEncoder

    def images(self, images: Sequence[BenchmarkImage]) -> ImageFeatures:
        self.encoder.images(images)
        return self.encoder.features.images(images)

    def texts(self, texts: Sequence[str]) -> TextFeatures:
        self.encoder.texts(texts)
        return self.encoder.features.texts(texts)


MakeEncoder = Callable[..., Encoded]


def read_scores(path: Path) -> list[ScoreRecord]:
    return [ScoreRecord.model_validate(row) for row in json.loads(path.read_text())]
