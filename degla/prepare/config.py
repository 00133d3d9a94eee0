"""Settings of the prepare stage."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from degla.catalog import Card, load_card, paths_checksum
from degla.config import NO_EFFECT, StageConfig, validate
from degla.errors import DataError, Problems
from degla.images import MAX_PIXELS
from degla.sources.options import Paths, SourceOptions

ImageFormat = Literal["jpeg", "raw"]


class PrepareConfig(StageConfig):
    """Prepare: which dataset, and how its images are stored."""

    stage: ClassVar[str] = "prepare"
    version: ClassVar[int] = 8
    needs: ClassVar[tuple[str, ...]] = ()

    dataset: str = "miniworld"
    """Name of a dataset card in `data_catalog/`."""

    images: Paths | None = None
    """Image folder, or several as `{a,b}`; overrides the card's. `none` prepares the captions only. Not needed if the captions'
    files hold the images."""

    captions: Paths | None = None
    """Caption file, folder or pattern, or several as `{a.json,b.json}`; overrides the card's (`docs/data.md`)."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Reader options that override the card's, such as `num_scenes`, `image_column` or `splits`."""

    limit: int | None = Field(None, ge=1)
    """Number of images to take from the start, with all their captions; empty takes all."""

    short_side: int = Field(256, ge=0)
    """Pixels of the shorter side, to which larger images are scaled down; smaller ones keep their pixels. 0 scales none. For a
    model with inputs of more than 224 pixels, take 8/7 of its input."""

    image_format: ImageFormat = "jpeg"
    """`jpeg`: scaled images are stored as JPEG (quality 90), others keep their bytes. `raw`: all as pixels, which train reads
    faster, in about ten times the space."""

    max_pixels: int = Field(MAX_PIXELS, ge=1)
    """Images of more pixels are refused: a small file may decode to any size (a decompression bomb)."""

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

    def caption_files(self) -> list[Path]:
        """The files of captions; none for a card without. Raises MissingInputError if one does not exist."""
        from degla.sources.source import find_files

        card = self.card()
        if self.captions is not None:
            return find_files(self.captions)
        return find_files(card.file("captions")) if "captions" in card.files else []

    def image_folders(self) -> list[Path]:
        """The image folders; none if captions only are prepared, or if the captions' files hold the images.

        Raises:
            MissingInputError: a folder does not exist.
            DataError: see `degla.sources.source.recognise`.
        """
        from degla.sources.source import expanded

        card = self.card()
        if self.images == "none" or (self.images is None and ("images" not in card.files or self._hold_images())):
            return []
        if self.images is None:
            return [card.file("images")]
        return [card.at({"images": each}).file("images") for each in expanded(self.images)]

    def source_options(self) -> SourceOptions:
        """How the files of captions are read. Raises ConfigError at an option that there is not."""
        card = self.card()
        return validate(SourceOptions, card.options, f"card {card.name!r} options")

    def _hold_images(self) -> bool:
        from degla.sources.source import recognise

        files = self.caption_files()
        with advice(files):
            return bool(files) and recognise(files, self.source_options()).holds_images

    def raw_inputs(self) -> dict[str, str]:
        problems, paths = Problems(), {}
        for role, find in (("captions", self.caption_files), ("images", self.image_folders)):
            with problems.noted():
                paths[role] = find()
        if "captions" not in paths and self.images is None and "images" in self.card().files:
            with problems.noted():
                self.card().file(
                    "images"
                )  # whether the captions' files hold the images is not known: the card says where they are
        problems.raise_any()
        return {"card": self.card().checksum()} | {role: paths_checksum(own) for role, own in paths.items() if own}


@contextmanager
def advice(files: Sequence[Path]) -> Iterator[None]:
    """Let what cannot be read end with the command that says more of it."""
    try:
        yield
    except DataError as error:
        path = shlex.quote(str(files[0]))
        raise DataError(
            f"{error}\n`python -m degla.prepare sniff {path}` shows what is recognised in it, and what to set."
        ) from error
