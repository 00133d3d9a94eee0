"""DeepSpeed, behind one class; no other module of degla imports it.

Four of its defaults would change the mathematics and are set here: gradient clipping is 1.0 where nothing is said, bf16
autocast reduces the gradients of linear layers in bf16, an autocast of one's own is switched off, and under ZeRO a
parameter that is changed in place is overwritten from the optimizer's copy. Called by `degla.train.worker`.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import deepspeed
import torch
from deepspeed.utils import safe_get_local_fp32_param, safe_set_full_fp32_param
from torch import Tensor, nn

from degla.train.config import TrainConfig
from degla.train.model import SCALARS, TrainingClip
from degla.train.trained import merged

MAX_LOGIT_SCALE = math.log(100)
_TAG = "engine"


def join_ranks(device: torch.device, timeout_seconds: int) -> None:
    """Meet the other ranks; the launcher's environment says how many there are and where."""
    if device.type == "cpu":
        # A shared-memory reduction for inference, which training never calls; building it takes a compiler and 30 s.
        deepspeed.ops.__compatible_ops__ = {}
    deepspeed.init_distributed(
        dist_backend="nccl" if device.type == "cuda" else "gloo",
        timeout=timedelta(seconds=timeout_seconds),
        verbose=False,
    )


def be_quiet() -> None:
    """Keep DeepSpeed's start-up notes, and torch's about collectives that DeepSpeed calls, out of the log."""
    deepspeed.utils.logger.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")


class Engine:
    """A student with its optimizer, on this rank.

    Args:
        model: the student; its weights are rank 0's afterwards.
        config: optimizer, precision and ZeRO stage.
        num_ranks: over which the batch is split.
    """

    def __init__(self, model: TrainingClip, config: TrainConfig, num_ranks: int) -> None:
        self._stage, self._lora = config.zero_stage, config.lora
        shapes = {name: tuple(value.shape) for name, value in model.clip.state_dict().items()}
        optimizer = torch.optim.AdamW(
            parameter_groups(model, config.weight_decay), lr=config.lr, betas=config.betas, eps=config.eps, fused=True
        )
        if self._stage == 3:
            for parameter in model.clip.parameters(recurse=False):
                deepspeed.zero.register_external_parameter(model, parameter)
        self._engine, self._optimizer, _, _ = deepspeed.initialize(
            model=model, optimizer=optimizer, config=_settings(config, num_ranks)
        )
        self._model = model.eval()
        self._shapes = shapes
        self.device: torch.device = self._engine.device

    def __call__(self, image_BCHW: Tensor, text_TL: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`TrainingClip.forward`, in the configured precision."""
        return self._engine(image_BCHW, text_TL)

    def update(self, loss: Tensor, learning_rate: float) -> None:
        """Backward, gradients averaged over ranks, one AdamW step, logit scale clamped to ln 100.

        Args:
            loss: this rank's share; its mean over ranks is the loss of the global batch.
            learning_rate: of this step.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.backward(loss)
        self._engine.step()
        self._clamp_logit_scale()

    @contextmanager
    def parameters(self) -> Iterator[list[nn.Parameter]]:
        """The student's whole parameters in the model's order, to be read; gathered first where ZeRO 3 holds shards."""
        parameters = list(self._model.parameters())
        if self._stage < 3:
            yield parameters
            return
        with deepspeed.zero.GatheredParameters(parameters):
            yield parameters

    def weights(self) -> dict[str, Tensor]:
        """A float32 copy of the CLIP's state dict on the CPU, its scalars 0-d again and its adapters merged. Every rank has to
        call it."""
        with self.parameters():
            state = {name: value.detach().float().cpu().clone() for name, value in self._model.clip.state_dict().items()}
        state = merged(state, self._lora)
        return state | {name: state[name].reshape(()) for name in SCALARS if name in state}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the CLIP's state dict."""
        return self._shapes

    def save(self, folder: Path) -> None:
        """Write the state of student and optimizer below `folder`. Every rank has to call it."""
        self._engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Every rank has to call it.

        DeepSpeed unpickles: only for files whose checksums were compared (`degla.train.checkpoint`).
        """
        self._engine.load_checkpoint(str(folder), tag=_TAG)

    @torch.no_grad()
    def _clamp_logit_scale(self) -> None:
        scale = self._model.clip.logit_scale
        if not scale.requires_grad:
            return
        if self._stage == 3:
            safe_get_local_fp32_param(scale).data.clamp_(max=MAX_LOGIT_SCALE)
            scale.ds_tensor.data.clamp_(max=MAX_LOGIT_SCALE)
            return
        if self._stage and bool(scale > MAX_LOGIT_SCALE):
            safe_set_full_fp32_param(scale, torch.full_like(scale, MAX_LOGIT_SCALE))
        scale.clamp_(max=MAX_LOGIT_SCALE)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; norms, biases and the logit scale (fewer than two dimensions) do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    vectors = [parameter for parameter in trained if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]  # adapters have no vectors


def _settings(config: TrainConfig, num_ranks: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": config.batch_size // num_ranks,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": config.clip_grad_norm,
        "zero_optimization": {"stage": config.zero_stage},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 1 << 60,
    }
    if config.precision == "bf16":
        settings["torch_autocast"] = {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    return settings


def rank_device() -> torch.device:
    """The GPU of this rank, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
