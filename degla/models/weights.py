"""Weights files as people have them: safetensors, and the pickled state dicts of training codes (NegCLIP, CE-CLIP, DeGLA,
open_clip, Lightning, DeepSpeed).

Only tensors and plain containers are unpickled; three kinds of bystanders (NumPy's scalars and an argparse namespace) are
read over. Knows no architecture beyond the names of CLIP's parameters.
"""

from __future__ import annotations

import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import safe_globals

from degla.errors import ModelError
from degla.models.architecture import list_architectures, read_architecture

logger = logging.getLogger(__name__)

_CONTAINERS = ("state_dict", "model_state_dict", "model", "module", "net")
# Besides weights: the sizes in OpenAI's files, and buffers that older open_clip and transformers saved
_NO_WEIGHTS = re.compile(r"(.*\.)?(input_resolution|context_length|vocab_size|attn_mask|position_ids)")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, under the names of its model.

    Unwraps a container (`state_dict`, `model`, ...), strips a prefix that all names share, and drops the sizes and buffers
    that some files hold beside the weights. Half precision stays; it becomes float32 when copied into a model.

    Raises:
        ModelError: the file is damaged, or holds an object other than tensors.
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _unwrapped(_read_pickle(path), path)
    return _without_prefix({key: value for key, value in state.items() if not _NO_WEIGHTS.fullmatch(key)}, path)


def check_finite(state: Mapping[str, Tensor], what: str) -> None:
    """Raises ModelError if a weight is NaN or infinite; `what` (the file) and the tensor are named."""
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            raise ModelError(
                f"{what}: {count:,} of {value.numel():,} values of {key} are NaN or infinite: every score of this model would"
                f" be meaningless. Take an earlier checkpoint."
            )


def like(state: Mapping[str, Tensor]) -> str:
    """Names of open_clip's architectures with the sizes of these weights, for an error; empty if unknown."""
    sizes = _sizes(state)
    fitting = [name for name in list_architectures() if sizes and _sizes_of(name) == sizes]
    return f"its sizes are those of {', '.join(fitting[:4])}" if fitting else ""


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


class _Ignored:
    """Stands for a harmless object beside the weights; takes any arguments and state, and keeps none."""

    def __new__(cls, *_arguments: object) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


# NumPy's own functions are not called: a crafted dtype makes them read raw bytes as object pointers.
_BYSTANDERS = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "argparse.Namespace",
)


def _read_pickle(path: Path) -> Any:
    if _is_torchscript(path):
        raise ModelError(
            f"{path} is a TorchScript archive, which holds code, and is not opened. Name OpenAI's weights as"
            f" model.weights=openai, or save the model's state_dict as .safetensors."
        )
    try:
        with safe_globals([(_Ignored, name) for name in _BYSTANDERS]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than tensors{_object_in(error)} and is not unpickled. If you trust the file, convert it:"
            f" state = torch.load({str(path)!r}, weights_only=False);"
            f" safetensors.torch.save_file(state['state_dict'], 'weights.safetensors')"
        ) from error
    except Exception as error:  # a cut or foreign file ends in any of a dozen types
        raise damaged(path, error) from error


def _object_in(error: Exception) -> str:
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({named[1]})" if named else ""


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    present = [key for key in _CONTAINERS if isinstance(content, dict) and isinstance(content.get(key), dict)]
    if present:
        others = [key for key, value in content.items() if key != present[0] and _is_state(value)]
        if others:
            logger.warning("%s: taking the weights of %r; there are others too: %s", path, present[0], ", ".join(others))
        content = content[present[0]]
    if not _is_state(content):
        raise ModelError(
            f"{path} is not a state dict (names to tensors), plain or below {', '.join(map(repr, _CONTAINERS))}. Save the"
            f" model's state_dict as .safetensors."
        )
    return content


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(each, Tensor) for each in value.values())


def _without_prefix(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """`module.` of DDP, `_orig_mod.` of torch.compile, `model.` of Lightning: whatever stands before every name."""
    prefix = ""
    while len(state) > 1 and len(heads := {key[len(prefix) :].partition(".")[0] for key in state}) == 1:
        longer = f"{prefix}{heads.pop()}."
        if not all(key.startswith(longer) for key in state):
            break
        prefix = longer
    if prefix not in ("", "module."):
        logger.info("%s: the prefix %r of every name was removed", path, prefix)
    return {key.removeprefix(prefix): value for key, value in state.items()}


def damaged(path: Path, error: Exception) -> ModelError:
    """The error for a file that cannot be read."""
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
    config = read_architecture(name)
    image, text = config["vision_cfg"], config["text_cfg"]
    if "patch_size" not in image or "width" not in text or config.get("custom_text") or isinstance(image.get("layers"), list):
        return None
    sizes = (image["patch_size"], image.get("width", 768), image.get("layers", 12), text["width"], text.get("layers", 12))
    return config["embed_dim"], *sizes
