"""The EMA teacher: a moving average of the student, to which it stays close.

It starts as the pretrained model, computes in float32 parameters and eval mode, and sees what the student sees. With LoRA
the average is that of the adapters. A rank holds of it what it holds of the student (all, or under ZeRO 3 a part of each
parameter) and moves that by itself, so no communication is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from degla.models.loading import load_strictly
from degla.train.chunks import Outputs, Texts, encode_in_chunks, joined
from degla.train.config import TrainConfig
from degla.train.engine import Engine, gathered
from degla.train.parts import held


def ema_alpha(config: TrainConfig, steps: int) -> float:
    """The weight that the teacher keeps of itself at each step.

    1 where it is frozen. From `ema_half_life_samples`: the memory halves after so many samples. Otherwise from
    `ema_start_weight`: what is left of the start after `steps` steps. The paper's 0.9996 leaves 0.039 after its 8,085
    steps.
    """
    if config.teacher == "frozen":
        return 1.0
    if config.ema_half_life_samples is not None:
        return 0.5 ** (config.batch_size / config.ema_half_life_samples)
    return config.ema_start_weight ** (1 / steps)


class Teacher:
    """A frozen copy of a model that follows it.

    Args:
        model: the student before its first step.
        alpha: see `ema_alpha`.
        bf16: whether matrix products are computed in bfloat16, as the student's are.
    """

    def __init__(self, model: nn.Module, alpha: float, bf16: bool = False) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._alpha, self._bf16 = alpha, bf16
        self._encode: nn.Module = self.model

    def join(self, engine: Engine) -> None:
        """Go to where the student's engine computes; under ZeRO 3 every rank then holds a part."""
        self._encode = engine.frozen(self.model)

    @torch.no_grad()
    def __call__(self, image_BCHW: Tensor, text: Texts, num_chunks: int = 1) -> Outputs:
        """What the student's forward returns, without gradient."""
        with torch.autocast(image_BCHW.device.type, torch.bfloat16, enabled=self._bf16):
            return joined(encode_in_chunks(self._encode, image_BCHW, text, num_chunks))

    @torch.no_grad()
    def follow(self, student: Sequence[Tensor]) -> None:
        """theta* <- alpha theta* + (1 - alpha) theta, for what a rank holds of the student, in the order of its parameters."""
        torch._foreach_lerp_(held(self.model.parameters()), list(student), 1 - self._alpha)

    def state(self, keep: bool) -> dict[str, Tensor]:
        """The weights, to be saved. Every rank has to call it; empty where `keep` is false."""
        with gathered(self.model):
            state = self.model.state_dict() if keep else {}
            return {name: value.detach().cpu().clone() for name, value in state.items()}

    def restore(self, state: Mapping[str, Tensor], what: str) -> None:
        """Take the weights of a `state`; `what` names it in errors. Every rank has to call it.

        Raises:
            ModelError: it is of another model.
        """
        with gathered(self.model, to_change=True):
            load_strictly(self.model, state, what, "of this run")
