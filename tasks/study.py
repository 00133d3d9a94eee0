"""A study's runs as tasks, each in a process of its own, and its live table in the dashboard."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from degla.progress import Pace, duration
from degla.study.runs import Run
from tasks.child import run_child
from tasks.retries import HOUR, error_of, task_options

stopping = threading.Event()
"""Set when the flow ends early. Tasks run in threads, which no exception of Prefect's reaches: their children end by this."""


class StoppedError(Exception):
    """The flow ended while this run was going on; it continues from its parts the next time."""


@task(**task_options("study-run", 24 * HOUR, "stage") | {"task_run_name": "{name}"})
def study_run(name: str, file: str, log: str) -> None:
    """Train and evaluate one run of a study.

    Raises:
        InputError, PassingFault, StageBug: as a stage's task.
    """
    started = time.monotonic()
    ended = run_child([sys.executable, "-m", "degla.study", "one", file], Path(log), lambda _line: None, _look)
    if error := error_of("study", ended):
        raise error
    get_run_logger().info("%s finished in %s", name, duration(time.monotonic() - started))


def _look() -> None:
    if stopping.is_set():
        raise StoppedError("the study was stopped; started again, it continues")


def prepared(run: Run, folder: Path) -> tuple[str, str, str]:
    """The arguments of `study_run`: the run's name, its file and its log, below the study's folder."""
    file = run.save(folder / "runs")
    log = folder / "logs" / f"{file.stem}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    return run.name, str(file), str(log)


class Board:
    """The dashboard's view of a study: how many runs are done, and the tables of what is finished."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._pace = Pace()
        self._progress: UUID | None = None
        self._table: UUID | None = None

    def advance(self, failed: int) -> None:
        """Say that one more run ended."""
        self._done += 1
        self._pace.see(time.monotonic(), self._done)
        text = f"{self._what}: {self._done:,} of {self._total:,} runs"
        left = self._pace.seconds_left(self._total - self._done)
        if left is not None and self._done < self._total:
            text += f", about {duration(left)} left"
        if failed:
            text += f", {failed:,} failed"
        get_run_logger().info("%s", text)
        share = 100 * self._done / max(self._total, 1)
        try:
            if self._progress is None:
                self._progress = cast(UUID, create_progress_artifact(share, "study-progress", text))
            else:
                update_progress_artifact(self._progress, share, text)
        except httpx.HTTPError as error:
            get_run_logger().warning("progress is not shown: %s", error)

    def show(self, text: str) -> None:
        """Show the tables, in place of those shown before."""
        try:
            if self._table is None:
                self._table = cast(
                    UUID, create_markdown_artifact(text, key="study-tables", description="Tables of what is finished")
                )
            else:
                get_client(sync_client=True).update_artifact(self._table, ArtifactUpdate(data=text))
        except httpx.HTTPError as error:
            get_run_logger().warning("the tables are not shown: %s", error)
