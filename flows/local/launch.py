"""`make demo`, `make up` and `make down`: start the server and the deployments, run one, stop them.

    python -m flows.local demo [--generator vllm] start what is missing, run pipeline/demo, show the scores
    python -m flows.local up [--workers]          start what is missing; for workers, the server and the work pools alone
    python -m flows.local run train/coco [-o train.lr=1e-5] [--refresh] [--stages train evaluate]
                                                  [--dry-run]
    python -m flows.local study [miniworld_full]  many trainings of one protocol (docs/study.md)
    python -m flows.local down                    stop what was started

The server and the serving process stay up until `down`, on the loopback address only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

from degla.artifacts import check_writable
from degla.errors import EXIT_PASSING_FAULT, ConfigError, DeglaError, MissingInputError, exit_code
from degla.experiments.cli import dry_run_sections
from degla.experiments.experiment import STAGES, Experiment, load_experiment, preset_names
from degla.experiments.plan import check_inputs, check_root, plan
from flows.local import processes
from flows.local.server import (
    PORT,
    SERVER,
    PortTakenError,
    Server,
    begin_server,
    environment,
    find_server,
    ports,
    prefect_home,
    profile,
    tail,
    wait_for_server,
)
from flows.local.serving import CATALOG, COMMAND, COMPARE, SELECTION, begin_serving, ensure_serving

STOP_SECONDS = 20

GENERATORS: dict[str, tuple[str, ...]] = {
    "rules": (),
    # The real engine with a tiny model of random weights, which chooses among the rules' rewrites. Fewer images and a shorter
    # training, because this shows the engine and not how well a model learns.
    "vllm": (
        "generate.attempts=[choice]",
        "generate.engine.model=tiny-random-llama",
        "generate.engine.max_num_seqs=64",
        "prepare.limit=200",
        "train.steps=100",
    ),
}
"""Overrides of the demo for each generator."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        return options.do(options)
    except KeyboardInterrupt:
        print("\nstopped; the server and its runs continue until `make down`")
        return 130
    except httpx.TransportError as error:
        log = prefect_home() / "server.log"
        print(
            f"error: the Prefect server does not answer any more ({error}); the same command, or `make up`, starts it again, and"
            f" runs that have begun go on. The end of {log}:\n{tail(log)}",
            file=sys.stderr,
        )
        return EXIT_PASSING_FAULT
    except DeglaError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)


def demo(options: argparse.Namespace) -> int:
    """Run pipeline/demo."""
    overrides = [word for each in GENERATORS[options.generator] for word in ("-o", each)]
    return run(_parser().parse_args(["run", "pipeline/demo", *overrides]))


def up(options: argparse.Namespace) -> int:
    """Start the server and the serving process if they do not run."""
    server = _start(serve=not options.workers)
    from flows.local.runs import next_commands, worker_commands

    say("dashboard", server.url)
    print(worker_commands(server) if options.workers else next_commands("demo"))
    return 0


def run(options: argparse.Namespace) -> int:
    """Run one deployment and follow it to its end."""
    flow, _, preset = options.deployment.rpartition("/")
    flow = flow or "pipeline"
    stages = [stage for stage in STAGES if stage in options.stages] if flow == "pipeline" else [flow]
    experiment = check(flow, preset, options.override, stages)
    if options.dry_run:
        for section in dry_run_sections(experiment, {}, stages if options.refresh else [], stages):
            print(section)
        return 0
    server = _start()
    from flows.local.runs import follow, show_results

    parameters: dict[str, Any] = {"overrides": options.override, "refresh": options.refresh}
    if flow == "pipeline":
        parameters["stages"] = stages
    return follow(server, f"{flow}/{preset}", parameters, partial(show_results, experiment))


def study(options: argparse.Namespace) -> int:
    """Run a study: what is not finished of its trials and its questions."""
    from degla.study.config import load_study
    from degla.study.desk import Desk
    from degla.study.preflight import check

    desk = Desk(load_study(options.name))
    check_writable(desk.folder)
    check(desk)
    server = _start()
    from flows.local.runs import follow, show_study

    return follow(server, f"study/{desk.study.name}", {"at_once": options.at_once}, partial(show_study, desk))


def down(_options: argparse.Namespace) -> int:
    """Cancel runs, then stop the serving process and the server of this checkout."""
    home = prefect_home()
    server = find_server(home)
    if server:
        _use(server)
        from flows.local.runs import cancel_all

        try:
            cancel_all(server, say)
        except httpx.HTTPError as error:
            say("run", f"cannot be cancelled ({error}); what runs is ended, and the next start calls it Crashed")
    serving, servers = processes.find(home, *COMMAND), processes.find(home, *SERVER)
    processes.stop(serving, STOP_SECONDS)
    keep = {process.pid for process in servers}
    processes.stop([process for process in processes.find(home) if process.pid not in keep], 5)
    processes.stop(servers, STOP_SECONDS)
    processes.stop(processes.find(home), 5)
    profile(home).unlink(missing_ok=True)
    if not serving and not servers:
        print("nothing of this checkout was running")
    for name, found in (("deployments", serving), ("server", servers)):
        if found:
            say(name, "stopped")
    return 0


def check(flow: str, preset: str, overrides: Sequence[str], stages: Sequence[str]) -> Experiment:
    """Resolve and plan the experiment of a deployment, so that wrong input is refused before anything starts.

    Raises:
        InputError: the deployment does not exist, or the experiment, its inputs or its artifact root are wrong.
    """
    if flow == SELECTION.partition("/")[0]:
        raise ConfigError(
            f"{SELECTION} waits for your choice in the dashboard. After `make up`, start it on its page, or with\n  prefect"
            f" deployment run {SELECTION} -p negative_type=swap_nouns\nand press Resume on the run's page. Without a dashboard:"
            " python -m degla.generate.exemplars --help"
        )
    if flow == CATALOG.partition("/")[0]:
        raise ConfigError(
            f"{CATALOG} belongs to no experiment. After `make up`, start it with\n  prefect deployment run {CATALOG} -p"
            " name=sugarcrepe --watch\nor without a dashboard: python -m degla.catalog get sugarcrepe"
        )
    if flow == COMPARE.partition("/")[0]:
        raise ConfigError(
            f"{COMPARE} belongs to no experiment. After `make up`, start it with\n  prefect deployment run {COMPARE} -p"
            " 'runs=[\"demo\"]' --watch\nor without a dashboard: python -m degla.report compare demo"
        )
    if flow != "pipeline" and flow not in STAGES:
        raise MissingInputError(f"no flow {flow!r}; there are: pipeline, {', '.join(STAGES)}")
    if preset not in preset_names():
        raise MissingInputError(f"no preset {preset!r}; there are: {', '.join(preset_names())}")
    experiment = load_experiment(preset, overrides)
    plans = plan(experiment, upto=stages[-1])
    check_inputs(plans, stages, experiment.name)
    check_root(experiment, [plans[stage] for stage in stages])
    return experiment


def say(what: str, text: str) -> None:
    """One line of the launcher's output."""
    print(f"{what:<12} {text}", flush=True)


def _start(serve: bool = True) -> Server:
    """This checkout's server, started if it does not run, with its serving process or with work pools for workers.

    Raises:
        ConfigError: work pools are asked for while deployments are served, or pools are used and no worker runs.
    """
    home = prefect_home()
    check_writable(home)
    if not serve and processes.find(home, *COMMAND):
        raise ConfigError(
            "the deployments are served here; in work pools too, each run would be started twice: `make down` first"
        )
    with _only_one(home):
        server, serving = find_server(home), None
        if server:
            say("server", f"answers at {server.url}")
        else:
            server, serving = _start_at_a_free_port(home, serve)
        _use(server)
        from prefect.client.orchestration import SyncPrefectClient

        from flows.local.pools import create_limit, create_pools

        with SyncPrefectClient(server.api_url) as client:
            from flows.recovery import ensure_automations, reruns_asked_for

            ensure_automations(client, reruns_asked_for())
            create_limit(client)
            if serve:
                ensure_serving(server, client, serving, lambda text: say("deployments", text))
            else:
                create_pools(client)
    return server


def _start_at_a_free_port(home: Path, serve: bool = True) -> tuple[Server, Popen[bytes] | None]:
    while True:
        try:
            return _start_server(home, serve)
        except PortTakenError as error:
            say("", f"{error}; starting again")


def _start_server(home: Path, serve: bool) -> tuple[Server, Popen[bytes] | None]:
    """Start the server and, at the same time, the serving process unless it runs: each takes seconds to import Prefect.

    What outlived its server, runs among them, stays, and finds the new one at the old one's port.
    """
    begin = time.monotonic()
    processes.stop(processes.find(home, *SERVER), STOP_SECONDS)  # it does not answer
    left = processes.find(home)
    known = {int(process.info["environ"][PORT]) for process in left if PORT in process.info["environ"]}
    say("server", "starting (the first start takes longest) ...")
    server, process = begin_server(home, lambda text: say("", text), sorted(ports(), key=lambda port: port not in known))
    if known and server.port not in known:
        say("", "stopping what still runs: it looks for its server at a port that is taken")
        processes.stop(left, STOP_SECONDS)
    serving = None if not serve or processes.find(home, *COMMAND) else begin_serving(server)
    wait_for_server(server, process)
    say("", f"answers at {server.url} after {time.monotonic() - begin:.0f} s, output in {home / 'server.log'}")
    return server, serving


def _use(server: Server) -> None:
    """Point this process and later `prefect` commands in this checkout at the server; call before importing Prefect."""
    os.environ.update({key: value for key, value in environment(server).items() if key.startswith(("PREFECT_", "DO_NOT"))})
    text = f'active = "degla"\n\n[profiles.degla]\nPREFECT_API_URL = "{server.api_url}"\n'
    profile(server.home).write_text(text, encoding="utf-8")


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """A lock, so that two launchers start one server."""
    with (home / "launch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.local", description="Start, run and stop everything on this machine.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, do in (("demo", demo), ("up", up), ("down", down)):
        command = commands.add_parser(name, help=do.__doc__, allow_abbrev=False)
        command.set_defaults(do=do)
        if do is up:
            command.add_argument("--workers", action="store_true", help="do not serve: workers run what `prefect deploy` deploys")
        if do is demo:
            command.add_argument("--generator", choices=GENERATORS, default="rules", help="who rewrites the captions")
    several = commands.add_parser("study", help=study.__doc__, allow_abbrev=False)
    several.set_defaults(do=study)
    several.add_argument("name", nargs="?", default="miniworld", help="of flows/studies/")
    several.add_argument("--at-once", type=int, metavar="N", help="runs at the same time, if other than the study says")
    one = commands.add_parser("run", help=run.__doc__, allow_abbrev=False)
    one.set_defaults(do=run)
    one.add_argument("deployment", help="FLOW/PRESET, such as pipeline/demo or train/coco")
    one.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.lr=1e-5")
    one.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="of the pipeline; the others must be finished")
    one.add_argument("--refresh", action="store_true", help="make the artifacts again; the old ones stay")
    one.add_argument("--dry-run", action="store_true", help="print the settings and what would run, then stop")
    return parser
