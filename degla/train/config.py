"""Settings of the train stage. Those of the objectives are with them, in `degla/train/objectives/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from degla.config import NO_EFFECT, Config, StageConfig
from degla.errors import ModelError
from degla.models import ModelRef
from degla.models.architecture import has_plain_blocks, parts_obstacle
from degla.models.source import check_trainable, find
from degla.negative_types import NEGATIVE_TYPES, NegativeType
from degla.train.objective import Objective
from degla.train.objectives import OBJECTIVES, section_of, with_sections
from degla.train.room import estimate

Tracker = Literal["tensorboard", "wandb"]
Tower = Literal["image", "text"]
Beta = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]

if TYPE_CHECKING:
    ObjectiveName = str
else:
    ObjectiveName = Literal[tuple(OBJECTIVES)]  # a drop-down in the run form

RELEASE_GPUS = 8
"""The paper's models were trained on 8 GPUs, each with a share of the batch."""


class LoraConfig(Config):
    """Low-rank adapters in the attention and MLP of the towers. Nothing else trains; the exported model has them merged."""

    rank: int = Field(4, ge=1)
    """Rank of each update."""

    alpha: float = Field(4.0, gt=0)
    """The update is scaled by alpha / rank."""

    towers: tuple[Tower, ...] = Field(("image", "text"), min_length=1)
    """Towers with adapters."""


@with_sections
class TrainConfig(StageConfig):
    """Train: the model, the recipe and the machine."""

    stage: ClassVar[str] = "train"
    version: ClassVar[int] = 6
    needs: ClassVar[tuple[str, ...]] = ("prepare", "filter")

    model: ModelRef = ModelRef()
    """The CLIP to fine-tune."""

    objective: ObjectiveName = "degla"
    """The loss. `degla`, or a baseline with the same engine: `clip` (no negatives), `negclip` (one negative per caption),
    `ce_clip`, `fsc_clip`. Its weights are in `loss` for `degla`, and in the section of its name for the others."""

    freeze: Tower | None = None
    """A tower whose weights do not train."""

    lora: LoraConfig | None = None
    """Train low-rank adapters instead of the weights; `train.lora.rank=4` is enough to switch them on."""

    steps: int | None = Field(None, ge=1)
    """Optimizer steps; alternatively `epochs`."""

    epochs: float = Field(5.0, gt=0)
    """Passes over the captions; ignored if `steps` is given."""

    batch_size: int = Field(256, ge=2)
    """Global batch: captions per optimizer step, over all ranks."""

    negatives: int | None = Field(None, ge=0)
    """Negatives per caption and step (K), sampled if there are more; missing ones are masked. Default: the objective's own
    number, which is 4, for `negclip` 1, for `clip` 0."""

    types: tuple[NegativeType, ...] = Field(NEGATIVE_TYPES, min_length=1)
    """Negative types to train with, of those that filter kept."""

    negatives_from: Literal["own", "other"] = "own"
    """`own`: each caption's own negatives. `other`: another caption's, as a control experiment."""

    images_apart: bool = False
    """Keep the captions of one image out of each other's batch; the paper's recipe does not."""

    shuffle_window: int = Field(0, ge=0)
    """Size of the shuffle window in captions; 0 shuffles the whole epoch. For an image store larger than memory on a disk with
    slow random reads: captions are shuffled among those whose images are near each other (`docs/training.md`)."""

    lr: float = Field(1e-6, gt=0)
    """Peak learning rate."""

    warmup_steps: int = Field(50, ge=0)
    """Linear warm-up, then cosine to 0. Optimizer steps."""

    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """AdamW's betas."""

    eps: float = Field(1e-6, gt=0)
    """AdamW's epsilon."""

    weight_decay: float = Field(0.1, ge=0)
    """AdamW's weight decay of matrices; norms, biases and the logit scale have none."""

    clip_grad_norm: float = Field(0.0, ge=0)
    """Clip the global gradient norm to this; 0 does not clip."""

    teacher: Literal["ema", "frozen"] = "ema"
    """`ema` follows the student; `frozen` stays the starting model (the paper's ablation)."""

    ema_start_weight: float = Field(0.039, gt=0, lt=1)
    """Weight of the starting model in the EMA teacher at the end of the run; 0.039 is the paper's (0.9996 per step over
    8,085 steps). Ignored if `ema_half_life_samples` is given."""

    ema_half_life_samples: int | None = Field(None, ge=1)
    """Samples after which the starting model's weight in the teacher is halved; independent of batch size and run length."""

    crop_scale: tuple[Share, Share] = (0.9, 1.0)
    """Smallest and largest share of the image's area in RandomResizedCrop; (1, 1) crops the centre, as evaluation does."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` autocasts matrix products; normalisation and losses stay in fp32."""

    zero_stage: Literal[0, 1, 2, 3] = Field(0, json_schema_extra=NO_EFFECT)
    """DeepSpeed ZeRO stage: the ranks share the optimizer (1), gradients (2), and weights and teacher (3). The result is the
    same within rounding, and a run can be resumed with another stage."""

    ranks: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Number of processes; 0 is one per GPU, or 1 on a CPU. The batch is split over them. The result is the same within
    rounding, and a run can be resumed with another number."""

    chunk_size: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Captions (with their negatives) that a rank encodes at once; 0 is all. Smaller chunks need less memory and one more
    forward pass; loss and gradient stay those of the whole batch (GradCache)."""

    activation_checkpointing: bool = Field(False, json_schema_extra=NO_EFFECT)
    """Recompute the blocks' activations in the backward pass instead of keeping them: less memory, one more forward pass."""

    reproduce: Literal["none", "release"] = "none"
    """`release`: what the authors' released code does on its 8 GPUs and the paper's equations do not: TGC with other captions'
    negatives, distillation summed over the batch, and the towers' gradient divided by 8. Not reproduced: the release always
    takes the first four of `enhanced` (here four are drawn each epoch), and it trains in fp16 (here `precision`)."""

    hostfile: Path | None = Field(None, json_schema_extra=NO_EFFECT)
    """For several machines: a DeepSpeed hostfile, a line `HOST slots=RANKS` for each. `docs/training.md` says how to start
    them."""

    seed: int = Field(42, ge=0)
    """Seed of data order, augmentation, the choice of negatives and random weights."""

    checkpoint_every: int = Field(100, ge=1, json_schema_extra=NO_EFFECT)
    """Optimizer steps between checkpoints."""

    keep_checkpoints: int = Field(2, ge=1, json_schema_extra=NO_EFFECT)
    """Number of checkpoints to keep, the last ones."""

    keep_weights_every: int = Field(0, ge=0)
    """Optimizer steps between weights that stay in the artifact, with those of the teacher at the end, as candidates of
    `evaluate.interpolate` (`docs/evaluation.md`). Each takes as much disk as the model. 0 keeps none."""

    log_every: int = Field(10, ge=1, json_schema_extra=NO_EFFECT)
    """Optimizer steps between lines of `metrics.jsonl`."""

    trackers: tuple[Tracker, ...] = Field((), json_schema_extra=NO_EFFECT)
    """Further places for the figures of `metrics.jsonl`: `tensorboard` (a folder in the artifact), `wandb`."""

    rank_timeout_seconds: int = Field(600, ge=10, json_schema_extra=NO_EFFECT)
    """Seconds that a rank waits for another one before it gives up."""

    @property
    def num_negatives(self) -> int:
        """K: as configured, or the objective's own."""
        return OBJECTIVES[self.objective].num_negatives if self.negatives is None else self.negatives

    @property
    def chosen(self) -> Objective:
        """The objective with its settings, and with what `reproduce` changes."""
        section = section_of(self.objective)
        objective = getattr(self, section) if section else OBJECTIVES[self.objective]()
        return objective if self.reproduce == "none" else objective.released(self.batch_size)

    def unused(self) -> set[str]:
        """The settings of the other objectives, and weights that are not kept: neither makes a finished run anew."""
        others = {section for name in OBJECTIVES if (section := section_of(name)) and name != self.objective}
        return others if self.keep_weights_every else others | {"keep_weights_every"}

    @property
    def gradient_divisor(self) -> int:
        """Divisor of the gradient that reaches the towers; 1 is exact."""
        return 1 if self.reproduce == "none" else RELEASE_GPUS

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.negatives and not OBJECTIVES[self.objective].num_negatives:
            raise ValueError(f"objective {self.objective} has no negatives: leave train.negatives out, or take another objective")
        if self.lora is not None and self.freeze is not None:
            raise ValueError("lora trains adapters only: leave train.freeze out, and name towers in train.lora.towers")
        if self.crop_scale[0] > self.crop_scale[1]:
            raise ValueError(f"crop_scale must be (smallest, largest); got {self.crop_scale}")
        if self.images_apart and self.shuffle_window:
            raise ValueError("train.images_apart orders the whole epoch: leave train.shuffle_window out")
        if self.ranks and self.batch_size % self.ranks:
            raise ValueError(f"train.batch_size {self.batch_size} is no multiple of the {self.ranks} ranks; set either to fit")
        _ = self.chosen  # refuses `reproduce` with an objective that was not released
        return self

    def raw_inputs(self) -> dict[str, str]:
        """Checksum of the model, which the objective and the adapters must suit."""
        source = find(self.model, "train.model", download=False)
        check_trainable(source)
        obstacle = parts_obstacle(source.architecture) if self.chosen.needs_local else ""
        if obstacle:
            raise ModelError(f"{source.name}: {obstacle}: set train.fsc_clip.local_negatives=0")
        sections = {"image": "vision_cfg", "text": "text_cfg"}
        for tower in self.lora.towers if self.lora else ():
            if not has_plain_blocks(source.architecture[sections[tower]]):
                raise ModelError(
                    f"{source.name}: the {tower} tower is not a transformer of open_clip's plain blocks: leave it out of"
                    f" train.lora.towers"
                )
        return {"model": self.model.checksum()}

    def estimate(self, root: Path) -> str:
        return estimate(self, root)
