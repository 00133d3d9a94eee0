"""transformers' CLIP (`CLIPModel`): its folders read as open_clip's architectures, and written from them.

Weights, pooling and activation are the same functions under other names, so features agree within rounding. Loads torch only
to convert weights, and never transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from degla.errors import ModelError
from degla.files import atomic_path, write_text_atomic
from degla.text_files import read_json

if TYPE_CHECKING:
    from torch import Tensor

    from degla.models.loading import LoadedClip

CONFIG_FILE = "config.json"
PROCESSOR_FILE = "preprocessor_config.json"
_PROCESSOR_FILES = (PROCESSOR_FILE, "processor_config.json")
_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_ACTIVATIONS = {"quick_gelu": True, "gelu": False}
_LEGACY_EOS = 2  # by transformers' CLIP with this number the highest token is pooled, whatever its number

# transformers leaves settings out that have its defaults
_TOWER = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_hidden_layers": 12}
_VISION = _TOWER | {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "image_size": 224, "patch_size": 32}
_TEXT = _TOWER | {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "max_position_embeddings": 77}
_TEXT |= {"vocab_size": 49408, "eos_token_id": 49407}

# Beginnings of open_clip's names, and of transformers'
_BEGINNINGS = (
    ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.conv1.", "vision_model.embeddings.patch_embedding."),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.ln_pre.", "vision_model.pre_layrnorm."),
    ("visual.ln_post.", "vision_model.post_layernorm."),
    ("visual.proj", "visual_projection.weight"),
    ("transformer.resblocks.", "text_model.encoder.layers."),
    ("token_embedding.", "text_model.embeddings.token_embedding."),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("ln_final.", "text_model.final_layer_norm."),
    ("text_projection", "text_projection.weight"),
)
_IN_BLOCKS = (
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.", ".self_attn."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)
_TRANSPOSED = ("visual.proj", "text_projection")


def read_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """open_clip's `model_cfg` and `preprocess_cfg` of a folder of transformers.

    Raises:
        ModelError: it is not a CLIPModel, or open_clip cannot compute what it says.
    """
    config = read_json(folder / CONFIG_FILE, dict)
    if config.get("model_type") != "clip":
        raise ModelError(
            f"{folder / CONFIG_FILE} is of a {config.get('model_type')!r} model; of transformers' models only clip (CLIPModel) is"
            f" read"
        )
    image, text = _VISION | (config.get("vision_config") or {}), _TEXT | (config.get("text_config") or {})
    if image["hidden_act"] != text["hidden_act"] or image["hidden_act"] not in _ACTIVATIONS:
        raise ModelError(
            f"{folder / CONFIG_FILE}: hidden_act is {image['hidden_act']} for images and {text['hidden_act']} for texts; expected"
            f" {' or '.join(_ACTIVATIONS)} for both"
        )
    architecture = {
        "embed_dim": config.get("projection_dim", 512),
        "quick_gelu": _ACTIVATIONS[image["hidden_act"]],
        "vision_cfg": {
            "image_size": image["image_size"],
            "patch_size": image["patch_size"],
            "head_width": image["hidden_size"] // image["num_attention_heads"],
            **_tower(image),
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "heads": text["num_attention_heads"],
            **_tower(text),
            **_tokens(folder, text),
        },
    }
    return architecture, _read_preprocessing(folder, image["image_size"])


def _tower(config: Mapping[str, Any]) -> dict[str, Any]:
    """What both towers have."""
    shared = {"width": config["hidden_size"], "layers": config["num_hidden_layers"]}
    shared["mlp_ratio"] = config["intermediate_size"] / config["hidden_size"]
    epsilon = config["layer_norm_eps"]
    return shared if epsilon == 1e-5 else shared | {"norm_kwargs": {"eps": epsilon}}


def _tokens(folder: Path, text: Mapping[str, Any]) -> dict[str, Any]:
    """Pooling and tokenizer: nothing for CLIP's own, whose end of text is the highest token."""
    vocabulary = _vocabulary(folder)
    if text["vocab_size"] == len(_clip_vocabulary()) and vocabulary in ({}, _clip_vocabulary()):
        return {}
    tokenizer = {"hf_tokenizer_name": folder.name}
    if text["eos_token_id"] == _LEGACY_EOS:
        return tokenizer
    return tokenizer | {"pool_type": "eos", "eos_id": text["eos_token_id"]}


def _vocabulary(folder: Path) -> dict[str, int]:
    if (folder / "vocab.json").is_file():
        return read_json(folder / "vocab.json", dict)
    if (folder / "tokenizer.json").is_file():
        return read_json(folder / "tokenizer.json", dict).get("model", {}).get("vocab", {})
    return {}


@cache
def _clip_vocabulary() -> dict[str, int]:
    """CLIP's tokens, under transformers' names."""
    from open_clip.tokenizer import SimpleTokenizer

    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    return {names.get(token, token): number for token, number in SimpleTokenizer().encoder.items()}


def _read_preprocessing(folder: Path, size: int) -> dict[str, Any]:
    """Empty if the folder has no processor."""
    path = next((folder / name for name in _PROCESSOR_FILES if (folder / name).is_file()), None)
    if path is None:
        return {}
    config = read_json(path, dict)
    config = config.get("image_processor", config)
    resized, cropped = config.get("size", 224), config.get("crop_size", 224)
    square = {"height": size, "width": size}
    crops = config.get("do_center_crop", True) and cropped not in (size, square)
    if not crops and resized in (size, {"shortest_edge": size}):
        mode = "shortest"
    elif not crops and resized == square:
        mode = "squash"
    else:
        mode = ""
    plain = all(config.get(key, True) for key in ("do_resize", "do_rescale", "do_normalize"))
    interpolation = _RESAMPLE.get(config.get("resample", 3))
    if not mode or not plain or interpolation is None or abs(config.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise ModelError(
            f"{path}: open_clip has no such preprocessing (size {resized}, crop_size {cropped}, resample"
            f" {config.get('resample')}, model of {size} pixels). Write an open_clip_config.json for the folder."
        )
    colours = {"mean": config.get("image_mean"), "std": config.get("image_std")}
    return colours | {"interpolation": interpolation, "resize_mode": mode}


def is_named_so(state: Mapping[str, Tensor]) -> bool:
    """Whether these are weights under transformers' names."""
    return any(key.startswith(("vision_model.", "text_model.")) for key in state)


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a CLIPModel under open_clip's names; unknown names stay."""
    import torch

    renamed = {_renamed(key, 1, 0): value for key, value in state.items()}
    result: dict[str, Tensor] = {}
    for key, value in renamed.items():
        if ".attn.q_proj." in key:
            thirds = [renamed.get(key.replace("q_proj", f"{name}_proj")) for name in "qkv"]
            if all(third is not None for third in thirds):
                result[key.replace("q_proj.", "in_proj_")] = torch.cat(thirds)  # type: ignore[arg-type]
        elif not any(f".attn.{name}_proj." in key for name in "kv"):
            result[key] = value.T.contiguous() if key in _TRANSPOSED else value
    return result


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an open_clip model that `export_obstacle` allows, under the names of a CLIPModel."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        name = _renamed(key.removeprefix("text."), 0, 1)
        if ".in_proj_" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                result[name.replace("in_proj_", f"{part}_proj.")] = third.contiguous()
        else:
            result[name] = value.T.contiguous() if key.removeprefix("text.") in _TRANSPOSED else value
    return result


def _renamed(key: str, before: int, after: int) -> str:
    for pair in _BEGINNINGS:
        if key.startswith(pair[before]):
            key = pair[after] + key.removeprefix(pair[before])
            break
    for pair in _IN_BLOCKS:
        key = key.replace(pair[before], pair[after])
    return key


_SAID = {
    "vision_cfg": {"image_size", "patch_size", "head_width", "width", "layers", "mlp_ratio", "patch_dropout", "norm_kwargs"},
    "text_cfg": {"context_length", "vocab_size", "heads", "width", "layers", "mlp_ratio", "norm_kwargs", "eos_id", "pool_type"},
}
_SAID["text_cfg"] |= {"hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"}


def export_obstacle(clip: LoadedClip) -> str:
    """Why a CLIPModel of transformers cannot compute what this model does; empty if it can."""
    from dataclasses import asdict

    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    architecture = clip.architecture
    for section, default in (("vision_cfg", asdict(CLIPVisionCfg())), ("text_cfg", asdict(CLIPTextCfg()))):
        for key, value in architecture[section].items():
            if key not in _SAID[section] and value != default.get(key):
                return f"it has no {section}.{key}={value!r}"
    if "multimodal_cfg" in architecture or architecture.get("init_logit_bias") is not None:
        return "it has neither CoCa's decoder nor SigLIP's bias"
    if isinstance(architecture["vision_cfg"].get("layers"), list):
        return "its image tower is a vision transformer, not a ResNet"
    if architecture["text_cfg"].get("pool_type", "argmax") not in ("argmax", "eos"):
        return "it pools texts at their end"
    if clip.preprocessing.resize_mode == "longest" or not isinstance(clip.preprocessing.size, int):
        return "its processor has no padding, and one side for height and width"
    return ""


def export(folder: Path, clip: LoadedClip) -> list[str]:
    """Write a folder that `CLIPModel`, `CLIPProcessor` and `AutoTokenizer` of transformers load; returns the files' names.

    Raises:
        ModelError: a CLIPModel cannot compute what the model does.
    """
    from safetensors.torch import save_file

    from degla.models.export import save_tokenizer

    obstacle = export_obstacle(clip)
    if obstacle:
        raise ModelError(f"transformers' CLIPModel cannot compute this model: {obstacle}. Use its folder with open_clip.")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {CONFIG_FILE: _config(clip), PROCESSOR_FILE: _processor(clip), **_tokenizer(clip)}
    for name, content in texts.items():
        write_text_atomic(
            folder / name, content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
        )
    tokenizer = save_tokenizer(folder, clip)
    with atomic_path(folder / "model.safetensors") as temporary:
        state = {key: value.detach().float().cpu().contiguous() for key, value in clip.model.state_dict().items()}
        save_file(to_transformers(state), temporary, metadata={"format": "pt"})
    return sorted({*texts, "model.safetensors", *tokenizer})


def _config(clip: LoadedClip) -> dict[str, Any]:
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    image = CLIPVisionCfg(**clip.architecture["vision_cfg"])
    text = CLIPTextCfg(**clip.architecture["text_cfg"])
    activation = "quick_gelu" if clip.activation == "quickgelu" else "gelu"

    def tower(config: CLIPVisionCfg | CLIPTextCfg, heads: int) -> dict[str, Any]:
        return {
            "hidden_size": config.width,
            "intermediate_size": int(config.width * config.mlp_ratio),
            "num_hidden_layers": config.layers,
            "num_attention_heads": heads,
            "hidden_act": activation,
            "layer_norm_eps": (config.norm_kwargs or {}).get("eps", 1e-5),
            "projection_dim": clip.architecture["embed_dim"],
        }

    highest = _LEGACY_EOS if text.hf_tokenizer_name else 49407
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "dtype": "float32",
        "projection_dim": clip.architecture["embed_dim"],
        "vision_config": {
            "model_type": "clip_vision_model",
            "image_size": image.image_size,
            "patch_size": image.patch_size,
            **tower(image, image.width // image.head_width),
        },
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.context_length,
            "eos_token_id": text.eos_id if text.pool_type == "eos" else highest,
            **tower(text, text.heads),
        },
    }


def _processor(clip: LoadedClip) -> dict[str, Any]:
    preprocessing = clip.preprocessing
    height, width = preprocessing.height_width
    shortest = preprocessing.resize_mode == "shortest"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "CLIPProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": height} if shortest else {"height": height, "width": width},
        "resample": next(number for number, name in _RESAMPLE.items() if name == preprocessing.interpolation),
        "do_center_crop": shortest,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
    }


def _tokenizer(clip: LoadedClip) -> dict[str, Any]:
    """CLIP's own tokenizer; empty if the model has another."""
    if clip.architecture["text_cfg"].get("hf_tokenizer_name"):
        return {}
    from open_clip.tokenizer import SimpleTokenizer

    special = {"bos_token": "<|startoftext|>", **{f"{kind}_token": "<|endoftext|>" for kind in ("eos", "unk", "pad")}}
    merges = [" ".join(pair) for pair in SimpleTokenizer().bpe_ranks]
    return {
        "vocab.json": _clip_vocabulary(),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
        "special_tokens_map.json": special,
        "tokenizer_config.json": {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": clip.context_length,
            "do_lower_case": True,
            **special,
        },
    }
