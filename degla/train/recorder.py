"""Rank 0's record of a run: a line of progress from time to time, figures for every sink, and the summary at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from degla.files import write_text_atomic
from degla.progress import Progress
from degla.train.job import Job
from degla.train.metrics import MetricsFile, open_trackers


class Recorder:
    """Records a run.

    Args:
        job: the run.
        steps: optimizer steps in all.
        done: steps done before; 0 at the start.
    """

    def __init__(self, job: Job, steps: int, done: int) -> None:
        self._job, self._batch = job, job.config.batch_size
        self._metrics, self._speed = MetricsFile(job.metrics_path, done), MetricsFile(job.speed_path, done)
        self._trackers = open_trackers(job, done)
        self._progress = Progress(job.out_dir, "training", steps, "steps", done)
        self._start = self._last_time = time.monotonic()
        self._last_step = done
        self._losses: dict[str, float] = {}

    def record(self, step: int, losses: dict[str, float], rate: float, scale: float, waited: float) -> None:
        """Take the figures after `step` steps.

        Args:
            step: optimizer steps done.
            losses: of the global batch: `total` and its parts.
            rate: the learning rate.
            scale: the exponential of the logit scale.
            waited: seconds that this rank has waited for batches so far.
        """
        now = time.monotonic()
        speed = (step - self._last_step) * self._batch / max(now - self._last_time, 1e-9)
        self._last_step, self._last_time, self._losses = step, now, losses
        memory = peak_memory()
        values = {f"train/loss/{name}": value for name, value in losses.items()}
        values |= {"train/lr": rate, "train/logit_scale": scale, "train/samples": step * self._batch}
        times = {"train/samples_per_second": round(speed, 1), "train/seconds": round(now - self._start, 2)}
        times |= {"train/data_wait_seconds": round(waited, 2), "train/memory_gib": round(memory, 3)}
        self._metrics.write(step, values)
        self._speed.write(step, times)
        for tracker in self._trackers:
            tracker.write(step, values | times)
        self._progress.to(step, note(losses, speed, rate, memory))

    def finish(self, steps: int, counts: Mapping[str, int]) -> None:
        """Close the trackers and write the summary, with these counts of the data, for the stage."""
        for tracker in self._trackers:
            tracker.close()
        summary = {"steps": steps, "samples": steps * self._batch, "counts": dict(counts), "final_losses": self._losses}
        write_text_atomic(self._job.summary_path, json.dumps(summary, indent=2))


def note(losses: Mapping[str, float], speed: float, rate: float, memory: float) -> str:
    """The figures in words: `loss 2.31 (contrastive 2.10, igc 0.52), 310 samples/s, lr 6.8e-05, 1.2 GiB`."""
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in losses.items() if name != "total")
    return f"loss {losses['total']:.3f} ({parts}), {speed:,.0f} samples/s, lr {rate:.1e}, {memory:.1f} GiB"


def peak_memory() -> float:
    """Peak memory of this rank in GiB: allocated on its GPU, or resident if it trains on the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20
