"""Reader `miniworld`: scenes drawn on the spot from a seed, with captions and the truth about each scene."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field

from degla.config import Config, validate
from degla.miniworld.dataset import training_images
from degla.prepare.config import PrepareConfig
from degla.prepare.readers import SourceImage
from degla.sources.records import Skipped


class MiniworldOptions(Config):
    """Options of a card that names the `miniworld` reader."""

    num_scenes: int = Field(6000, ge=1)
    """Images to draw."""

    captions_per_scene: int = Field(3, ge=1)
    """Captions of each image."""

    seed: int = 0
    """Seeds the scenes and their captions."""


@dataclass
class MiniworldSource:
    """Images drawn when they are read."""

    options: MiniworldOptions
    has_images: bool = True
    skipped: list[Skipped] = field(default_factory=list)

    def __len__(self) -> int:
        return self.options.num_scenes

    def read(self, start: int, stop: int) -> Iterator[SourceImage]:
        options = self.options
        for image in training_images(options.num_scenes, options.captions_per_scene, options.seed, start, stop):
            scene = json.dumps(image.scene.to_json())
            yield SourceImage(image.image_id, f"{image.image_id}.png", image.captions, _png(image.pixels), scene=scene)


def open_miniworld(config: PrepareConfig, folder: Path) -> MiniworldSource:
    """Open the mini world; it reads no file."""
    card = config.card()
    return MiniworldSource(validate(MiniworldOptions, card.options, f"card {card.name!r} options"))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()
