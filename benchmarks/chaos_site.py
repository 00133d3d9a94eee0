"""What `benchmarks.chaos` sees and does: the processes of one server by kind and stage, the pipeline's progress, and the run's
state, all from outside, as an operator does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from degla.artifacts import MANIFEST
from degla.experiments.experiment import STAGES, load_experiment
from degla.experiments.plan import plan
from degla.progress import FILE_NAME, read_progress
from flows.local import processes

ROOT = Path(__file__).resolve().parent.parent
EVERYWHERE = ("server", "serving", "flow", "supervisor", "child")
"""Kinds of processes that every stage has."""
ONLY_IN = {"worker": "generate", "engine": "generate", "launcher": "train", "rank": "train"}
"""Other kinds, and the stage in which they are killed."""
SERVICES = ("server", "serving")
_OF_MODULE = {
    "flows.serve": "serving",
    "prefect.engine": "flow",
    "degla.train.lifeline": "launcher",
    "degla.train.worker": "rank",
}
_STAGE_OF = {f"degla.{stage}": stage for stage in STAGES}
_GONE_AFTER = 40.0  # seconds: a stage may save a checkpoint for 20
_WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds, before a busy server is asked again


@dataclass(frozen=True)
class Member:
    """A process of the site."""

    process: psutil.Process
    kind: str
    stage: str
    """The stage it works for; of server, serving process and flow the one under way; empty before the first."""
    age: float
    """Seconds."""

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass(frozen=True)
class Place:
    """How far the pipeline is."""

    finished: int
    """Stages."""
    done: int
    """Items of the stage under way, as its progress file says."""
    words: str
    told: float
    """When that file was written."""
    age: float
    """Seconds for which the stage's child has worked."""
    now: float

    def __str__(self) -> str:
        return self.words

    def reaches(self, before: Place) -> bool:
        """Whether the work is at least where it was, told since then; if a stage tells nothing, after as long a work."""
        if self.finished != before.finished or not self.age:
            return self.finished > before.finished
        if before.done and self.told > before.now:
            return self.done >= before.done
        return self.age >= before.age


class Site:
    """A server and a serving process of their own below a folder; started on entry, stopped at the end.

    Args:
        folder: for everything.
        port: of the server.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._home, self._url = folder / "prefect", f"http://127.0.0.1:{port}/api"
        own = {"DEGLA_PREFECT_HOME": str(self._home), "DEGLA_HOME": str(folder / "artifacts"), "DEGLA_PORTS": str(port)}
        self._environment = {**os.environ, **own}
        self._log = folder / "operator.log"
        self._seen: dict[tuple[int, float], tuple[psutil.Process, str]] = {}
        self._up: subprocess.Popen[bytes] | None = None
        self._run = ""
        self._paths: list[Path] = []
        self.left: list[str] = []
        """Processes that `make down` left, in words."""

    def __enter__(self) -> Site:
        self._home.mkdir(parents=True, exist_ok=True)
        self.begin_up()
        assert self._up is not None
        if self._up.wait():
            raise SystemExit(f"make up failed: see {self._log}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        subprocess.run(self._command("down"), cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL, check=False)
        self.left = self._still_there("left by make down", EVERYWHERE + tuple(ONLY_IN))

    def begin_up(self) -> None:
        """Start `make up` in the background."""
        with self._log.open("ab") as log:
            self._up = subprocess.Popen(self._command("up"), cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def is_starting(self) -> bool:
        """Whether `make up` is at work."""
        return self._up is not None and self._up.poll() is None

    def failed_starts(self) -> Iterator[str]:
        """Says once that `make up` failed."""
        if self._up is not None and self._up.poll():
            yield f"make up ended with code {self._up.returncode}: {self._log.read_text().strip().splitlines()[-1]}"
            self._up = None

    def plan(self, overrides: Sequence[str], stages: Sequence[str]) -> None:
        """Find out where the artifacts of a run will be."""
        plans = plan(load_experiment("demo", overrides), upto=stages[-1])
        self._paths = [plans[stage].path for stage in stages]
        self._stages = list(stages)

    def start(self, overrides: Sequence[str], stages: Sequence[str]) -> None:
        """Start a run of pipeline/demo."""
        deployment = self._ask("/deployments/name/pipeline/demo")
        parameters = {"overrides": list(overrides), "stages": list(stages)}
        self._run = self._ask(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})["id"]

    def state(self) -> str | None:
        """Type of the run's state; None while the server does not answer."""
        try:
            return self._ask(f"/flow_runs/{self._run}")["state_type"]
        except OSError:
            return None

    def retry(self) -> None:
        """Press Retry on the run's page."""
        self._set_state("SCHEDULED", "AwaitingRetry")

    def crash(self) -> None:
        """Change the run's state by hand."""
        self._set_state("CRASHED", "Crashed")

    def open_tasks(self) -> list[str]:
        """Task runs of the finished run that still say that they run, in words."""
        time.sleep(5)  # states of tasks are recorded later than that of their run
        tasks = self._ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [self._run]}}})
        return [f"task {task['name']} is {task['state_type']} in the completed run" for task in tasks if _is_open(task)]

    def members(self) -> list[Member]:
        """The processes that run now, by kind and stage."""
        found = {process.pid: process for process in processes.find(self._home) if processes.alive(process)}
        for process in list(found.values()):  # an engine's own title overwrites its mark
            for child in _children(process):
                found.setdefault(child.pid, child)
        facts = {pid: _facts(process) for pid, process in found.items()}
        kinds = {pid: _kind(pid, facts) for pid in facts}
        now, working = time.time(), next((facts[pid][1] for pid, kind in kinds.items() if kind == "child"), "")
        made = []
        for pid, kind in kinds.items():
            if kind:
                created = facts[pid][3]
                self._seen[pid, created] = found[pid], kind
                stage = working if kind in (*SERVICES, "flow") else _stage(pid, facts)
                made.append(Member(found[pid], kind, stage, now - created))
        return made

    def finished(self) -> int:
        """Number of the stages that are finished."""
        return sum((path / MANIFEST).is_file() for path in self._paths)

    def place(self, age: float) -> Place:
        """Where the pipeline is; `age`: seconds for which the child of the stage under way has worked, 0 without one."""
        finished = self.finished()
        folder = self._paths[min(finished, len(self._paths) - 1)]
        record = read_progress(folder)
        told = (folder / FILE_NAME).stat().st_mtime if record else 0.0
        words = f"{record.done:,} of {record.total:,} {record.unit}" if record else "its start"
        return Place(finished, record.done if record else 0, words, told, age, time.time())

    def left_stage_processes(self) -> list[str]:
        """Processes of stages that still run after the end of the run, in words."""
        return self._still_there("left by the run", (*ONLY_IN, "flow", "supervisor", "child"))

    def _still_there(self, why: str, kinds: Sequence[str]) -> list[str]:
        watched = [(process, kind) for process, kind in self._seen.values() if kind in kinds]
        end = time.monotonic() + _GONE_AFTER
        while (there := [(p, kind) for p, kind in watched if p.is_running() and processes.alive(p)]) and time.monotonic() < end:
            time.sleep(0.5)
        return [f"{kind} {process.pid} {why}" for process, kind in there]

    def _set_state(self, kind: str, name: str) -> None:
        try:
            self._ask(f"/flow_runs/{self._run}/set_state", {"state": {"type": kind, "name": name}, "force": kind == "CRASHED"})
        except OSError as error:
            print(f"{'':11} the server did not take {name}: {error}", flush=True)

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"content-type": "application/json"})
        waits = iter(_WAITS)
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or not (wait := next(waits, 0)):
                    raise
            time.sleep(wait)  # its database is busy, and nothing was written: Prefect's own client asks again too

    def _command(self, word: str) -> list[str]:
        return [sys.executable, "-m", "flows.local", word]


_Facts = tuple[list[str], str, int, float]
"""Command, the stage that it names or "", parent, time of creation."""


def _facts(process: psutil.Process) -> _Facts:
    try:
        with process.oneshot():
            words = process.cmdline()
            return (
                words,
                next((_STAGE_OF[word] for word in words if word in _STAGE_OF), ""),
                process.ppid(),
                process.create_time(),
            )
    except psutil.Error:
        return [], "", 0, 0.0


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _kind(pid: int, facts: dict[int, _Facts]) -> str:
    words, stage, parent, _ = facts[pid]
    for word in words:
        if word in _OF_MODULE:
            return _OF_MODULE[word]
    if {"prefect", "server", "start"} <= set(words):
        return "server"
    if any(word.endswith("supervisor.py") for word in words):
        return "supervisor"
    if stage:
        return "child"
    if any("VLLM" in word for word in words):
        return "engine"
    if any("spawn_main" in word for word in words) and parent in facts:
        return {"serving": "flow", "child": "worker"}.get(_kind(parent, facts), "")
    return ""


def _stage(pid: int, facts: dict[int, _Facts]) -> str:
    while pid in facts:
        if facts[pid][1]:
            return facts[pid][1]
        pid = facts[pid][2]
    return ""


def _is_open(task: dict[str, Any]) -> bool:
    return task["state_type"] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
