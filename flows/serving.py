"""The process that serves the deployments (`flows.serve`): started, found, and started again when the code changed.

A deployment's form and defaults are registered when the process starts, so one that was started from other code or
another environment is replaced, unless it has runs in progress. Called by `flows.launch`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import DeploymentStatus, FlowRun, StateType

from degla.errors import EngineStartError
from degla.experiment import STAGES, Experiment, preset_names
from degla.home import experiments_dir
from flows import processes
from flows.server import ROOT, Server, environment, tail

COMMAND = ("-m", "flows.serve")
CODE = "DEGLA_SERVED_CODE"
START_SECONDS = 90
STOP_SECONDS = 20
ACTIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def ensure_serving(server: Server, say: Callable[[str], None]) -> None:
    """Have the deployments served from the code as it is now. Raises EngineStartError where that fails."""
    with SyncPrefectClient(server.api_url) as client:
        running = processes.find(server.home, *COMMAND)
        wanted = served_code()
        current = [process for process in running if process.environment.get(CODE) == wanted]
        if current and _ready(client, None):
            say(f"{len(names())} served, as before")
        elif running and active_runs(client):
            say("served from older code or settings, and left so because runs are in progress; `make down` stops them")
        else:
            if running:
                say("the code or its settings changed: serving anew")
            processes.stop(running, STOP_SECONDS)
            _start(server, client, wanted, say)


def _start(server: Server, client: SyncPrefectClient, code: str, say: Callable[[str], None]) -> None:
    begin = datetime.now(UTC)
    log = server.home / "serve.log"
    command = [sys.executable, *COMMAND]
    process = processes.start(server.home, command, environment(server) | {CODE: code}, log, ROOT)
    _wait(client, process, begin, log)
    say(f"{len(names())} served after {(datetime.now(UTC) - begin).total_seconds():.0f} s, output in {log}")


def names() -> list[str]:
    """Every deployment that is served: `<flow>/<preset>`."""
    return [f"{flow}/{preset}" for preset in preset_names() for flow in ("pipeline", *STAGES)]


def active_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs in progress on this server."""
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state={"type": {"any_": ACTIVE}}))


def served_code() -> str:
    """A hash of what the serving process registers and hands on: the run form, flows, presets, degla's environment.

    What a run executes is not part of it: every run is a new process that imports the code as it is then.
    """
    digest = hashlib.sha256(json.dumps(Experiment.model_json_schema(), sort_keys=True).encode())
    for path in sorted([*(ROOT / "flows").rglob("*.py"), *experiments_dir().glob("*.yaml")]):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    for key in sorted(os.environ):
        if key.startswith("DEGLA_"):
            digest.update(f"{key}={os.environ[key]}\0".encode())
    return digest.hexdigest()


def _wait(client: SyncPrefectClient, process: subprocess.Popen[bytes], begin: datetime, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _ready(client, begin):
        if process.poll() is not None or time.monotonic() > deadline:
            raise EngineStartError(f"the deployments could not be served; the end of {log}:\n{tail(log)}")
        time.sleep(0.3)


def _ready(client: SyncPrefectClient, since: datetime | None) -> bool:
    """Whether every deployment is polled for, and was since then."""
    ready = {
        deployment.name: deployment
        for deployment in client.read_deployments()
        if deployment.status == DeploymentStatus.READY and (not since or (deployment.last_polled or since) > since)
    }
    return len(ready) >= len(preset_names())
