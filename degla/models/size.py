"""How many weights a model has, by its config alone. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from degla.models.architecture import image_size

_COUNTED = {
    "image_size",
    "patch_size",
    "head_width",
    "width",
    "layers",
    "mlp_ratio",
    "patch_dropout",
    "norm_kwargs",
    "act_kwargs",
}
_COUNTED |= {"no_ln_pre", "pool_type", "final_ln_after_pool", "ls_init_value", "output_tokens"}


def num_parameters(architecture: Mapping[str, Any]) -> int | None:
    """Weights of a `model_cfg` whose towers are open_clip's transformers; None for others (ResNet, timm, CoCa)."""
    image, text, joint = architecture["vision_cfg"], architecture["text_cfg"], architecture["embed_dim"]
    others = set(image) - _COUNTED
    if others or isinstance(image.get("layers"), list) or text.keys() & {"hf_model_name", "embed_cls", "proj_type"}:
        return None
    size = image_size(architecture)
    height, width = (size, size) if isinstance(size, int) else size
    patch, channels = image.get("patch_size", 16), image.get("width", 768)
    patches = (height // patch) * (width // patch) + 1
    norms = 4 - 2 * bool(image.get("no_ln_pre"))
    visual = channels * (3 * patch * patch + 1 + patches + norms + joint) + _blocks(image, channels)
    channels = text.get("width", 512)
    around = text.get("vocab_size", 49408) + text.get("context_length", 77) + 2 + joint
    scalars = 1 + (architecture.get("init_logit_bias") is not None) + joint * bool(text.get("proj_bias"))
    return visual + channels * around + _blocks(text, channels) + scalars


def _blocks(config: Mapping[str, Any], width: int) -> int:
    """Weights of a tower's residual blocks: attention, MLP, two norms, and the layer scales if it has them."""
    hidden = int(width * config.get("mlp_ratio", 4.0))
    scales = 2 * width if config.get("ls_init_value") else 0
    return config.get("layers", 12) * (4 * width * width + 4 * width + 2 * width * hidden + hidden + width + 4 * width + scales)
