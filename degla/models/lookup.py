"""Where the architecture and the weights are that a `ModelRef` names.

Loads no torch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from degla.errors import MissingInputError, ModelError, first_few
from degla.models import hf_clip
from degla.models.architecture import has_both_activations, list_architectures, named_for, read_architecture
from degla.models.ref import HUB, RANDOM, WEIGHTS_SUFFIXES, ModelRef
from degla.text_files import read_json

logger = logging.getLogger(__name__)

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
CONFIG_FILES = (CONFIG_FILE, hf_clip.CONFIG_FILE, hf_clip.PROCESSOR_FILE)
WEIGHTS_FILES = (
    WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
"""In a model folder the first that is there counts; open_clip's order."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
)


@dataclass(frozen=True)
class Named:
    """What the architecture's name alone gives."""

    name: str
    architecture: dict[str, Any]
    preprocess_cfg: dict[str, Any]
    folder: Path | None = None
    file: Path | None = None
    where: str = "model"
    """The settings' place in the config, for errors."""

    @property
    def says_activation(self) -> bool:
        """Whether the config or the name decides the activation: a name that open_clip has with either does not."""
        return self.folder is not None or self.file is not None or not has_both_activations(self.name)


def look_up(ref: ModelRef, where: str, download: bool) -> Named:
    """The architecture that `ref` names; see `degla.models.source.find`."""
    folder, config_file = ref.folder(download), ref.config_file()
    if folder is not None and not (folder / CONFIG_FILE).is_file() and (folder / hf_clip.CONFIG_FILE).is_file():
        return Named(ref.architecture, *hf_clip.read_config(folder), folder=folder, where=where)
    if folder is not None:
        return Named(ref.architecture, *_read_config(folder / CONFIG_FILE), folder=folder, where=where)
    if config_file is not None:
        return Named(ref.architecture, *_read_config(config_file), file=config_file, where=where)
    return Named(ref.architecture, read_architecture(ref.architecture), {}, where=where)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `model_cfg` and the `preprocess_cfg` of open_clip's config file; the second is empty if the file has none.

    Raises:
        MissingInputError: there is no such file.
        ModelError: it is not a model config.
    """
    if not path.is_file():
        raise MissingInputError(
            f"{path} does not exist; a model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, or transformers'"
            f" {hf_clip.CONFIG_FILE} and model.safetensors"
        )
    data = read_json(path, dict)
    architecture, preprocess_cfg = data.get("model_cfg", data), data.get("preprocess_cfg") or {}
    if not isinstance(architecture, dict) or not isinstance(preprocess_cfg, dict):
        raise ModelError(f"{path} is not an open_clip model config: model_cfg and preprocess_cfg must be objects")
    kinds = {"embed_dim": int, "vision_cfg": dict, "text_cfg": dict}
    lacking = [key for key, kind in kinds.items() if not isinstance(architecture.get(key), kind)]
    if lacking:
        raise ModelError(f"{path} is not an open_clip model config: {', '.join(lacking)} missing")
    return architecture, preprocess_cfg


def with_activation(named: Named, ref: ModelRef) -> tuple[Named, str]:
    """The architecture that computes the stated activation, and a note if it is another than was named."""
    stated = ref.activation
    wanted = named_for(named.name, stated)
    if not stated or named.folder or named.file or wanted == named.name or wanted not in list_architectures():
        return named, ""
    note = f"{named.name} was replaced by {wanted}, as its weights were trained with {stated}"
    warn_once(f"{ref.weights}: {note}")
    return replace(named, name=wanted, architecture=read_architecture(wanted)), note


def weights_of(ref: ModelRef, named: Named, download: bool) -> Path | str:
    """A weights file, an open_clip tag, or `random`."""
    file = ref.weights_file()
    if file is not None or ref.weights == RANDOM:
        return file or RANDOM
    if named.folder is not None and not ref.weights:
        if not download and ref.architecture.startswith(HUB):
            from degla.models import hub  # imports this module

            hub.check_weights(ref.architecture.removeprefix(HUB), named.folder)
            return named.folder / WEIGHTS_FILE
        return _weights_in(named.folder)
    if named.folder is not None or named.file is not None or not ref.weights:
        tag = "" if named.folder or named.file else "an open_clip tag, "
        leave = f"; leave it out for the weights in the folder (-o {named.where}.weights=)" if named.folder else ""
        raise ModelError(
            f"{named.where}.weights={ref.weights!r} for {named.name!r}: expected {tag}a weights file"
            f" ({', '.join(WEIGHTS_SUFFIXES)}) or {RANDOM!r}{leave}"
        )
    return ref.weights


def _weights_in(folder: Path) -> Path:
    found = next((folder / name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    if found is None:
        there = sorted(path.name for path in folder.iterdir() if path.is_file())
        raise MissingInputError(
            f"{folder} holds no weights: expected one of {', '.join(WEIGHTS_FILES)}; found {first_few(there, 8) or 'nothing'}."
            f" Name another file as the model's weights."
        )
    return found


@cache
def warn_once(message: str) -> None:
    """Once a process: a plan looks at the same model several times."""
    logger.warning("%s", message)
