"""Settings of the train stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from degla.config import NO_EFFECT, Config, StageConfig
from degla.models import ModelRef
from degla.negative_types import NEGATIVE_TYPES, NegativeType

Tracker = Literal["tensorboard", "wandb"]
Objective = Literal["degla", "clip", "negclip", "ce_clip", "fsc_clip"]
Tower = Literal["image", "text"]
Beta = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]

_NEGATIVES: dict[Objective, int] = {"degla": 4, "clip": 0, "negclip": 1, "ce_clip": 4, "fsc_clip": 4}

PAPER_BATCH = 256
"""The global batch that the paper's constants belong to."""
RELEASE_GPUS = 8
"""On so many GPUs the paper's models were trained, each with a share of the batch."""


class LossConfig(Config):
    """The weights of the `degla` objective (paper: section 3; `docs/method.md` has the equations). A weight of 0 switches
    a term off."""

    igc: float = Field(0.1, ge=0)
    """Weight of image-grounded contrast: the image against its caption and its own negatives."""

    tgc: float = Field(0.1, ge=0)
    """Weight of text-grounded contrast: the caption against the teacher's caption and its own negatives."""

    distill: float = Field(1.28, ge=0)
    """Weight of self-distillation, per image of the global batch. 1.28 equals the paper's 0.005 on a sum over 256."""

    tgc_negatives: Literal["paper", "release"] = "paper"
    """`paper`: a caption's own negatives. `release`: those that the authors' released mask picks (other captions')."""


class CeClipConfig(Config):
    """The weights of the `ce_clip` objective beside the base term. A weight of 0 switches a term off."""

    cmr: float = Field(0.4, ge=0)
    """Weight of the cross-modal rank loss: an image prefers its caption to its negatives by a margin per type."""

    imc: float = Field(0.2, ge=0)
    """Weight of intra-modal contrast: a caption is nearer to its image than to the negatives of the batch."""


class FscClipConfig(Config):
    """The weights of the `fsc_clip` objective beside the base term. A weight of 0 switches a term off."""

    global_negatives: float = Field(0.5, ge=0)
    """Weight of the choice between a caption and its negatives by the embeddings of image and texts."""

    local_negatives: float = Field(0.2, ge=0)
    """Weight of the same choice by patches and tokens; needs the last block of both towers on all of them."""

    gamma: float = Field(2.0, ge=0)
    """Focus on choices that are not yet made rightly; 0 is cross-entropy."""

    smoothing: float = Field(0.02, ge=0, lt=1)
    """Share of the label that is spread evenly over caption and negatives."""


class LoraConfig(Config):
    """Low-rank adapters in the attention and MLP of the towers; nothing else trains, and the exported model has them
    merged."""

    rank: int = Field(4, ge=1)
    """Rank of each update."""

    alpha: float = Field(4.0, gt=0)
    """The update is scaled by alpha / rank."""

    towers: tuple[Tower, ...] = Field(("image", "text"), min_length=1)
    """Which towers have adapters."""


class TrainConfig(StageConfig):
    """Train: the model, the recipe and the machine."""

    stage: ClassVar[str] = "train"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("prepare", "filter")

    model: ModelRef = ModelRef()
    """The CLIP to fine-tune."""

    objective: Objective = "degla"
    """`degla`, or a baseline with the same engine: `clip` (no negatives), `negclip` (one negative a caption), `ce_clip`,
    `fsc_clip`."""

    loss: LossConfig = LossConfig()
    """Weights of the `degla` objective."""

    ce_clip: CeClipConfig = CeClipConfig()
    """Weights of the `ce_clip` objective."""

    fsc_clip: FscClipConfig = FscClipConfig()
    """Weights of the `fsc_clip` objective."""

    freeze: Tower | None = None
    """A tower whose weights stay as they are."""

    lora: LoraConfig | None = None
    """Train low-rank adapters instead of the weights; `train.lora.rank=4` is enough to switch them on."""

    steps: int | None = Field(None, ge=1)
    """Optimizer steps; alternatively `epochs`."""

    epochs: float = Field(5.0, gt=0)
    """Passes over the captions; used where `steps` is not given."""

    batch_size: int = Field(256, ge=2)
    """Global batch: captions per optimizer step, over all ranks."""

    negatives: int | None = Field(None, ge=0)
    """Negatives per caption and step (K), sampled where there are more; missing ones are masked. The objective's own where
    not given: 4, for `negclip` 1, for `clip` 0."""

    types: tuple[NegativeType, ...] = Field(NEGATIVE_TYPES, min_length=1)
    """The negative types to train with, of those that were kept."""

    negatives_from: Literal["own", "other"] = "own"
    """`own`: each caption's own negatives. `other`: a control experiment that gives each caption another caption's."""

    images_apart: bool = False
    """Keep the captions of one image out of each other's batch; the paper's recipe does not."""

    shuffle_window: int = Field(0, ge=0)
    """Captions. 0 shuffles the whole epoch. For an image store larger than memory on a disk that reads slowly here and there:
    captions are shuffled within so many whose images lie in few places (`docs/training.md`)."""

    lr: float = Field(1e-6, gt=0)
    """Peak learning rate."""

    warmup_steps: int = Field(50, ge=0)
    """Linear warm-up, then cosine to 0. Optimizer steps."""

    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """AdamW's betas."""

    eps: float = Field(1e-6, gt=0)
    """AdamW's epsilon."""

    weight_decay: float = Field(0.1, ge=0)
    """Decay of matrices; norms, biases and the logit scale have none."""

    clip_grad_norm: float = Field(0.0, ge=0)
    """Largest global gradient norm; 0 does not clip."""

    teacher: Literal["ema", "frozen"] = "ema"
    """`ema` follows the student; `frozen` stays the starting model (the paper's ablation)."""

    ema_start_weight: float = Field(0.039, gt=0, lt=1)
    """Weight that the starting model still has in the EMA teacher after the run; 0.039 is the paper's (0.9996 a step
    over 8,085 steps). Ignored where `ema_half_life_samples` is given."""

    ema_half_life_samples: int | None = Field(None, ge=1)
    """Samples after which the teacher's memory of the start is halved; independent of batch size and run length."""

    crop_scale: tuple[Share, Share] = (0.9, 1.0)
    """Smallest and largest share of the image's area in RandomResizedCrop; (1, 1) without augmentation."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` autocasts matrix products; normalisation and losses stay in fp32."""

    zero_stage: Literal[0, 1, 2, 3] = Field(0, json_schema_extra=NO_EFFECT)
    """DeepSpeed ZeRO stage. With 3 the ranks also share the teacher. The result is the same within rounding, and a run can go on
    with another one."""

    ranks: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Processes; 0 takes one per GPU, or 1 on a CPU. The batch is split over them. The result is the same within rounding, and
    a run can go on with another number."""

    chunk_size: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Captions (with their negatives) of a rank's share that are encoded at once; 0 takes all. Smaller chunks need less memory
    and one more forward pass; loss and gradient stay those of the whole batch."""

    activation_checkpointing: bool = Field(False, json_schema_extra=NO_EFFECT)
    """Compute the blocks' activations again in the backward pass instead of keeping them: less memory, one more forward pass."""

    reproduce: Literal["none", "release"] = "none"
    """`release`: what the authors' released code does on its 8 GPUs and the paper's equations do not: TGC with other captions'
    negatives, distillation summed over the batch, and the towers' gradient divided by 8."""

    hostfile: Path | None = Field(None, json_schema_extra=NO_EFFECT)
    """Several machines train as one: a DeepSpeed hostfile, a line `HOST slots=RANKS` for each. `docs/training.md` says how
    to start them."""

    seed: int = Field(42, ge=0)
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

    @property
    def num_negatives(self) -> int:
        """K: as configured, or the objective's own."""
        return _NEGATIVES[self.objective] if self.negatives is None else self.negatives

    @property
    def effective_loss(self) -> LossConfig:
        """The `degla` objective's weights with what `reproduce` changes."""
        if self.reproduce == "none":
            return self.loss
        summed = self.loss.distill * self.batch_size / PAPER_BATCH
        return self.loss.model_copy(update={"tgc_negatives": "release", "distill": summed})

    @property
    def gradient_divisor(self) -> int:
        """By what the gradient that reaches the towers is divided; 1 is exact."""
        return 1 if self.reproduce == "none" else RELEASE_GPUS

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.objective == "clip" and self.num_negatives:
            raise ValueError("objective clip has no negatives: leave train.negatives out, or take the objective negclip")
        if self.lora is not None and self.freeze is not None:
            raise ValueError("lora trains its adapters alone: leave train.freeze out, and name towers in train.lora.towers")
        if self.crop_scale[0] > self.crop_scale[1]:
            raise ValueError(f"crop_scale is the smallest and the largest share: turn {list(self.crop_scale)} round")
        if self.images_apart and self.shuffle_window:
            raise ValueError("train.images_apart orders the whole epoch: leave train.shuffle_window out")
        if self.objective != "degla" and self.reproduce != "none":
            raise ValueError("train.reproduce is about the release of DeGLA: leave it out, or train.objective")
        return self

    def raw_inputs(self) -> dict[str, str]:
        return {"model": self.model.checksum()}
