"""The student in DeepSpeed's engine; no other module of degla imports DeepSpeed.

Four of its defaults would change the mathematics and are set here: gradient clipping is 1.0 unless set, bf16 autocast reduces
the gradients of linear layers in bf16, an autocast of one's own is switched off, and under ZeRO a parameter that is changed in
place is overwritten from the optimizer's copy. Its checkpoints are pickles that belong to one number of ranks; `Student.state`
takes their place. Its `safe_get_full_*` and `safe_set_full_*` cannot: they return nothing at ZeRO 0, need moments that exist
only after a first step, and at ZeRO 3 fail on parameters that the ranks do not divide, such as the logit scale.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import deepspeed
import torch
from deepspeed.utils import set_z3_leaf_modules
from torch import Tensor, distributed, nn

from degla.train.chunks import Forward, Texts, forward_in_chunks, num_chunks
from degla.train.config import LoraConfig, TrainConfig
from degla.train.model import SCALARS, TrainingClip
from degla.train.trained import merged

MAX_LOGIT_SCALE = math.log(100)
_MOMENTS = ("exp_avg", "exp_avg_sq")


def join_ranks(device: torch.device, timeout_seconds: int) -> None:
    """Join the process group; the launcher's environment says how many ranks there are and where. Once is enough."""
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


class Student:
    """The model that trains, with its optimizer, on this rank.

    Args:
        model: its weights are rank 0's afterwards.
        config: optimizer, precision, ZeRO stage and what saves memory.
        num_ranks: over which the batch is split.
    """

    def __init__(self, model: TrainingClip, config: TrainConfig, num_ranks: int) -> None:
        self._stage, self._lora = config.zero_stage, config.lora
        self._settings = _settings(config, num_ranks)
        self.num_chunks = num_chunks(config.batch_size // num_ranks, config.chunk_size)
        self.shapes = {name: tuple(value.shape) for name, value in model.clip.state_dict().items()}
        """Names and shapes of the CLIP's state dict; ZeRO 3 takes the shapes from the model."""
        self._adam = torch.optim.AdamW(
            parameter_groups(model, config.weight_decay), lr=config.lr, betas=config.betas, eps=config.eps, fused=True
        )
        if self._stage == 3:
            _tell_zero_3(model)
        self._engine, self._optimizer, _, _ = deepspeed.initialize(model=model, optimizer=self._adam, config=self._settings)
        if num_ranks == 1 and self._stage == 0:
            self._engine.enable_backward_allreduce = False  # it would copy all gradients out and back, to add nobody's
        self._model = model.eval()
        self.device: torch.device = self._engine.device

    def __call__(self, image_BCHW: Tensor, text: Texts) -> Forward:
        """`TrainingClip.forward` in the configured precision. Its backward averages the gradients over the ranks: the mean over
        ranks of the losses must be the loss of the global batch."""
        if self.num_chunks == 1:
            return Forward(self._engine(image_BCHW, text), self._engine.backward)
        return forward_in_chunks(self._engine, self._backward_chunk, image_BCHW, text, self.num_chunks)

    def update(self, learning_rate: float) -> None:
        """One AdamW step on the gradients; then the logit scale is clamped to ln 100."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        self._clamp_logit_scale()

    def held(self) -> list[Tensor]:
        """What this rank holds of each parameter, in the model's order, to be read."""
        return held(self._model.parameters())

    def frozen(self, model: TrainingClip) -> nn.Module:
        """A model of the same class that is only evaluated: on this device, in the same precision, split over the ranks if
        ZeRO 3 splits the student."""
        if self._stage < 3:
            return model.to(self.device)
        _tell_zero_3(model)
        return deepspeed.initialize(model=model, config=self._settings)[0]

    def weights(self) -> dict[str, Tensor]:
        """Those of the model; see `weights_of`."""
        return weights_of(self._model, self._lora)

    def finite(self) -> Tensor:
        """Whether this rank's part of the trained parameters is finite: a boolean scalar."""
        pieces = [self._place(parameter) for _, parameter in self._trained()]
        return torch.stack([torch.isfinite(piece.of(piece.flat)).all() for piece in pieces]).all()

    def state_bytes(self) -> int:
        """Size of a `state`."""
        return 4 * (1 + len(_MOMENTS)) * sum(_shape(parameter).numel() for _, parameter in self._trained())

    def state(self, keep: bool) -> dict[str, Tensor]:
        """Weights and moments of all trained parameters by name, whole, float32, on the CPU: any number of ranks at any ZeRO
        stage can continue from them. Every rank must call it; empty unless `keep`."""
        state = {}
        for name, parameter in self._trained():
            place = self._place(parameter)
            for kind, flat in self._kinds(place.flat).items():
                whole = place.read(flat, _shape(parameter), alone=self._stage == 0)
                if keep:
                    state[f"{kind}:{name}"] = whole.detach().cpu().clone()
        return state

    def restore(self, state: Mapping[str, Tensor], step: int) -> None:
        """Go on from a `state` after `step` optimizer steps."""
        for name, parameter in self._trained():
            place = self._place(parameter)
            for kind, flat in self._kinds(place.flat).items():
                place.write(flat, state[f"{kind}:{name}"].to(self.device))
            self._adam.state[place.flat]["step"].fill_(step)
            if self._stage == 3:
                held([parameter])[0][: place.length].copy_(place.of(place.flat))
            else:
                parameter.data.copy_(state[f"weight:{name}"])

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, parameter) for name, parameter in self._model.named_parameters() if parameter.requires_grad]

    def _kinds(self, flat: Tensor) -> dict[str, Tensor]:
        """The optimizer's weights, and the moments that belong to them; before its first step they are made, as zeros."""
        if flat not in self._adam.state:
            zeros = {kind: torch.zeros_like(flat) for kind in _MOMENTS}
            self._adam.state[flat] = {"step": torch.zeros((), device=self.device), **zeros}
        return {"weight": flat, **{kind: self._adam.state[flat][kind] for kind in _MOMENTS}}

    def _backward_chunk(self, loss: Tensor, last: bool) -> None:
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss, scale_wrt_gas=False)

    def _place(self, parameter: nn.Parameter) -> Place:
        zero = self._optimizer
        if self._stage == 0:
            return Place(parameter, 0, 0, parameter.numel())
        if self._stage == 3:
            group, offset, length = zero.grad_position[zero.get_param_id(parameter)]
            start = distributed.get_rank() * length  # the last pieces are padded
            length = min(length, max(0, _shape(parameter).numel() - start))
            return Place(zero.fp32_partitioned_groups_flat[group], offset, start if length else 0, length)
        piece = getattr(parameter, "_hp_mapping")  # noqa: B009 (DeepSpeed's: torch does not know it)
        if piece is None:
            return Place(zero.single_partition_of_fp32_groups[0], 0, 0, 0)
        flat = zero.single_partition_of_fp32_groups[piece.param_group_index]
        return Place(flat, piece.hp_fragment_address.start, piece.lp_fragment_address.start, piece.hp_fragment_address.numel)

    @torch.no_grad()
    def _clamp_logit_scale(self) -> None:
        scale = self._model.clip.logit_scale
        if not scale.requires_grad:
            return
        place = self._place(scale)
        place.of(place.flat).clamp_(max=MAX_LOGIT_SCALE)
        for copy in held([scale]):
            copy.clamp_(max=MAX_LOGIT_SCALE)


@dataclass(frozen=True)
class Place:
    """Where the optimizer keeps this rank's piece of a parameter: parameter[start:start+length], flattened, is
    flat[offset:offset+length]; the moments of `flat` are laid out alike."""

    flat: Tensor
    offset: int
    start: int
    length: int

    def of(self, flat: Tensor) -> Tensor:
        """The piece in a tensor with the layout of `self.flat`; a view."""
        return flat.detach().view(-1).narrow(0, self.offset, self.length)

    def read(self, flat: Tensor, shape: torch.Size, alone: bool) -> Tensor:
        """The whole parameter, from the pieces of all ranks, which must all call this; with `alone` this rank has it all."""
        if alone:
            return self.of(flat).view(shape)
        whole = torch.zeros(shape.numel(), dtype=flat.dtype, device=flat.device)
        whole.narrow(0, self.start, self.length).copy_(self.of(flat))
        distributed.all_reduce(whole)
        return whole.view(shape)

    def write(self, flat: Tensor, whole: Tensor) -> None:
        """Store this rank's piece of `whole`."""
        self.of(flat).copy_(whole.flatten().narrow(0, self.start, self.length))


def held(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """This rank's part of each parameter: the whole, or a flat piece under ZeRO 3. Writing to it changes the model."""
    return [parameter.ds_tensor if hasattr(parameter, "ds_tensor") else parameter.data for parameter in parameters]


@contextmanager
def gathered(model: nn.Module, to_change: bool = False) -> Iterator[None]:
    """Have whole parameters inside the block, also if ZeRO 3 has split them. Every rank must enter.

    Args:
        model: the model.
        to_change: whether rank 0's changes are kept, on all ranks.
    """
    split_up = [parameter for parameter in model.parameters() if hasattr(parameter, "ds_tensor")]
    with deepspeed.zero.GatheredParameters(split_up, modifier_rank=0 if to_change else None):
        yield


def weights_of(model: TrainingClip, lora: LoraConfig | None) -> dict[str, Tensor]:
    """A float32 copy of the CLIP's state dict on the CPU, its scalars 0-d again and its adapters merged. Every rank must call
    it."""
    with gathered(model):
        state = {name: value.detach().float().cpu().clone() for name, value in model.clip.state_dict().items()}
    state = merged(state, lora)
    return state | {name: state[name].reshape(()) for name in SCALARS if name in state}


def _tell_zero_3(model: TrainingClip) -> None:
    """Name the parameters that are used outside the forward of the module that owns them: ZeRO 3 gathers the others itself."""
    for owner in (model.clip, model.clip.visual):
        for parameter in owner.parameters(recurse=False):
            deepspeed.zero.register_external_parameter(model, parameter)
    set_z3_leaf_modules(model, [nn.MultiheadAttention], raise_if_not_found=False)  # it reads its output layer's weights


def _shape(parameter: nn.Parameter) -> torch.Size:
    return parameter.ds_shape if hasattr(parameter, "ds_shape") else parameter.shape


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
        "zero_optimization": {"stage": config.zero_stage, "stage3_param_persistence_threshold": 0},
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
