"""Which of open_clip's architectures can be fine-tuned, and how their texts are then encoded. Builds text towers, without
weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from open_clip.model import _build_text_tower

from degla.models.architecture import list_architectures, read_architecture, training_obstacle
from degla.models.towers import text_tower_of
from degla.models.tree_encoding import obstacle

TREES = "fine-tuned, texts as prefix trees"


def support(architecture: Mapping[str, Any]) -> str:
    """What can be done with a `model_cfg`, in words."""
    refused = training_obstacle(architecture)
    if refused:
        return f"scored only: {refused}"
    one_block = {**architecture["text_cfg"], "layers": 1}  # all are of one kind
    with torch.device("meta"):
        text = _build_text_tower(architecture["embed_dim"], one_block, architecture.get("quick_gelu", False))
    reason = obstacle(text_tower_of(text))
    return f"fine-tuned, texts as rows of tokens: {reason}" if reason else TREES


def table() -> str:
    """All of open_clip's architectures by what can be done with them, in Markdown."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in list_architectures():
        kinds[support(read_architecture(name))].append(name)
    rows = [f"| {kind} | {len(names)} | {', '.join(f'`{name}`' for name in names)} |" for kind, names in sorted(kinds.items())]
    return "\n".join(["| what | number | architectures |", "|---|---:|---|", *rows])
