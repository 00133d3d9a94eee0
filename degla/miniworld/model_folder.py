"""The folder a mini-world CLIP lives in, in the form plain open_clip reads from `local-dir:<folder>`.

Writes configuration, tokenizer and weights; the tokenizer is a word list, so no tokenizer package is needed to write
it.
Knows nothing of training.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from degla.miniworld.language import CONTEXT_LENGTH, END, PAD, START, UNKNOWN, VOCABULARY
from degla.miniworld.scenes import CELL, IMAGE_SIZE

WEIGHTS_NAME = "open_clip_model.safetensors"

PIXEL_MEAN, PIXEL_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def _config(width: int, image: dict[str, int], text: dict[str, int]) -> dict[str, Any]:
    """`open_clip_config.json` of a model whose image tower and embedding have this width."""
    return {
        "model_cfg": {
            "embed_dim": width,
            "quick_gelu": False,
            "vision_cfg": {"image_size": IMAGE_SIZE, "patch_size": CELL, "width": width, **image},
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": len(VOCABULARY),
                **text,
                # open_clip reads the tokenizer beside this file; any name makes it do so.
                "hf_tokenizer_name": "miniworld",
            },
        },
        "preprocess_cfg": {"mean": PIXEL_MEAN, "std": PIXEL_STD},
    }


CONFIG = _config(96, {"layers": 3, "head_width": 32}, {"width": 64, "heads": 2, "layers": 2})
VIT_S = _config(384, {"layers": 12, "head_width": 64}, {"width": 384, "heads": 6, "layers": 12})
"""The towers of open_clip's ViT-S, for a GPU."""


def _tokenizer() -> dict[str, Any]:
    """`tokenizer.json`: lower-cased whole words, no punctuation, between a start and an end token."""
    ids = {word: i for i, word in enumerate(VOCABULARY)}
    special = [
        {"id": ids[token], "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for token in (PAD, START, UNKNOWN, END)
    ]
    framed = [
        {"SpecialToken": {"id": START, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": END, "type_id": 0}},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[^\p{L}\p{N}]+"},
            "behavior": "Removed",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": framed,
            "pair": framed,
            "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (START, END)},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": UNKNOWN},
    }


_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": CONTEXT_LENGTH,
    "pad_token": PAD,
    "bos_token": START,
    "unk_token": UNKNOWN,
    "eos_token": END,
    "clean_up_tokenization_spaces": False,
}


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Everything but the weights; enough for open_clip to build the model and its tokenizer.

    Args:
        folder: the model folder.
        config: `CONFIG` or `VIT_S`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("open_clip_config.json", config),
        ("tokenizer.json", _tokenizer()),
        ("tokenizer_config.json", _TOKENIZER_CONFIG),
    ):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_weights(folder: Path, model: torch.nn.Module) -> None:
    """The weights in half precision; open_clip loads them into a float32 model."""
    state = {name: tensor.detach().cpu().half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / WEIGHTS_NAME, metadata={"format": "pt"})
