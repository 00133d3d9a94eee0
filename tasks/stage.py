"""Run one stage for a Prefect task: return its finished artifact, or make it in a child process.

The library decides about reuse: its plan gives the artifact's folder, and a manifest there means finished.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from degla.artifacts import MANIFEST, Artifact, check_writable
from degla.errors import InputError
from tasks.child import LOG_NAME, run_child
from tasks.dashboard import ProgressReporter, publish
from tasks.orders import Orders, await_server
from tasks.reports import words
from tasks.retries import error_of


@dataclass(frozen=True)
class StageJob:
    """One stage of a resolved experiment, as JSON values."""

    stage: str
    experiment: str
    """The file of the resolved experiment."""
    path: str
    """Folder of the artifact, by the library's plan."""
    reads: dict[str, str] = field(default_factory=dict)
    """Stage name to the artifact to read."""
    counter: int = 0
    """Its refresh counter. With `reads`, it makes the child process plan the same artifact, whatever others refresh meanwhile."""


class StageResult(TypedDict):
    """The result of a stage's task: folder and counts of the artifact, never its data."""

    stage: str
    fingerprint: str
    path: str
    counts: dict[str, int | float]
    reused: bool
    seconds: float


def run_stage(job: StageJob) -> State[StageResult]:
    """Make the job's artifact unless it is finished, and show it in the dashboard.

    Raises:
        InputError: the stage refused its input.
        PassingFault: the next attempt may succeed.
        StageBug: any other error ended the stage.
    """
    start = time.monotonic()
    path = Path(job.path)
    reused = (path / MANIFEST).is_file()
    if not reused:
        _make(job, path)
    await_server()
    artifact = Artifact.load(path)
    result = StageResult(
        stage=job.stage,
        fingerprint=artifact.fingerprint,
        path=str(path),
        counts=artifact.counts,
        reused=reused,
        seconds=round(time.monotonic() - start, 1),
    )
    message = summary(result)
    publish(artifact, message, reused)
    get_run_logger().info("%s: %s (%s)", job.stage, message, path)
    return Completed(name="Reused" if reused else "Completed", message=message, data=result)


def summary(result: StageResult) -> str:
    """One line: whether the stage ran, and the artifact's counts without those of 0."""
    counts = ", ".join(f"{words(name)} {value:,}" for name, value in result["counts"].items() if value)
    return f"{'reused' if result['reused'] else 'made'}: {counts or 'finished'}"


def _make(job: StageJob, path: Path) -> None:
    check_writable(path)
    command = [sys.executable, "-m", f"degla.{job.stage}", job.experiment]
    command += ["--counter", str(job.counter)]
    for name, artifact in job.reads.items():
        command += ["--input", f"{name}={artifact}"]
    progress, orders = ProgressReporter(job.stage, path), Orders()

    def watch() -> None:
        orders()
        progress()

    try:
        ended = run_child(command, path / LOG_NAME, get_run_logger().info, watch)
        progress.look()
        if error := error_of(job.stage, ended):
            raise type(error)(f"{error}\n\n{what_next(error, path / LOG_NAME)}")
    except BaseException as error:
        progress.failed(str(error) or type(error).__name__)
        raise


def what_next(error: Exception, log: Path) -> str:
    """What to do about a stage that ended with this error, and the command that goes on."""
    mend = "mend what it names" if isinstance(error, InputError) else f"all that it printed is in {log}"
    again = f"prefect flow-run retry {runtime.flow_run.id}" if runtime.deployment.id else "the same command again"
    return (
        f"Next: {mend}; then go on with\n  {again}\nwhich reuses finished stages and, of this one, finished parts. With other"
        " settings start a new run, which reuses what they do not change."
    )
