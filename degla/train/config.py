"""Settings of the train stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from degla.config import NO_EFFECT, Config, StageConfig
from degla.models import ModelRef
from degla.schemas import NEGATIVE_TYPES, NegativeType

Tracker = Literal["tensorboard", "wandb"]


class LossConfig(Config):
    """The weights of the DeGLA objective (paper: section 3; `docs/method.md` has the equations). A weight of 0 switches
    a term off."""

    igc: float = Field(0.1, ge=0)
    """Weight of image-grounded contrast: the image against its caption and its own negatives."""

    tgc: float = Field(0.1, ge=0)
    """Weight of text-grounded contrast: the caption against the teacher's caption and its own negatives."""

    distill: float = Field(1.28, ge=0)
    """Weight of self-distillation, per image of the global batch. 1.28 equals the paper's 0.005 on a sum over 256."""

    tgc_negatives: Literal["paper", "release"] = "paper"
    """`paper`: a caption's own negatives. `release`: those that the authors' released mask picks (other captions')."""


class TrainConfig(StageConfig):
    """Train: the model, the recipe and the machine."""

    stage: ClassVar[str] = "train"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("prepare", "filter")

    model: ModelRef = ModelRef()
    """The CLIP to fine-tune."""

    loss: LossConfig = LossConfig()
    """Weights of the objective."""

    steps: int | None = Field(None, ge=1)
    """Optimizer steps; alternatively `epochs`."""

    epochs: float = Field(5.0, gt=0)
    """Passes over the captions; used where `steps` is not given."""

    batch_size: int = Field(256, ge=2)
    """Global batch: captions per optimizer step, over all ranks."""

    negatives: int = Field(4, ge=0)
    """Negatives per caption and step (K), sampled where there are more; missing ones are masked."""

    types: tuple[NegativeType, ...] = NEGATIVE_TYPES
    """The negative types to train with, of those that were kept."""

    negatives_from: Literal["own", "other"] = "own"
    """`own`: each caption's own negatives. `other`: a control experiment that gives each caption another caption's."""

    lr: float = Field(1e-6, gt=0)
    """Peak learning rate."""

    warmup_steps: int = Field(50, ge=0)
    """Linear warm-up, then cosine to 0. Optimizer steps."""

    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's betas."""

    eps: float = 1e-6
    """AdamW's epsilon."""

    weight_decay: float = Field(0.1, ge=0)
    """Decay of matrices; norms, biases and the logit scale have none."""

    clip_grad_norm: float = Field(0.0, ge=0)
    """Largest global gradient norm; 0 does not clip."""

    ema_start_weight: float = Field(0.039, gt=0, lt=1)
    """Weight that the starting model still has in the EMA teacher after the run; 0.039 is the paper's (0.9996 a step
    over 8,085 steps). Ignored where `ema_half_life_samples` is given."""

    ema_half_life_samples: int | None = Field(None, ge=1)
    """Samples after which the teacher's memory of the start is halved; independent of batch size and run length."""

    crop_scale: tuple[float, float] = (0.9, 1.0)
    """Share of the image's area in RandomResizedCrop; (1, 1) without augmentation."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` autocasts matrix products; normalisation and losses stay in fp32."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    """DeepSpeed ZeRO stage."""

    ranks: int = Field(0, ge=0)
    """Processes; 0 takes one per GPU, or 1 on a CPU. The batch is split over them."""

    seed: int = 42
    """Seeds data order, augmentation and the choice of negatives."""

    checkpoint_every: int = Field(100, ge=1, json_schema_extra=NO_EFFECT)
    """Optimizer steps between checkpoints."""

    keep_checkpoints: int = Field(2, ge=1, json_schema_extra=NO_EFFECT)
    """How many of the last checkpoints stay."""

    log_every: int = Field(10, ge=1, json_schema_extra=NO_EFFECT)
    """Optimizer steps between lines of `metrics.jsonl`."""

    trackers: tuple[Tracker, ...] = Field((), json_schema_extra=NO_EFFECT)
    """Where the figures of `metrics.jsonl` go as well: `tensorboard` (a folder in the artifact), `wandb`."""

    rank_timeout_seconds: int = Field(600, ge=10, json_schema_extra=NO_EFFECT)
    """A rank that waits this long for another one gives up."""

    def raw_inputs(self) -> dict[str, str]:
        return {"model": self.model.checksum()}
