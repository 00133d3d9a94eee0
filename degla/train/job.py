"""The files by which the stage and its ranks talk: the job, the step under way, failures. Knows no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict

from degla import errors
from degla.errors import DeglaError
from degla.files import write_text_atomic
from degla.train.config import TrainConfig

WORK_DIR = "work"
"""The run's working folder in the artifact; removed when the run is finished."""
JOB_FILE = "job.json"
LAUNCH_FILE = "launch.json"


class Job(BaseModel):
    """One training run."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    config: TrainConfig
    out_dir: Path
    """The artifact in the making."""
    work_dir: Path
    """Joined data, and the ranks' files for the stage."""
    images_path: Path
    """Prepare's images, read in place."""
    short_side: int
    """Pixels to which prepare scaled the shorter side of larger images; 0 if it kept their size."""
    threads: int
    """Data threads per rank."""
    lineage: dict[str, str]
    """Stage name to fingerprint of the inputs, and this artifact's own; goes into the exported model."""

    @property
    def checkpoint_dir(self) -> Path:
        return self.out_dir / "checkpoints"

    @property
    def model_dir(self) -> Path:
        return self.out_dir / "model"

    @property
    def metrics_path(self) -> Path:
        return self.out_dir / "metrics.jsonl"

    @property
    def speed_path(self) -> Path:
        return self.out_dir / "speed.jsonl"

    @property
    def plot_path(self) -> Path:
        return self.out_dir / "losses.png"

    @property
    def path(self) -> Path:
        return self.work_dir / JOB_FILE

    @property
    def launch_path(self) -> Path:
        return self.work_dir / LAUNCH_FILE

    @property
    def summary_path(self) -> Path:
        return self.out_dir / "training.json"

    def latest_checkpoint(self) -> Path | None:
        """The last finished checkpoint."""
        return next(reversed(whole_checkpoints(self.checkpoint_dir)), None)

    def write(self) -> Path:
        """Write the job for the ranks; returns the file."""
        write_text_atomic(self.path, self.model_dump_json(indent=2))
        return self.path

    @classmethod
    def read(cls, path: Path) -> Job:
        return cls.model_validate_json(path.read_bytes())

    def step_marker(self) -> Callable[[int], object]:
        """A function that notes the step under way, in microseconds, for `marked_step` to find however this process ends."""
        file = os.open(self._step_path, os.O_CREAT | os.O_WRONLY, 0o644)

        def mark(step: int) -> None:
            os.pwrite(file, b"%012d" % step, 0)

        return mark

    def marked_step(self) -> int | None:
        """The step that was under way when the ranks ended; None before the first."""
        text = self._step_path.read_text() if self._step_path.is_file() else ""
        return int(text) if text else None

    def report_failure(self, rank: int, error: BaseException) -> None:
        """Write an error for the stage to raise. On a disk that is full it is printed alone; the stage then looks at the disk."""
        failure = {"type": type(error).__name__, "message": str(error)}
        try:
            write_text_atomic(self._failure_path(rank), json.dumps(failure))
        except OSError:
            print(f"rank {rank}: {error}", flush=True)

    def crash_file(self, rank: int) -> TextIO:
        """A file for Python's fault handler: what this rank was doing when native code ended it."""
        return (self.work_dir / f"crash-{rank:04d}.txt").open("w")

    def clear_failures(self) -> None:
        """Forget what an earlier attempt reported."""
        self._step_path.unlink(missing_ok=True)
        for path in [*self.work_dir.glob("failure-*.json"), *self._crashes()]:
            path.unlink()

    def failures(self) -> list[Exception]:
        """What the ranks reported: degla's own types as they were, crashes and all others as RuntimeError."""
        reported = [_as_error(json.loads(path.read_text())) for path in sorted(self.work_dir.glob("failure-*.json"))]
        crashes = [(path, path.read_text()) for path in self._crashes()]
        crashed = [RuntimeError(f"{text.splitlines()[0]} in a rank; its stack is in {path}") for path, text in crashes if text]
        return reported + crashed

    @property
    def _step_path(self) -> Path:
        return self.work_dir / "step"

    def _crashes(self) -> list[Path]:
        return sorted(self.work_dir.glob("crash-*.txt"))

    def _failure_path(self, rank: int) -> Path:
        return self.work_dir / f"failure-{rank:04d}.json"


def whole_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, the oldest first."""
    return sorted(folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))


def _as_error(failure: dict[str, str]) -> Exception:
    kind = getattr(errors, failure["type"], None)
    if isinstance(kind, type) and issubclass(kind, DeglaError):
        return kind(failure["message"])
    return RuntimeError(f"{failure['type']}: {failure['message']}")
