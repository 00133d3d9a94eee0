"""The EMA teacher: an exponential moving average of the student, to which the student stays close.

It starts as the pretrained model, has float32 parameters, computes in eval mode, and sees the student's inputs. With LoRA the
average is that of the adapters. A rank holds the same part of it as of the student (all, or with ZeRO 3 a part of each
parameter) and moves that part by itself, so no communication is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from degla.models.loading import load_strictly
from degla.train.chunks import Texts, encode_in_chunks, joined
from degla.train.config import TrainConfig
from degla.train.embeddings import Encoded
from degla.train.model import TrainingClip
from degla.train.student import Student, gathered, held


def ema_alpha(config: TrainConfig, steps: int) -> float:
    """The weight that the teacher keeps of itself at each step.

    1 if it is frozen. With `ema_half_life_samples`: the start's weight halves after that many samples. Otherwise the start's
    weight after `steps` steps is `ema_start_weight`. The paper's 0.9996 leaves 0.039 after its 8,085 steps.
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

    def __init__(self, model: TrainingClip, alpha: float, bf16: bool = False) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._alpha, self._bf16 = alpha, bf16
        self._encode: nn.Module = self.model

    def join(self, student: Student) -> None:
        """Go to the student's device; under ZeRO 3 every rank then holds a part."""
        self._encode = student.frozen(self.model)

    @torch.no_grad()
    def __call__(self, image_BCHW: Tensor, text: Texts, num_chunks: int = 1) -> Encoded:
        """The outputs of the student's forward, without gradient."""
        with torch.autocast(image_BCHW.device.type, torch.bfloat16, enabled=self._bf16):
            return joined(encode_in_chunks(self._encode, image_BCHW, text, num_chunks))

    @torch.no_grad()
    def follow(self, student: Sequence[Tensor]) -> None:
        """theta* <- alpha theta* + (1 - alpha) theta, for what a rank holds of the student, in the order of its parameters."""
        torch._foreach_lerp_(held(self.model.parameters()), list(student), 1 - self._alpha)

    def state(self, keep: bool) -> dict[str, Tensor]:
        """The weights, to be saved. Every rank must call it; empty unless `keep`."""
        with gathered(self.model):
            state = self.model.state_dict() if keep else {}
            return {name: value.detach().cpu().clone() for name, value in state.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of a `state`. Every rank must call it.

        Raises:
            ModelError: it is of another model.
        """
        with gathered(self.model, to_change=True):
            load_strictly(self.model, state, "the teacher of the checkpoint", "of this run")
