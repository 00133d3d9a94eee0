"""How a config names a CLIP model."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from degla import checksums
from degla.config import Config
from degla.errors import MissingInputError
from degla.miniworld import CLIP_DIR

LOCAL_DIR = "local-dir:"
RANDOM = "random"
WEIGHTS_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
_HUB = "hf-hub:"
_SHIPPED = Path(__file__).parent / "architectures"


class ModelRef(Config):
    """A CLIP model and the weights to start from."""

    architecture: str = "miniworld"
    """`miniworld` (the small CLIP that degla ships), an open_clip architecture (`ViT-B-32-quickgelu`), `local-dir:PATH`
    (a model folder as open_clip and degla write it), `small-photo-clip` (an architecture that degla ships, without
    weights) or the path of an open_clip model config (`.json`)."""

    weights: str = ""
    """Empty: those in the folder (`miniworld`, `local-dir:`). An open_clip tag such as `openai`, the path of a weights
    file, or `random` to start from scratch."""

    @field_validator("architecture")
    @classmethod
    def _is_pinned(cls, value: str) -> str:
        if value.startswith(_HUB):
            name = value.removeprefix(_HUB)
            raise ValueError(
                f"{value!r} is not pinned: the hub may change it. Download it (`hf download {name} --revision COMMIT --local-dir"
                f" DIR`) and give {LOCAL_DIR}DIR"
            )
        return value

    def folder(self) -> Path | None:
        """The model folder, for `miniworld` and `local-dir:`; None for the others.

        Raises:
            MissingInputError: the folder does not exist.
        """
        if self.architecture == "miniworld":
            return CLIP_DIR
        if not self.architecture.startswith(LOCAL_DIR):
            return None
        folder = Path(self.architecture.removeprefix(LOCAL_DIR)).absolute()
        if not folder.is_dir():
            raise MissingInputError(f"model folder {folder} does not exist (from {self.architecture!r})")
        return folder

    def config_file(self) -> Path | None:
        """The open_clip model config, for a `.json` path or an architecture that degla ships; None for the others."""
        shipped = _SHIPPED / f"{self.architecture}.json"
        if shipped.is_file():
            return shipped
        return Path(self.architecture) if self.architecture.endswith(".json") else None

    def checksum(self) -> str:
        """Checksum of the architecture and the content of the weights; those of an open_clip tag are downloaded if need be."""
        folder, config_file = self.folder(), self.config_file()
        parts = [self.architecture if folder is None else "folder", self.weights]
        if folder is not None:
            parts.append(checksums.of_folder(folder, (".json", ".safetensors")))
        if config_file is not None:
            parts.append(checksums.of_file(_existing(config_file)))
        if self.weights.endswith(WEIGHTS_SUFFIXES):
            parts.append(checksums.of_file(_existing(Path(self.weights))))
        elif self.weights not in ("", RANDOM) and folder is None and config_file is None:
            from degla.models import hub  # loads torch

            parts.append(hub.checksum(self.architecture, self.weights))
        return checksums.of_value(parts)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissingInputError(f"model file {path} does not exist")
    return path
