"""One rank of a training run: `python -m degla.train.worker JOB.json`, started by DeepSpeed's launcher.

All state that must survive a restart is the engine's, the teacher's, the objective's and the step: data order, negatives
and crops follow from the step.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, distributed

from degla.artifacts import cannot_write
from degla.errors import ConfigError, InputError, LostRankError, PassingFault, exit_code, is_storage_error
from degla.images import ImageStore
from degla.models.encoding import used_lengths
from degla.models.export import export
from degla.models.loading import LoadedClip, load
from degla.models.tree_encoding import obstacle
from degla.models.trees import TextTrees
from degla.processes import die_with_parent
from degla.train.agreement import StopRequest, any_rank
from degla.train.batches.data import (
    Batch,
    BatchMaker,
    Samples,
    Timed,
    TokenCache,
    make_plan,
    prefetched,
)
from degla.train.batches.negatives import other_negatives, own_negatives
from degla.train.batches.order import Plan
from degla.train.batches.pixels import Crop
from degla.train.batches.trees import TreeCache
from degla.train.checkpoint import Checkpoints
from degla.train.config import TrainConfig
from degla.train.engine import Engine, be_quiet, join_ranks, rank_device
from degla.train.features import Features, alone
from degla.train.gather import gather_features
from degla.train.job import Job
from degla.train.lifeline import LAUNCHER
from degla.train.model import ImageNormaliser, TrainingClip, features
from degla.train.objective import Losses, Objective
from degla.train.recorder import Recorder
from degla.train.schedule import learning_rate
from degla.train.teacher import Teacher, ema_alpha
from degla.train.trained import choose_trained
from degla.train.where import where

logger = logging.getLogger(__name__)


def train(job: Job, rank: int, num_ranks: int) -> None:
    """Train from the last checkpoint, or the start, to the end, and export the model (rank 0).

    Raises:
        InputError: the loss or a weight is not finite.
        StorageError: the disk has no room for the checkpoints.
        PassingFault: a rank was told to stop (SIGTERM, SIGINT); a checkpoint is saved.
    """
    config, stop = job.config, StopRequest()
    device = rank_device()
    join_ranks(device, config.rank_timeout_seconds)
    clip = load(config.model, seed=config.seed)
    objective = Objective(config, gather_features if num_ranks > 1 else alone)
    make = batch_maker(job, clip, objective.needs_local, rank, num_ranks)
    steps = total_steps(config, make.plan)
    clip.model.set_grad_checkpointing(config.activation_checkpointing)
    model = TrainingClip(clip.model, objective.needs_local)
    choose_trained(model.clip, config)
    bf16 = config.precision == "bf16"
    teacher = Teacher(model, ema_alpha(config, steps), bf16) if objective.needs_teacher else None
    engine = Engine(model, config, num_ranks)
    if teacher is not None:
        teacher.join(engine)
    checkpoints = Checkpoints(job.checkpoint_dir, config.keep_checkpoints, rank, num_ranks)
    latest = job.latest_checkpoint()
    done = 0 if latest is None else checkpoints.load(latest, engine, teacher, objective.memory)
    if rank == 0:
        checkpoints.check_room(engine, teacher, steps - done, config.checkpoint_every)
    mark = job.step_marker()
    recorder = Recorder(job, steps, done) if rank == 0 else None
    encoder = Encoder(engine, teacher, ImageNormaliser(clip.preprocessing.mean, clip.preprocessing.std, engine.device), config)
    batches = Timed(prefetched(make, range(done, steps), job.threads))
    for batch in batches:
        mark(batch.step)
        student, target, scale = encoder(batch)
        losses = objective(student, target, scale)
        rate = learning_rate(batch.step, steps, config.warmup_steps, config.lr)
        broken, stopping = any_rank(~torch.isfinite(losses.total.detach()), stop.received)
        if broken:
            raise InputError(_not_finite("the training loss", job, batch.step))
        engine.update(losses.total, rate)
        if teacher is not None:
            teacher.follow(engine.held())
        done = batch.step + 1
        if done == 1 or done == steps or done % config.log_every == 0:
            means = mean_over_ranks(losses)
            if recorder is not None:
                recorder.record(done, means, rate, float(scale.detach()), batches.seconds)
        due = stopping or done % config.checkpoint_every == 0
        if due or done == steps:
            check_weights(engine, job, batch.step)
        if due and done < steps:
            checkpoints.save(done, engine, teacher, objective.memory)
        if stopping and done < steps:
            raise PassingFault(f"training was told to stop and saved step {done}; running again goes on from there")
    weights = engine.weights()
    if recorder is not None:
        training = {"config": config.model_dump(mode="json"), "lineage": job.lineage, "steps": steps}
        export(job.model_dir, clip, weights, training)
        recorder.finish(steps)
    distributed.barrier()


def batch_maker(job: Job, clip: LoadedClip, local: bool, rank: int, num_ranks: int) -> BatchMaker:
    """The data of a rank; `local` asks for texts whose tokens can be told apart.

    Raises:
        ConfigError: the batch size does not fit the data or the ranks, or the model looks at more pixels than were stored.
    """
    config, height_width = job.config, clip.preprocessing.height_width
    if 0 < job.short_side < min(height_width):
        raise ConfigError(
            f"the model looks at {height_width[0]} x {height_width[1]} pixels, but prepare scaled the images down to a short"
            f" side of {job.short_side}: set prepare.short_side={8 * min(height_width) // 7}"
        )
    samples = Samples(job.work_dir)
    own = config.negatives_from == "own"
    negatives_of = own_negatives(len(samples)) if own else other_negatives(samples.image_rows, config.seed)
    return BatchMaker(
        samples=samples,
        images=ImageStore(job.images_path),
        plan=make_plan(config, samples, rank, num_ranks),
        crop=Crop(height_width, config.crop_scale, config.seed),
        texts=text_cache(samples, negatives_of, clip, local),
        negatives_of=negatives_of,
        num_negatives=config.num_negatives,
    )


def text_cache(samples: Samples, negatives_of: np.ndarray, clip: LoadedClip, local: bool) -> TreeCache | TokenCache:
    """Texts as prefix trees, or as token rows where the model or the objective (`local`) cannot take trees."""

    def tokenize(texts: Sequence[str]) -> np.ndarray:
        return clip.tokenizer(texts).numpy()

    def lengths(text_TL: np.ndarray) -> np.ndarray:
        return used_lengths(clip.model, torch.from_numpy(text_TL)).numpy()

    reason = "the objective compares their tokens" if local else obstacle(clip.model)
    if not reason:
        return TreeCache(samples, negatives_of, tokenize, lengths)
    logger.info("texts are encoded one by one, cut at the longest, and not as prefix trees: %s", reason)
    return TokenCache(samples, tokenize, lengths, clip.context_length, clip.model.vocab_size)


def total_steps(config: TrainConfig, plan: Plan) -> int:
    """Optimizer steps of the run."""
    return config.steps or max(1, round(config.epochs * plan.steps_per_epoch))


@dataclass(frozen=True)
class Encoder:
    """Features of a batch by student and teacher, from the same pixels and tokens."""

    engine: Engine
    teacher: Teacher | None
    normalise: ImageNormaliser
    config: TrainConfig

    def __call__(self, batch: Batch) -> tuple[Features, Features | None, Tensor]:
        """Student and teacher features, and the exponential of the logit scale."""
        device = self.engine.device

        def moved(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        image, slot, kind = self.normalise(moved(batch.image_BHW3)), moved(batch.slot_T), moved(batch.type_BK)
        text = batch.text.map(moved) if isinstance(batch.text, TextTrees) else moved(batch.text)
        *student, scale = self.engine(image, text)
        student, scale = [shrink_gradient(each, self.config.gradient_divisor) for each in student], scale.squeeze()
        if self.teacher is None:
            return features(slot, kind, *student), None, scale
        *teacher, _ = self.teacher(image, text, self.engine.num_chunks)
        return features(slot, kind, *student), features(slot, kind, *teacher), scale


def shrink_gradient(feature: Tensor, divisor: int) -> Tensor:
    """The feature itself, whose gradient arrives divided."""
    return feature if divisor == 1 else feature.detach() + (feature - feature.detach()) / divisor


def check_weights(engine: Engine, job: Job, step: int) -> None:
    """Raises InputError where a weight is NaN or infinite on any rank after a step. Every rank has to call it."""
    broken, _ = any_rank(~engine.finite(), False)
    if broken:
        raise InputError(_not_finite("a weight", job, step))


def _not_finite(what: str, job: Job, step: int) -> str:
    return f"{what} is not finite at {where(job, step)}. Lower train.lr, or clip with train.clip_grad_norm."


def mean_over_ranks(losses: Losses) -> dict[str, float]:
    """Total and terms of the global batch. Every rank has to call it."""
    values = torch.stack([losses.total.detach(), *(part.detach() for part in losses.parts.values())])
    distributed.all_reduce(values)
    means = (values / distributed.get_world_size()).tolist()
    return dict(zip(["total", *losses.parts], means, strict=True))


def main(job_path: Path) -> int:
    """Run this rank; returns the exit code, and leaves an error where the stage finds it."""
    rank, num_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    die_with_parent(signal.SIGKILL, int(os.environ[LAUNCHER]))
    level = logging.INFO if rank == 0 else logging.WARNING
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s" if rank == 0 else f"rank {rank}: %(message)s", stream=sys.stdout
    )
    logging.getLogger("degla").setLevel(level)
    be_quiet()
    torch.backends.mha.set_fastpath_enabled(False)  # the teacher must compute as the student does
    job = Job.read(job_path)
    try:
        train(job, rank, num_ranks)
    except Exception as error:
        error = explained(error, job)
        job.report_failure(rank, error)
        if exit_code(error) == 1:
            traceback.print_exc()
        return exit_code(error)
    return 0


def explained(error: Exception, job: Job) -> Exception:
    """What to tell people of an error that is no bug: another rank is gone, a GPU's memory or the disk is full. Others as they
    are."""
    if isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
        reason = re.sub(r"^\[\S+\] ", "", str(error).partition(". This is typically caused")[0])  # gloo guesses on
        return LostRankError(f"lost contact to another rank: {reason}")
    if isinstance(error, torch.OutOfMemoryError):
        return InputError(
            f"out of GPU memory: {error}. Encode fewer captions at once (train.chunk_size), recompute activations"
            f" (train.activation_checkpointing=true), or lower train.batch_size; a run goes on with the first two."
        )
    cause = error
    if isinstance(error, SafetensorError) and (number := re.search(r"os error (\d+)", str(error))):
        cause = OSError(int(number[1]), os.strerror(int(number[1])))
    return cannot_write(job.out_dir, cause) if isinstance(cause, OSError) and is_storage_error(cause) else error


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # data threads and gloo's threads have nothing left to do
