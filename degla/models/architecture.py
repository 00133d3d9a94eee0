"""What an open_clip `model_cfg` says: its activation and image size, and what degla can do with it. open_clip's own by name.

Loads no torch.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from degla.errors import ModelError, first_few
from degla.models.ref import Activation
from degla.text_files import read_json

_QUICK = "-quickgelu"
_BLOCKS = ("block_type", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")


def list_architectures() -> tuple[str, ...]:
    """The names of open_clip's architectures, in its order."""
    return tuple(sorted(_open_clip_configs()))


def read_architecture(name: str) -> dict[str, Any]:
    """The `model_cfg` of an open_clip architecture. Raises ModelError if there is none; near names are given."""
    if name not in _open_clip_configs() and Path(name).is_dir():
        raise ModelError(f"architecture {name!r} is a folder: give local-dir:{name}")
    if name not in _open_clip_configs():
        raise ModelError(
            f"unknown architecture {name!r}: give miniworld, local-dir:PATH, hf-hub:OWNER/NAME, a .json model config or a name"
            f" of open_clip ({first_few(_near_names(name))})"
        )
    return read_json(_open_clip_configs()[name], dict)


@cache
def _open_clip_configs() -> dict[str, Path]:
    found = importlib.util.find_spec("open_clip")
    assert found is not None
    assert found.origin is not None
    return {path.stem: path for path in (Path(found.origin).parent / "model_configs").glob("*.json")}


def named_for(name: str, activation: str) -> str:
    """How open_clip names an architecture of this name that computes this activation; it need not have one."""
    base = name.removesuffix(_QUICK)
    return f"{base}{_QUICK}" if activation == "quickgelu" else base


def has_both_activations(name: str) -> bool:
    """Whether open_clip has the architecture with either activation, so that the plain name does not decide."""
    return f"{name}{_QUICK}" in list_architectures()


def activation_of(architecture: Mapping[str, Any]) -> Activation:
    """The activation that a `model_cfg` asks for."""
    return "quickgelu" if architecture.get("quick_gelu", False) else "gelu"


def image_size(architecture: Mapping[str, Any]) -> int | tuple[int, int]:
    """Side or (height, width) of the images of a `model_cfg`."""
    size = architecture["vision_cfg"].get("image_size", 224)
    if isinstance(size, int):
        return size
    height, width = size
    return height if height == width else (height, width)


def towers(architecture: Mapping[str, Any]) -> str:
    """The sizes of both towers and of the embedding, whatever the name: models of different sizes are not alike."""
    image, text = architecture["vision_cfg"], architecture["text_cfg"]
    sizes = [image.get(key) for key in ("timm_model_name", "layers", "width", "patch_size")]
    sizes += [text.get(key) for key in ("hf_model_name", "layers", "width")]
    return json.dumps([architecture["embed_dim"], *sizes])


def training_obstacle(architecture: Mapping[str, Any]) -> str:
    """Why degla cannot fine-tune a `model_cfg`; empty if it can."""
    if "hf_model_name" in architecture["text_cfg"]:
        return "its text tower is a model of transformers (text_cfg.hf_model_name), not open_clip's transformer"
    if architecture.get("init_logit_bias") is not None:
        return "it was trained with the sigmoid loss (SigLIP: a logit bias, pairs judged alone); degla's losses are a softmax"
    return ""


def has_plain_blocks(tower: Mapping[str, Any]) -> bool:
    """Whether a `vision_cfg` or `text_cfg` is open_clip's transformer of plain blocks."""
    other = "timm_model_name" in tower or "hf_model_name" in tower or isinstance(tower.get("layers"), list)
    return not other and not tower.get("embed_cls") and not any(tower.get(key) for key in _BLOCKS)


def parts_obstacle(architecture: Mapping[str, Any]) -> str:
    """Why the towers of a `model_cfg` have no patches or tokens that can be compared; empty if they do."""
    image, text = architecture["vision_cfg"], architecture["text_cfg"]
    pooled = image.get("attentional_pool") or image.get("output_tokens") or image.get("pool_type", "tok") != "tok"
    if pooled or not has_plain_blocks(image):
        return "the image tower has no patches beside a class token"
    ends = not text.get("no_causal_mask") and text.get("pool_type", "argmax") in ("argmax", "eos")
    if not ends or "hf_model_name" in text or text.get("embed_cls"):
        return "the text tower does not end its texts with the token it pools"
    return ""


def _near_names(name: str) -> list[str]:
    known = list_architectures()
    prefix = name.split("-")[0].lower()
    return [each for each in known if each.lower().startswith(prefix)] or list(known)
