"""The process that serves the deployments (`flows.serve`): started, found, and restarted if the code changed.

A deployment's form and defaults are registered when the process starts, so a process of other code or another environment is
replaced, unless runs are in progress.
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
from typing import TYPE_CHECKING

from degla.errors import EngineStartError
from degla.experiments.experiment import STAGES, Experiment, preset_names
from degla.home import experiments_dir
from degla.study.config import study_names
from flows.local import processes
from flows.local.server import ROOT, Server, environment, tail

if TYPE_CHECKING:  # this module starts the process before Prefect is imported, which takes seconds
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

COMMAND = ("-m", "flows.serve")
RUN = ("-m", "prefect.engine")  # the process of a run
CODE = "DEGLA_SERVED_CODE"
SELECTION = "exemplars/select"
CATALOG = "catalog/get"
COMPARE = "compare/default"
START_SECONDS = 180
REUNION_SECONDS = 90  # a serving process that outlived its server asks for it every 32 s at most
STOP_SECONDS = 20


def begin_serving(server: Server) -> subprocess.Popen[bytes]:
    """Start the serving process, which waits for the server."""
    command = [sys.executable, *COMMAND]
    own = environment(server) | {CODE: served_code()}
    return processes.start(server.home, command, own, server.home / "serve.log", ROOT)


def ensure_serving(
    server: Server, client: SyncPrefectClient, begun: subprocess.Popen[bytes] | None, say: Callable[[str], None]
) -> None:
    """Serve the deployments from the present code.

    Args:
        server: the server, which answers.
        client: its client.
        begun: the serving process, if it was just started.
        say: prints a line.

    Raises:
        EngineStartError: the process ended or did not register every deployment in time.
    """
    from flows.local.pools import pools_in_use, require_workers

    if pools := pools_in_use(client):
        say(require_workers(client, pools))
        return
    if begun is None:
        running = processes.find(server.home, *COMMAND)
        same = [process for process in running if process.info["environ"].get(CODE) == served_code()]
        if same and _wait(client, None, lambda: processes.alive(same[0]), REUNION_SECONDS):
            say(f"{len(names())} served, as before")
            return
        if running and (active_runs(client) or processes.find(server.home, *RUN)):  # one may be taken for dead just now
            say("served from older code or settings because runs are in progress; `make down` stops them")
            return
        if running:
            say("the code or its settings changed: restarting")
        processes.stop(running, STOP_SECONDS)
        begun = begin_serving(server)
    process = begun
    if not _wait(client, datetime.now(UTC), lambda: process.poll() is None, START_SECONDS):
        log = server.home / "serve.log"
        raise EngineStartError(f"the deployments could not be served; the end of {log}:\n{tail(log)}")
    say(f"{len(names())} served, output in {server.home / 'serve.log'}")


def names() -> list[str]:
    """Names of the served deployments: `<flow>/<preset>`, and those that serve all presets."""
    of_presets = (f"{flow}/{preset}" for preset in preset_names() for flow in ("pipeline", *STAGES))
    return [*of_presets, SELECTION, CATALOG, COMPARE, *(f"study/{study}" for study in study_names())]


def active_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs in progress on this server."""
    from prefect.client.schemas.filters import FlowRunFilter

    states = ["RUNNING", "PENDING", "CANCELLING"]
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": states}}}))


def served_code() -> str:
    """A hash of what the serving process registers or passes on: run form, flows, presets, degla's environment.

    The code that a run executes is no part of it: every run is a new process and imports the code afresh.
    """
    digest = hashlib.sha256(json.dumps(Experiment.model_json_schema(), sort_keys=True).encode())
    for path in sorted([*(ROOT / "flows").rglob("*.py"), *experiments_dir().glob("*.yaml")]):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    for key in sorted(os.environ):
        if key.startswith("DEGLA_"):
            digest.update(f"{key}={os.environ[key]}\0".encode())
    return digest.hexdigest()


def _wait(client: SyncPrefectClient, since: datetime | None, lives: Callable[[], bool], seconds: float) -> bool:
    """Wait until the deployments are ready; returns whether they are before the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while not _ready(client, since):
        if not lives() or time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


def _ready(client: SyncPrefectClient, since: datetime | None) -> bool:
    """Whether every deployment is ready and was polled since then."""
    polled, known = 0, {name.rpartition("/")[2] for name in names()}
    for deployment in client.read_deployments():
        recent = since is None or (deployment.last_polled is not None and deployment.last_polled > since)
        polled += deployment.status == "READY" and recent and deployment.name in known
    return polled >= len(names())
