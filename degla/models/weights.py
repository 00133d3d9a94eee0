"""Weights files: safetensors, and the `.pt` state dicts of training codes (NegCLIP, CE-CLIP, DeGLA, open_clip).

Nothing is unpickled but tensors and plain containers. Knows no architecture beyond the names of CLIP's parameters.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from degla.errors import ModelError

_CONTAINERS = ("state_dict", "model")
_PREFIX = "module."  # of torch's DistributedDataParallel
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers beside the weights in OpenAI's files


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, under open_clip's names.

    A container `state_dict` or `model`, a prefix `module.` on every name, and the three sizes that OpenAI's files hold are
    removed. Half precision stays as it is; it becomes float32 when it is copied into a model.

    Raises:
        ModelError: the file is damaged, or holds something else than tensors (nothing is unpickled).
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _unwrapped(_read_pickle(path), path)
    if state and all(key.startswith(_PREFIX) for key in state):
        state = {key.removeprefix(_PREFIX): value for key, value in state.items()}
    return {key: value for key, value in state.items() if key not in _NO_WEIGHTS}


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; empty for other files. Raises ModelError if it is damaged."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def like(state: Mapping[str, Tensor]) -> str:
    """What the names and shapes of these weights are like, in words for an error; empty if that is unknown.

    Names of open_clip that fit are given: `ViT-L-14, ViT-L-14-quickgelu`.
    """
    if any(key.startswith(("vision_model.", "text_model.")) for key in state):
        return "these are weights under transformers' names: convert them to open_clip's"
    sizes = _sizes(state)
    fitting = [name for name in open_clip.list_models() if sizes and _sizes_of(name) == sizes]
    return f"its sizes are those of {', '.join(fitting[:4])}" if fitting else ""


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_pickle(path: Path) -> Any:
    if _is_torchscript(path):
        raise ModelError(
            f"{path} is a TorchScript archive, which holds code, and is not opened. Name OpenAI's weights as"
            f" model.weights=openai, or save the model's state_dict as .safetensors."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    except Exception as error:  # torch.load raises pickle.UnpicklingError with its own advice to switch the guard off
        raise ModelError(f"{path} holds more than tensors and is not unpickled. Save its state_dict as .safetensors.") from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    for key in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(
            f"{path} is not a state dict (names to tensors), plain or below {' or '.join(map(repr, _CONTAINERS))}. Save the"
            f" model's state_dict as .safetensors."
        )
    return content


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} cannot be read as weights: {error}. Copy or download it again.")


def _sizes(state: Mapping[str, Tensor]) -> tuple[int, ...] | None:
    """Embedding, patch and widths of a CLIP with two transformers, and their layers; None for other weights."""
    if "visual.conv1.weight" not in state or "text_projection" not in state or "visual.class_embedding" not in state:
        return None
    width, _, patch, _ = state["visual.conv1.weight"].shape
    text_width, embedding = state["text_projection"].shape
    return embedding, patch, width, _layers(state, "visual.transformer."), text_width, _layers(state, "transformer.")


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    """Residual blocks below this prefix."""
    start = f"{prefix}resblocks."
    return len({key.removeprefix(start).split(".")[0] for key in state if key.startswith(start)})


def _sizes_of(name: str) -> tuple[int, ...] | None:
    """The same of an architecture of open_clip."""
    config = open_clip.get_model_config(name)
    image, text = config["vision_cfg"], config["text_cfg"]
    if "patch_size" not in image or "width" not in text or config.get("custom_text") or isinstance(image.get("layers"), list):
        return None
    sizes = (image["patch_size"], image.get("width", 768), image.get("layers", 12), text["width"], text.get("layers", 12))
    return config["embed_dim"], *sizes
