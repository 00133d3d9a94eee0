"""Sinks for the figures of a run: always two files of JSON lines; TensorBoard and W&B if configured.

`metrics.jsonl` takes what the same run always gives, `speed.jsonl` times and memory, the trackers all, under the same names
(`train/loss/total`). A killed run that continues writes no step twice.
The trackers' packages are imported where they are used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from degla.errors import ConfigError
from degla.files import write_text_atomic
from degla.text_files import read_json_lines
from degla.train.config import Tracker
from degla.train.job import Job


def open_trackers(job: Job, step: int) -> list[TensorBoard | WandB]:
    """The trackers of a run that continues after `step` steps."""
    trackers: dict[Tracker, type[TensorBoard | WandB]] = {"tensorboard": TensorBoard, "wandb": WandB}
    return [trackers[name](job, step) for name in job.config.trackers]


def check_installed(trackers: Sequence[Tracker]) -> None:
    """Raises ConfigError if a tracker's package is not installed."""
    for name in trackers:
        if find_spec(name) is None:
            raise ConfigError(f"train.trackers names {name}, which is not installed: pip install {name}, or leave it out")


class MetricsFile:
    """Appends lines to a file; lines after the step that training continues from are removed first.

    Args:
        path: the file.
        step: steps done; 0 at the start.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        write_text_atomic(
            path, "".join(f"{json.dumps(line)}\n" for _, line in read_json_lines(path, growing=True) if line["step"] <= step)
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


class TensorBoard:
    """Event files in `tensorboard/` of the artifact: `tensorboard --logdir artifacts/train` shows all runs."""

    def __init__(self, job: Job, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(job.out_dir / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A run of Weights & Biases named by the artifact's fingerprint; its own variables (WANDB_PROJECT, WANDB_MODE) hold.

    Raises:
        ConfigError: there is no login, or the server does not answer.
    """

    def __init__(self, job: Job, step: int) -> None:
        import wandb

        name = job.lineage["train"]
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "degla"),
                id=name,
                name=name,
                resume="allow",
                dir=job.out_dir,
                config=job.config.model_dump(mode="json"),
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.Error as error:
            raise ConfigError(f"W&B did not start: {error}. Run `wandb login`, or set WANDB_MODE=offline.") from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)  # W&B ignores a step that it already has

    def close(self) -> None:
        import wandb

        self._run.finish()
        wandb.teardown()  # at exit W&B would do it itself, but a rank ends without exit hooks
