"""A run on the console: a line when a stage begins and ends, and its progress every ten seconds. Reads only the server."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import ArtifactSort

POLL_SECONDS = 0.5
PROGRESS_SECONDS = 10.0
RUNNING = "running"
LAG_SECONDS = 8.0  # task states reach the server later than the state of their run


class RunView:
    """Prints the changes of one run."""

    def __init__(self, client: SyncPrefectClient, run_id: UUID, say: Callable[[str], None]) -> None:
        self._client, self._filter, self._say = client, FlowRunFilter(id=FlowRunFilterId(any_=[run_id])), say
        self._run_id = run_id
        self._shown: dict[UUID, str] = {}
        self._running = self._progress = ""
        self._progress_at = time.monotonic()
        self._away = False

    def wait(self) -> FlowRun:
        """Follow the run to its end."""
        while True:
            try:
                if run := self._look():
                    return run
            except httpx.TransportError:
                if not self._away:
                    self._say("  the server does not answer; the run goes on without it. `make up` starts it again")
                self._away = True
            time.sleep(POLL_SECONDS)

    def _look(self) -> FlowRun | None:
        """Show what changed; returns the run if it has ended."""
        run = self._client.read_flow_run(self._run_id)
        settled, self._away = self._show_tasks(), False
        if run.state is None or not run.state.is_final():
            self._show_progress()
            return None
        end = time.monotonic() + LAG_SECONDS
        while not settled and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            settled = self._show_tasks()
        run = self._client.read_flow_run(
            self._run_id
        )  # one that a returning server took for dead says within seconds that it lives
        return run if run.state and run.state.is_final() else None

    def _show_tasks(self) -> bool:
        """Print changed states; returns whether all tasks have ended."""
        tasks = sorted(self._client.read_task_runs(flow_run_filter=self._filter), key=lambda task: task.expected_start_time or 0)
        for task in tasks:
            text = _line(task)
            if text and self._shown.get(task.id) != text:
                self._shown[task.id] = text
                self._running = task.name if text == RUNNING else ""
                self._say(_cut(f"  {task.name:<9} {text}"))
                self._progress_at = time.monotonic()
        return all(task.state and task.state.is_final() for task in tasks)

    def _show_progress(self) -> None:
        now = time.monotonic()
        if now - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = now
        stage = self._running.partition(":")[0]  # a step's task is named `<stage>: <step>`
        newest_first = self._client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[f"{stage}-progress", "gpu-progress"])),
            flow_run_filter=self._filter,
            sort=ArtifactSort.CREATED_DESC,
        )
        text = newest_first[0].description if newest_first else None
        if text and text != self._progress:
            self._progress = text
            self._say(_wrapped(text))


def _line(task: TaskRun) -> str:
    state = task.state
    if state is None or state.is_pending():
        return ""
    if state.is_running():
        return RUNNING
    if state.is_scheduled():
        return f"will be tried again ({state.name})"
    seconds = f"{task.total_run_time.total_seconds():.0f} s"
    if state.is_completed():
        return state.message or "done" if state.name == "Reused" else f"{seconds:>5}  {state.message or 'done'}"
    return f"{seconds:>5}  {state.name}: {state.message or ''}".rstrip()


def _cut(line: str) -> str:
    """The line, cut to the terminal's width; the dashboard and the artifact have all of it."""
    width = _width()
    return line if len(line) <= width else line[: width - 3].rstrip(" ,") + " ..."


def _wrapped(text: str) -> str:
    """Progress, indented and wrapped but not cut: the speed stands at its end."""
    indent = " " * 12
    return textwrap.fill(text, _width(), initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def _width() -> int:
    return max(shutil.get_terminal_size((140, 24)).columns, 80)
