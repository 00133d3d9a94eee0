"""Runs of deployments from the console: start and follow one, show its results, cancel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Cancelling

from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan
from degla.study.desk import Desk
from flows.local.console import RunView
from flows.local.server import ROOT, Server
from flows.local.serving import active_runs

CANCEL_SECONDS = 40  # a stage may save a checkpoint first; Prefect kills it after 30 s


def follow(server: Server, deployment: str, parameters: Mapping[str, Any], show: Callable[[str], None]) -> int:
    """Start a run and print its progress; returns the exit code. Ctrl-C cancels the run.

    Args:
        server: the server that has the deployment.
        deployment: its name, `FLOW/NAME`.
        parameters: of the run.
        show: called with the address of a completed run, prints its results.
    """
    with SyncPrefectClient(server.api_url) as client:
        found = client.read_deployment_by_name(deployment)
        run = client.create_flow_run_from_deployment(found.id, parameters=dict(parameters))
        url = f"{server.url}/runs/flow-run/{run.id}"
        print(f"{'run':<12} {deployment}, as {url}", flush=True)
        view = RunView(client, run.id, lambda line: print(line, flush=True))
        begin = time.monotonic()
        try:
            run = view.wait()
        except KeyboardInterrupt:
            print("\ncancelling the run ... (Ctrl-C again leaves it to the server)", flush=True)
            cancel(client, client.read_flow_run(run.id))
            run = view.wait()
    return _say_end(run, show, url, time.monotonic() - begin)


def cancel(client: SyncPrefectClient, run: FlowRun) -> None:
    """Ask the serving process to end a run; one that has not begun is cancelled at once."""
    waiting = run.state_type in (StateType.SCHEDULED, StateType.PENDING)
    client.set_flow_run_state(run.id, Cancelled() if waiting else Cancelling())


def cancel_all(server: Server, say: Callable[[str, str], None]) -> None:
    """Cancel every run in progress and wait for their ends."""
    with SyncPrefectClient(server.api_url) as client:
        runs = active_runs(client)
        for run in runs:
            say("run", f"cancelling {run.name}")
            cancel(client, run)
        deadline = time.monotonic() + CANCEL_SECONDS
        while runs and active_runs(client) and time.monotonic() < deadline:
            time.sleep(0.5)


def next_commands(preset: str) -> str:
    """What to try next."""
    commands = {
        f".venv/bin/prefect deployment run 'report/{preset}' --watch": "one stage alone",
        f".venv/bin/python -m flows.local run pipeline/{preset} -o train.lr=5e-4": "another setting; reuses what it can",
        f".venv/bin/python -m flows.pipeline {preset} --dry-run": "the settings, and what would run",
        "make down": "stop the server and the deployments",
    }
    return _next(commands)


def worker_commands(server: Server) -> str:
    """How to deploy to the work pools of a server, and to start workers on this machine or another."""
    commands = {
        f"export PREFECT_API_URL={server.api_url}": "on another machine, an address that reaches this server",
        ".venv/bin/prefect --no-prompt deploy --all": "once, and after a preset or the code of the flows has changed",
        "DEGLA_CHECKOUT=$PWD .venv/bin/prefect worker start --pool cpu": "on each worker, in its checkout",
        "DEGLA_CHECKOUT=$PWD .venv/bin/prefect worker start --pool gpu": "on each worker with a GPU",
    }
    return _next(commands)


def _next(commands: Mapping[str, str]) -> str:
    width = max(map(len, commands))
    lines = [f"{command:<{width}}  # {meaning}" for command, meaning in commands.items()]
    return f"{'next':<12} " + f"\n{'':<13}".join(lines)


def _say_end(run: FlowRun, show: Callable[[str], None], url: str, seconds: float) -> int:
    state = run.state
    if state is None or not state.is_completed():
        name, message = (state.name, state.message) if state else ("Unknown", None)
        print(f"\n{name} after {seconds:.0f} s: {message or ''}\n{'details':<12} {url}", flush=True)
        return 1
    print(f"\nCompleted in {seconds:.0f} s: {state.message}", flush=True)
    show(url)
    return 0


def show_results(experiment: Experiment, url: str) -> None:
    """Print the scores of a run of an experiment, where its files lie, and what to try next."""
    report = plan(experiment)["report"].path
    scores = report / "scores.txt"
    if scores.is_file():
        print(f"\n{scores.read_text(encoding='utf-8').rstrip()}\n")
        print(f"{'scorecard':<12} {_short(report / 'scorecard.md')}")
        print(f"{'page':<12} {(report / 'page.html').as_uri()}")
    print(f"{'artifacts':<12} {_short(experiment.artifact_root())}")
    print(f"{'dashboard':<12} {url}")
    print(next_commands(experiment.name), flush=True)


def show_study(desk: Desk, url: str) -> None:
    """Print where the tables of a study lie, and what to try next."""
    print(f"{'tables':<12} {_short(desk.folder / 'study.md')}")
    print(f"{'dashboard':<12} {url}")
    commands = {
        f".venv/bin/python -m degla.study table {desk.study.name}": "the tables here",
        f".venv/bin/python -m degla.study plan {desk.study.name}": "how many runs, which are finished",
        "make down": "stop the server and the deployments",
    }
    print(_next(commands), flush=True)


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
