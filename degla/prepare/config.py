"""Settings of the prepare stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from degla.catalog import Card, load_card, path_checksum
from degla.config import NO_EFFECT, StageConfig

ImageFormat = Literal["jpeg", "raw"]


class PrepareConfig(StageConfig):
    """Prepare: which dataset, and how its images are stored."""

    stage: ClassVar[str] = "prepare"
    version: ClassVar[int] = 5
    needs: ClassVar[tuple[str, ...]] = ()

    dataset: str = "miniworld"
    """Name of a dataset card in `data_catalog/`."""

    images: str | None = None
    """Image folder; overrides the card's. `none` prepares the captions only."""

    captions: str | None = None
    """Caption file; overrides the card's."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Reader options that override the card's, such as `num_scenes` or `image_column`."""

    limit: int | None = Field(None, ge=1)
    """Number of images to take from the start, with all their captions; empty takes all."""

    short_side: int = Field(256, ge=0)
    """Pixels of the shorter side, to which larger images are scaled down; smaller ones keep their pixels. 0 scales none. For a
    model with inputs of more than 224 pixels, take 8/7 of its input."""

    image_format: ImageFormat = "jpeg"
    """`jpeg`: scaled images are stored as JPEG (quality 90), others keep their bytes. `raw`: all as pixels, which train reads
    faster, in about ten times the space."""

    max_bad_image_fraction: float = Field(0.01, ge=0, le=1)
    """Fail if a larger share of the images is missing or undecodable; the message lists them."""

    unit_size: int = Field(500, ge=1, json_schema_extra=NO_EFFECT)
    """Images, with their captions, per unit that a killed run keeps."""

    workers: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Number of processes; 0 takes every core."""

    def card(self) -> Card:
        """The dataset's card, its options overridden by this config's."""
        card = load_card(self.dataset, "dataset")
        return card.model_copy(update={"options": {**card.options, **self.options}})

    def captions_path(self) -> Path | None:
        """The caption file; None for a card without one. Raises MissingInputError if it does not exist."""
        return self._path("captions", self.captions)

    def images_path(self) -> Path | None:
        """The image folder; None for captions only. Raises MissingInputError if it does not exist."""
        return None if self.images == "none" else self._path("images", self.images)

    def _path(self, role: str, given: str | None) -> Path | None:
        card = self.card().at({role: given})
        return card.file(role) if role in card.files else None

    def raw_inputs(self) -> dict[str, str]:
        paths = {"captions": self.captions_path(), "images": self.images_path()}
        return {"card": self.card().checksum()} | {role: path_checksum(path) for role, path in paths.items() if path}
