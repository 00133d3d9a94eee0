"""One rank of a training run: `python -m degla.train.worker JOB.json`, started by DeepSpeed's launcher."""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import signal
import sys
import traceback
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import distributed

from degla.artifacts import cannot_write
from degla.config import effective
from degla.errors import InputError, LostRankError, PassingFault, exit_code, is_storage_error
from degla.models.export import export, save_weights
from degla.processes import die_with_parent
from degla.train.agreement import StopRequest, Watch, any_rank, not_finite
from degla.train.batches.data import Timed, prefetched
from degla.train.checkpoint import Checkpoints
from degla.train.job import Job
from degla.train.lifeline import LAUNCHER
from degla.train.objective import Losses
from degla.train.recorder import Recorder
from degla.train.student import be_quiet
from degla.train.training import Run, build

_LOST = re.compile(r"gloo.*(closed by peer|reset by peer|refused|broken pipe|timed out)", re.IGNORECASE)
"""What gloo's RuntimeErrors say if another rank is gone. Its other errors, as of tensors that do not match, are bugs."""


def train(job: Job, rank: int, num_ranks: int) -> None:
    """Train from the last checkpoint, or the start, to the end, and export the model (rank 0).

    Raises:
        InputError: the loss or a weight is not finite.
        StorageError: the disk has no room for the checkpoints.
        PassingFault: a rank was told to stop (SIGTERM, SIGINT); a checkpoint is saved.
    """
    config, stop, watch = job.config, StopRequest(), Watch(job)
    run = build(job, rank, num_ranks)
    checkpoints = Checkpoints(job.checkpoint_dir, config.keep_checkpoints, rank)
    if latest := job.latest_checkpoint():
        checkpoints.load(latest, run)
    if rank == 0:
        checkpoints.check_room(run, config.checkpoint_every)
    recorder = Recorder(job, run.steps, run.done) if rank == 0 else None
    mark = job.step_marker()
    batches = Timed(prefetched(run.make, range(run.done, run.steps), job.threads))
    for batch in batches:
        mark(batch.step)
        rate, losses = run.learning_rate, run.step(batch)
        stopping = watch.see(batch.step, losses.total, stop.received)
        last = run.done == run.steps
        record = last or run.done == 1 or run.done % config.log_every == 0
        save = last or run.done % config.checkpoint_every == 0
        if record or save or stopping:
            stopping |= watch.now()
        if record:
            means = mean_over_ranks(losses)
            if recorder is not None:
                recorder.record(run.done, means, rate, float(losses.scale), batches.seconds)
        candidate = run.to_keep()
        if (save or stopping or candidate) and any_rank(~run.student.finite()):
            raise not_finite("a weight", job, batch.step)
        if candidate:
            keep(run, job.out_dir / candidate.file, rank)
        if last:
            break
        if save or stopping:
            checkpoints.save(run)
        if stopping:
            raise PassingFault(f"training was told to stop and saved step {run.done}; running again continues from there")
    weights = run.student.weights()
    if recorder is not None:
        training = {"config": effective(config), "lineage": job.lineage, "steps": run.steps}
        export(job.model_dir, run.clip, weights, training)
        recorder.finish(run.steps, run.make.cut.counts)
    distributed.barrier()


def keep(run: Run, path: Path, rank: int) -> None:
    """Write the weights of a candidate for `evaluate.interpolate`. Every rank must call it."""
    weights = run.kept_weights()
    if rank == 0:
        save_weights(path, run.clip, weights)


def mean_over_ranks(losses: Losses) -> dict[str, float]:
    """Total and terms of the global batch. Every rank must call it."""
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
    job = Job.read(job_path)
    if not torch.cuda.is_available():  # NCCL's watchdog aborts a rank whose peers are lost, gloo one whose tensors do not match
        faulthandler.enable(job.crash_file(rank))
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
    """An error that is no bug in words for people: another rank is gone, a GPU's memory or the disk is full. Others as they
    are."""
    if isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and _LOST.search(str(error))):
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
