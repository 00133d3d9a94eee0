"""A training run on one rank, built in one place from its job: what a step does, and the state that survives a restart."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from degla.images import ImageStore
from degla.models.encoding import used_lengths
from degla.models.loading import LoadedClip, load
from degla.models.towers import text_tower
from degla.models.tree_encoding import obstacle
from degla.models.trees import TextTrees
from degla.tradeoff import Candidate
from degla.train.batches.context import Cut, find_cut
from degla.train.batches.data import Batch, BatchMaker, Samples, TokenCache, make_plan
from degla.train.batches.negatives import other_negatives, own_negatives
from degla.train.batches.pixels import Crop
from degla.train.batches.trees import TreeCache
from degla.train.chunks import Forward
from degla.train.config import TrainConfig
from degla.train.embeddings import Encoded, Gather, alone, embed
from degla.train.gather import gather_embeddings
from degla.train.job import Job
from degla.train.model import ImageNormaliser, TrainingClip
from degla.train.objective import Losses, Memory, Objective, View
from degla.train.room import check_pixels
from degla.train.schedule import learning_rate, total_steps
from degla.train.student import Student, join_ranks, rank_device, weights_of
from degla.train.teacher import Teacher, ema_alpha
from degla.train.trained import choose_trained

logger = logging.getLogger(__name__)

State = dict[str, Mapping[str, Tensor]]
"""`student`, `teacher` and `objective` (its memory) to tensors by name."""


def build(job: Job, rank: int, num_ranks: int) -> Run:
    """The run before its first step. Every rank must call it.

    Raises:
        ConfigError: the batch size does not fit the data or the ranks, or the model looks at more pixels than were stored.
        ModelError: the model does not fit its weights.
    """
    config, objective = job.config, job.config.chosen
    join_ranks(rank_device(), config.rank_timeout_seconds)
    torch.backends.mha.set_fastpath_enabled(False)  # the teacher must compute as the student does
    clip = load(config.model, seed=config.seed)
    make = batch_maker(job, clip, objective.needs_local, rank, num_ranks)
    steps = total_steps(config, make.plan)
    clip.model.set_grad_checkpointing(config.activation_checkpointing)
    model = TrainingClip(clip.model, objective.needs_local)
    choose_trained(model.clip, config)
    bf16 = config.precision == "bf16"
    teacher = Teacher(model, ema_alpha(config, steps), bf16) if objective.needs_teacher else None
    student = Student(model, config, num_ranks)
    if teacher is not None:
        teacher.join(student)
    normalise = ImageNormaliser(clip.preprocessing.mean, clip.preprocessing.std, student.device)
    gather = gather_embeddings if num_ranks > 1 else alone
    return Run(config, clip, make, steps, objective, student, teacher, normalise, gather, objective.start())


@dataclass
class Run:
    """A training run. Batch, crops and negatives follow from the step's number, so a restart needs `done` and `state` alone."""

    config: TrainConfig
    clip: LoadedClip
    make: BatchMaker
    steps: int
    """Optimizer steps of the whole run."""
    objective: Objective
    student: Student
    teacher: Teacher | None
    normalise: ImageNormaliser
    gather: Gather
    memory: Memory
    """What the objective hands from step to step."""
    done: int = 0
    """Optimizer steps so far."""

    def step(self, batch: Batch) -> Losses:
        """Train on the batch of step `done`."""
        forward, losses = self.forward(batch)
        forward.backward(losses.total)
        self.update(losses)
        return losses

    def forward(self, batch: Batch) -> tuple[Forward, Losses]:
        """This rank's share of the losses, and the pass whose backward they go through. Changes nothing."""

        def moved(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(self.student.device, non_blocking=True)

        image, slot_T, type_BK = self.normalise(moved(batch.image_BHW3)), moved(batch.slot_T), moved(batch.type_BK)
        text = batch.text.map(moved) if isinstance(batch.text, TextTrees) else moved(batch.text)
        forward = self.student(image, text)
        encoded = with_gradient_divided(forward.encoded, self.config.gradient_divisor)
        teacher = None
        if self.teacher is not None:
            teacher = embed(self.teacher(image, text, self.student.num_chunks), slot_T, type_BK)
        student = embed(encoded, slot_T, type_BK)
        view = View(student, teacher, *self.gather(student), encoded.scale.squeeze(), self.memory)
        return forward, self.objective(view)

    def update(self, losses: Losses) -> None:
        """The optimizer's step on the gradients of these losses; the teacher follows."""
        self.student.update(self.learning_rate)
        if self.teacher is not None:
            self.teacher.follow(self.student.held())
        self.memory, self.done = losses.memory, self.done + 1

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return learning_rate(self.done, self.steps, self.config.warmup_steps, self.config.lr)

    def state(self, keep: bool = True) -> State:
        """Whole tensors on the CPU. Every rank must call it; empty unless `keep`."""
        teacher = {} if self.teacher is None else self.teacher.state(keep)
        memory = {name: value.cpu().contiguous() for name, value in self.memory.items() if keep}
        return {"student": self.student.state(keep), "teacher": teacher, "objective": memory}

    def restore(self, state: State, done: int) -> None:
        """Continue from the state after `done` steps. Every rank must call it.

        Raises:
            ModelError: the state is of another model.
        """
        self.student.restore(state["student"], done)
        if self.teacher is not None:
            self.teacher.restore(state["teacher"])
        self.memory, self.done = state.get("objective", {}), done

    def state_bytes(self) -> int:
        """Size of a `state`."""
        return self.student.state_bytes() + (0 if self.teacher is None else self.weight_bytes())

    def weight_bytes(self) -> int:
        """Size of the model's weights."""
        return sum(4 * int(np.prod(shape)) for shape in self.student.shapes.values())

    def kept_bytes(self) -> int:
        """Size of all weights still to be kept."""
        every = self.config.keep_weights_every
        if not every:
            return 0
        count = (self.steps - 1) // every - self.done // every + (self.teacher is not None)
        return count * self.weight_bytes()

    def to_keep(self) -> Candidate | None:
        """What `keep_weights_every` asks to keep after this step: the student, or at the end, when the student is the model, the
        teacher."""
        every = self.config.keep_weights_every
        if every and self.done == self.steps:
            return Candidate.teacher() if self.teacher is not None else None
        return Candidate.at_step(self.done) if every and self.done % every == 0 else None

    def kept_weights(self) -> dict[str, Tensor]:
        """The weights of `to_keep`. Every rank must call it."""
        if self.done == self.steps and self.teacher is not None:
            return weights_of(self.teacher.model, self.config.lora)
        return self.student.weights()


def with_gradient_divided(encoded: Encoded, divisor: int) -> Encoded:
    """The same outputs, of which all but the scale pass on a divided gradient (`train.reproduce`)."""
    if divisor == 1:
        return encoded
    divided = {name: each.detach() + (each - each.detach()) / divisor for name, each in encoded.present().items()}
    return Encoded(**divided | {"scale": encoded.scale})


def batch_maker(job: Job, clip: LoadedClip, local: bool, rank: int, num_ranks: int) -> BatchMaker:
    """The data of a rank; `local` asks for texts whose tokens can be told apart.

    Raises:
        ConfigError: the batch size does not fit the data or the ranks, or the model looks at more pixels than were stored.
    """
    config = job.config
    check_pixels(clip.preprocessing.height_width, job.short_side)
    samples = Samples(job.work_dir)
    own = config.negatives_from == "own"
    negatives_of = own_negatives(len(samples)) if own else other_negatives(samples.image_rows, config.seed)
    return BatchMaker(
        samples=samples,
        images=ImageStore(job.images_path),
        plan=make_plan(config, samples, rank, num_ranks),
        crop=Crop.of(clip.preprocessing, config.crop_scale, config.seed),
        texts=text_cache(samples, negatives_of, clip, local),
        negatives_of=negatives_of,
        cut=_cut(samples, negatives_of, clip),
        num_negatives=config.num_negatives,
    )


def _cut(samples: Samples, negatives_of: np.ndarray, clip: LoadedClip) -> Cut:
    """What the context cuts; said once, by rank 0, whose log shows more than warnings."""

    def is_cut(texts: Sequence[str], token_TL: np.ndarray) -> np.ndarray:
        return clip.cuts(texts, torch.from_numpy(token_TL))

    context = clip.context_length
    cut = find_cut(samples, negatives_of, lambda texts: clip.tokenizer(texts).numpy(), is_cut, context)
    if cut.num_captions:
        logger.info(
            "%s of %s captions are longer than the model's context of %s tokens and are cut; %s negatives then have the tokens of"
            " their caption and are dropped",
            *(f"{count:,}" for count in (cut.num_captions, len(samples), context, cut.counts["negatives_dropped"])),
        )
    return cut


def text_cache(samples: Samples, negatives_of: np.ndarray, clip: LoadedClip, local: bool) -> TreeCache | TokenCache:
    """Texts as prefix trees, or as token rows if the model or the objective (`local`) cannot take trees."""

    def tokenize(texts: Sequence[str]) -> np.ndarray:
        return clip.tokenizer(texts).numpy()

    def lengths(text_TL: np.ndarray) -> np.ndarray:
        return used_lengths(clip.model, torch.from_numpy(text_TL)).numpy()

    reason = "the objective compares their tokens" if local else obstacle(text_tower(clip.model))
    if not reason:
        return TreeCache(samples, negatives_of, tokenize, lengths)
    logger.info("texts are encoded one by one, cut at the longest, and not as prefix trees: %s", reason)
    return TokenCache(samples, tokenize, lengths, clip.context_length, clip.architecture["text_cfg"].get("vocab_size", 49408))
