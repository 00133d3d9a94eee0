"""How a config names a CLIP model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from degla import checksums
from degla.config import Config
from degla.errors import MissingInputError
from degla.miniworld import CLIP_DIRS

LOCAL_DIR = "local-dir:"
HUB = "hf-hub:"
RANDOM = "random"
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_CONTENT = (".json", ".safetensors", ".bin", ".txt", ".model")  # config, weights and tokenizer of a folder
_SHIPPED = Path(__file__).parent / "architectures"

Activation = Literal["quickgelu", "gelu"]
Channels = tuple[float, float, float]


class StatedPreprocessing(Config):
    """How a model's images were prepared in training, if its files do not say; open_clip's names and values."""

    mean: Channels
    """Subtracted from colours in [0, 1]; red, green, blue."""

    std: Channels
    """Divides the colours after that."""

    interpolation: Literal["bicubic", "bilinear"]
    """How pixels are scaled."""

    resize_mode: Literal["shortest", "longest", "squash"]
    """`shortest` scales the shorter side and crops the centre, `longest` scales the longer side and pads, `squash` scales
    both."""


class ModelRef(Config):
    """A CLIP model and the weights to start from."""

    architecture: str = "miniworld"
    """`miniworld` or `miniworld-half-binding` (the small CLIPs that degla ships), an open_clip architecture
    (`ViT-B-32-quickgelu`), `local-dir:PATH` (a model folder of open_clip, degla or transformers), `hf-hub:OWNER/NAME` or
    `hf-hub:OWNER/NAME@REVISION` (the same on the hub), `small-photo-clip` (an architecture that degla ships, without weights)
    or the path of an open_clip model config (`.json`)."""

    weights: str = ""
    """Empty: those in the folder (`miniworld`, `local-dir:`, `hf-hub:`). An open_clip tag such as `openai`, the path of a
    weights file, or `random` to start from scratch."""

    activation: Literal["", "quickgelu", "gelu"] = ""
    """With which activation the weights were trained, if neither they nor their folder say so: NegCLIP, CE-CLIP, DeGLA and
    FSC-CLIP go back to OpenAI's weights, which are quickgelu. The architecture is taken to match it."""

    preprocessing: StatedPreprocessing | None = None
    """How images were prepared when the weights were trained, if neither they nor their folder say so and open_clip's
    weights of the architecture differ."""

    image_size: int | None = Field(None, ge=1)
    """Side of the images in pixels, if other than the architecture's; image position embeddings of another size are resized
    as open_clip does."""

    @field_validator("weights", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return "" if value in (None, "''", '""') else value  # `-o train.model.weights=`, or quoted as YAML would have it

    def folder(self, download: bool = False) -> Path | None:
        """The model folder, for `miniworld`, `local-dir:` and `hf-hub:`; None for the others.

        Args:
            download: of a hub model fetch the weights too, not only its configs.

        Raises:
            MissingInputError: the folder does not exist, or the hub model cannot be fetched.
        """
        if self.architecture in CLIP_DIRS:
            return CLIP_DIRS[self.architecture]
        if self.architecture.startswith(HUB):
            from degla.models.hub import fetch

            return fetch(self.architecture.removeprefix(HUB), download)
        if not self.architecture.startswith(LOCAL_DIR):
            return None
        folder = Path(self.architecture.removeprefix(LOCAL_DIR)).expanduser().absolute()
        if not folder.is_dir():
            raise MissingInputError(f"model folder {folder} does not exist (from {self.architecture!r})")
        return folder

    def config_file(self) -> Path | None:
        """The open_clip model config, for a `.json` path or an architecture that degla ships; None for the others."""
        shipped = _SHIPPED / f"{self.architecture}.json"
        if shipped.is_file():
            return shipped
        return Path(self.architecture).expanduser() if self.architecture.endswith(".json") else None

    def weights_file(self) -> Path | None:
        """The weights file that is named; None for a tag, `random`, and weights in the folder.

        Raises:
            MissingInputError: it does not exist.
        """
        path = Path(self.weights).expanduser()
        return _existing(path) if self.weights.endswith(WEIGHTS_SUFFIXES) or path.is_file() else None

    def checksum(self) -> str:
        """Checksum of the architecture and the content of the weights; those of an open_clip tag are downloaded if need be."""
        folder, config_file, weights_file = self.folder(), self.config_file(), self.weights_file()
        parts = [self.architecture if folder is None else "folder", self.weights]
        if folder is not None and self.architecture.startswith(HUB):
            parts.append(folder.name)  # the commit
        elif folder is not None:
            parts.append(checksums.of_folder(folder, _CONTENT))
        parts += [checksums.of_file(_existing(file)) for file in (config_file, weights_file) if file is not None]
        if not (folder or config_file or weights_file) and self.weights not in ("", RANDOM):
            from degla.models import hub  # loads torch

            parts.append(hub.checksum(self.architecture, self.weights))
        return checksums.of_value(parts)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissingInputError(f"model file {path} does not exist")
    return path
