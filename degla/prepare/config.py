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
    """Image folder to use in place of the card's; `none` prepares the captions only."""

    captions: str | None = None
    """Caption file to use in place of the card's."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the card's reader to use in place of the card's (for instance `num_scenes`, `image_column`)."""

    limit: int | None = Field(None, ge=1)
    """Take only the first so many images, with all their captions."""

    short_side: int = Field(256, ge=0)
    """Images whose shorter side is longer than this are scaled down to it; smaller ones keep their pixels. 0 keeps all
    originals. A model that looks at more than 224 pixels needs more: 8/7 of its input is usual. Pixels."""

    image_format: ImageFormat = "jpeg"
    """`jpeg`: scaled images are stored as JPEG (quality 90), others keep their bytes. `raw`: the pixels of all, which train reads
    faster and which take about ten times as much disk."""

    max_bad_image_fraction: float = Field(0.01, ge=0, le=1)
    """Largest share of images that may be missing or undecodable before the stage stops with their list."""

    unit_size: int = Field(500, ge=1, json_schema_extra=NO_EFFECT)
    """Images (with their captions) per resumable unit."""

    workers: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Processes; 0 takes every core."""

    def card(self) -> Card:
        """The dataset's card, with this config's options laid over its own."""
        card = load_card(self.dataset, "dataset")
        return card.model_copy(update={"options": {**card.options, **self.options}})

    def captions_path(self) -> Path | None:
        """The caption file; None for a card without one. Raises MissingInputError where it does not exist."""
        return self._path("captions", self.captions)

    def images_path(self) -> Path | None:
        """The image folder; None where captions only are prepared. Raises MissingInputError where it does not exist."""
        return None if self.images == "none" else self._path("images", self.images)

    def _path(self, role: str, given: str | None) -> Path | None:
        card = self.card().at({role: given})
        return card.file(role) if role in card.files else None

    def raw_inputs(self) -> dict[str, str]:
        paths = {"captions": self.captions_path(), "images": self.images_path()}
        return {"card": self.card().checksum()} | {role: path_checksum(path) for role, path in paths.items() if path}
