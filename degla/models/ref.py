"""How a config names a CLIP model."""

from __future__ import annotations

from pathlib import Path

from degla import checksums
from degla.config import Config
from degla.errors import MissingInputError
from degla.miniworld import CLIP_DIR

LOCAL_DIR = "local-dir:"
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
        """Checksum of the architecture and of the weights where they are files here."""
        parts = [self.architecture if self.folder() is None else "folder", self.weights]
        folder = self.folder()
        if folder is not None:
            parts.append(checksums.of_folder(folder, (".json", ".safetensors")))
        config_file = self.config_file()
        if config_file is not None:
            parts.append(checksums.of_file(_existing(config_file)))
        if self.weights.endswith((".pt", ".pth", ".safetensors", ".bin")):
            parts.append(checksums.of_file(_existing(Path(self.weights))))
        return checksums.of_value(parts)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissingInputError(f"model file {path} does not exist")
    return path
