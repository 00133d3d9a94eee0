"""The EMA teacher: a moving average of the student, to which it stays close.

It starts as the pretrained model, computes in float32 parameters and eval mode, and sees what the student sees. With LoRA
the average is that of the adapters. Every rank keeps a whole copy and moves it by itself, so no communication is needed.
Called by `degla.train.worker`.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn

from degla.train.config import TrainConfig


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
    """

    def __init__(self, model: nn.Module, alpha: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._alpha = alpha
        self._parameters = list(self.model.parameters())

    @torch.no_grad()
    def follow(self, student: Iterable[nn.Parameter]) -> None:
        """theta* <- alpha theta* + (1 - alpha) theta, for the student's parameters in the order of the model's."""
        torch._foreach_lerp_(self._parameters, [parameter.data for parameter in student], 1 - self._alpha)

    def state(self) -> dict[str, torch.Tensor]:
        """The weights, to be saved."""
        return {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
