"""Which weights of a CLIP train: all, those of one tower, or only low-rank adapters (LoRA).

peft's adapters wrap linear layers. torch's attention has none that it calls: its projections are bare weights, which peft
would add to and subtract from at every forward, so that the frozen ones drift. A tower with adapters therefore has its
attention rebuilt from linear layers that share the same weights. Exported names are open_clip's again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from degla.models.fast_modules import Attention
from degla.models.towers import Clip, text_tower
from degla.train.config import LoraConfig, Tower, TrainConfig
from degla.train.model import SCALARS

_ADAPTED = r"\.resblocks\.\d+\.(attn\.(in_proj|out_proj)|mlp\.(c_fc|c_proj))"
_TRANSFORMERS: dict[Tower, str] = {"image": r"visual\.transformer", "text": r"(text\.)?transformer"}
_DECODER = "text_decoder."  # CoCa's, for which there is no caption loss


def choose_trained(model: Clip, config: TrainConfig) -> None:
    """Freeze, in place, what `config` does not train, and put the adapters in."""
    if config.lora is not None:
        _add_adapters(model, config.lora, config.seed)
    for name, parameter in model.named_parameters():
        frozen = _tower(name) == config.freeze if config.lora is None else ".lora_" not in name
        parameter.requires_grad_(not frozen and not name.startswith(_DECODER))


def merged(state: Mapping[str, Tensor], lora: LoraConfig | None) -> dict[str, Tensor]:
    """A state dict under open_clip's names, each adapter added to its weight: W + alpha / rank B A (arXiv 2106.09685)."""
    if lora is None:
        return dict(state)
    plain = {}
    for name, value in state.items():
        module, is_adapted, _ = name.partition("base_layer.weight")
        if is_adapted:
            value = (
                value + lora.alpha / lora.rank * state[f"{module}lora_B.default.weight"] @ state[f"{module}lora_A.default.weight"]
            )
        if ".lora_" not in name:
            plain[name.replace(".base_layer.", ".").replace(".attn.in_proj.", ".attn.in_proj_")] = value
    return plain


class LinearAttention(Attention):
    """The same, its projections as linear layers on the same weights."""

    def __init__(self, attention: Attention) -> None:
        super().__init__(attention)
        del self.in_proj_weight, self.in_proj_bias
        width = attention.out_proj.in_features
        self.in_proj = nn.Linear(width, 3 * width, device="meta")
        self.in_proj.weight, self.in_proj.bias = attention.in_proj_weight, attention.in_proj_bias
        self.out_proj = nn.Linear(width, width, device="meta")
        self.out_proj.weight, self.out_proj.bias = attention.out_proj.weight, attention.out_proj.bias

    def project(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = self.in_proj(key).chunk(3, dim=-1)
        return (queries if query is key else self.in_proj(query).chunk(3, dim=-1)[0]), keys, values


def _add_adapters(model: Clip, lora: LoraConfig, seed: int) -> None:
    from peft import LoraConfig as PeftConfig  # loads transformers: seconds
    from peft import inject_adapter_in_model

    for tower in lora.towers:
        for block in _blocks(model, tower):
            block.attn = LinearAttention(block.attn)
    prefixes = "|".join(_TRANSFORMERS[tower] for tower in lora.towers)
    config = PeftConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=f"({prefixes}){_ADAPTED}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


def _blocks(model: Clip, tower: Tower) -> list[ResidualAttentionBlock]:
    text = text_tower(model)
    holder = model.visual if tower == "image" or text is None else text.holder
    return list(holder.transformer.resblocks)


def _tower(name: str) -> Tower | Literal["neither"]:
    """The tower of a parameter."""
    if name in SCALARS:
        return "neither"
    return "image" if name.startswith("visual.") else "text"
