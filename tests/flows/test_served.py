"""One real server and serving process, as `make demo` starts them, around fake stages; seen through a real browser.

The tests share them and run in the order of the file.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from anyio.from_thread import start_blocking_portal
from browser import browser_page
from launched import ROOT, Served, launched, tasks_of
from prefect.client.orchestration import SyncPrefectClient
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient
from prefect.states import AwaitingRetry, Cancelled, Cancelling, Pending, Running
from process_tree import alive, left_of

from flows.local import processes
from flows.local.server import SERVER
from flows.local.serving import COMMAND
from flows.pipeline import pipeline
from flows.recovery import automations
from tasks.narrow import narrow

FAKE_STAGES = ROOT / "tests" / "tasks" / "fake_stages"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    variables = {
        "DEGLA_HANG": str(folder / "hang"),
        "DEGLA_FAKE_STAGES": json.dumps({"generate": "slow", "train": "hang-if-asked"}),
        "PYTHONPATH": str(FAKE_STAGES),
    }
    with launched(folder, "demo", **variables) as own:
        yield own


def test_the_first_run_shows_stages_scores_places_and_what_to_try_next(served: Served) -> None:
    output = served.first_output
    for stage in ("prepare", "generate", "filter", "train", "evaluate", "report"):
        assert re.search(rf"^  {stage} +\d+ s  made: rows 1,000, kept 900$", output, re.MULTILINE), output
    assert "fine-tuned  0.75" in output
    assert f"{served.url}/runs/flow-run/" in output
    assert "deployment run" in output
    assert "make down" in output


def test_the_second_run_reuses_every_stage_and_says_so(served: Served) -> None:
    result = served.launch("demo")
    assert result.returncode == 0
    assert "reused prepare, generate, filter, train, evaluate, report" in result.stdout
    assert "made" not in result.stdout


def test_the_prefect_command_of_the_checkout_runs_a_stage_alone(served: Served) -> None:
    environment = served.environment | {"PREFECT_PROFILES_PATH": str(served.home / "profiles.toml")}
    prefect = [sys.executable, "-m", "prefect", "deployment", "run"]
    result = subprocess.run(
        [*prefect, "report/demo", "--watch"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
    )
    assert result.returncode == 0, result.stdout + result.stderr

    assert "Parameters: {'experiment': 'demo'}" in result.stdout

    given = 'experiment={"name": "x", "train": {"lr": 1}}'
    refused = subprocess.run(
        [*prefect, "train/demo", "-p", given], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
    )
    assert refused.returncode == 1
    assert "'experiment'. Failure reason: 'demo' was expected" in " ".join(refused.stdout.split())


def test_the_gpu_of_a_dead_holder_is_free_again(served: Served) -> None:
    take = {"names": ["gpu"], "slots": 1, "mode": "concurrency", "lease_duration": 60}
    assert served.ask("/v2/concurrency_limits/increment-with-lease", take)["limits"][0]["limit"] == 1
    index = served.home / "concurrency_leases" / "expirations.json"
    index.write_text(json.dumps(dict.fromkeys(json.loads(index.read_text()), "2000-01-01T00:00:00+00:00")))  # a minute later
    deadline = time.monotonic() + 40
    while served.ask("/v2/concurrency_limits/filter")[0]["active_slots"]:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_an_interrupt_cancels_the_run_and_ends_the_stage_with_its_children(served: Served) -> None:
    hang = Path(served.environment["DEGLA_HANG"])
    hang.touch()
    command = served.command("run", "train/demo", "-o", "train.seed=5")
    process = subprocess.Popen(command, cwd=ROOT, env=served.environment, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not hang.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Cancelled" in output
    assert not alive(set(map(int, hang.read_text().split())))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser_page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def test_the_run_form_shows_every_stages_settings_with_their_help(served: Served, page: Any) -> None:
    deployment = served.ask("/deployments/filter", {"flows": {"name": {"any_": ["pipeline"]}}})
    demo = next(item for item in deployment if item["name"] == "demo")
    page.goto(f"{served.url}/deployments/deployment/{demo['id']}/run")
    page.get_by_text("Peak learning rate.").wait_for(state="attached")
    text = page.inner_text("body")
    for words in (
        "The preset that the settings come from.",
        "From a dataset card to captions and images.",
        "Changes to any setting, as",
        "Make these stages again",
    ):
        assert words in text


def test_the_run_page_shows_the_graph_and_leads_from_the_overview_to_the_report(served: Served, page: Any) -> None:
    runs = served.ask("/flow_runs/filter", {"sort": "START_TIME_DESC", "flows": {"name": {"any_": ["pipeline"]}}})
    page.goto(f"{served.url}/runs/flow-run/{runs[0]['id']}")
    page.locator("canvas").first.wait_for()
    page.get_by_text("Artifacts", exact=True).click()
    page.locator(".artifact-card").first.wait_for()
    assert "overview" in page.locator(".artifact-card").first.inner_text()
    page.get_by_text("overview").first.click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="report", exact=True).click()
    opened.value.get_by_role("heading", name="Scorecard of a fake").wait_for()
    assert "0.75" in opened.value.inner_text("body")
    opened.value.close()


def test_every_table_of_a_report_fits_the_column(served: Served, page: Any) -> None:
    """Measured in the browser: a table that is wider than its box is cut, without a scroll bar."""
    header = ["type", "asked", "kept", "of those asked", "blind accuracy", "refused by", "not generated"]
    row = [
        "swap_adjectives",
        "22,741",
        "12,657",
        "56 %",
        "50.8",
        "first_of_its_kind 4,361, exchange_differs 380",
        "abstained 4,598",
    ]
    numbers = [["metric", *(f"model {n}" for n in range(9))], ["m", *["98.6 (97.1 to 99.3)"] * 9]]
    wide = "\n\n".join(
        "\n".join(f"| {' | '.join(line)} |" for line in (a, ["---:"] * len(a), b)) for a, b in ((header, row), numbers)
    )
    cut = {}
    for name, text in (("as it is", wide), ("narrow", narrow(wide))):
        made = served.ask("/artifacts/", {"key": "wide", "type": "markdown", "data": text})
        page.goto(f"{served.url}/artifacts/artifact/{made['id']}")
        page.locator(".markdown-renderer__table").first.wait_for()
        cut[name] = page.eval_on_selector_all(".markdown-renderer__table", "all => all.map(t => t.scrollWidth > t.clientWidth)")
    assert cut["as it is"] == [True, True]
    assert not any(cut["narrow"])


@pytest.fixture
def client(served: Served) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(f"{served.url}/api") as client:
        yield client


def until(done: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of `done`."""
    deadline = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return value


def hanging_run(served: Served, client: SyncPrefectClient, seed: int) -> tuple[UUID, set[int]]:
    """A training that hangs: its run and the processes of its stage."""
    hang = Path(served.environment["DEGLA_HANG"])
    hang.write_text("")
    deployment = client.read_deployment_by_name("train/demo")
    run = client.create_flow_run_from_deployment(deployment.id, parameters={"overrides": [f"train.seed={seed}"]})
    pids = set(map(int, until(hang.read_text).split()))
    hang.unlink()
    return run.id, pids


def process_of(run: UUID) -> psutil.Process:
    return next(
        each
        for each in psutil.process_iter(["environ", "cmdline"])
        if (each.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID") == str(run) and "prefect.engine" in each.info["cmdline"]
    )


def test_a_killed_run_is_crashed_at_once_nothing_of_it_is_left_and_a_retry_finishes_it(
    served: Served, client: SyncPrefectClient
) -> None:
    run, pids = hanging_run(served, client, 6)
    process_of(run).kill()
    state = until(lambda: (state := client.read_flow_run(run).state).is_crashed() and state)
    assert "SIGKILL" in state.message
    assert "memory" not in state.message
    assert not left_of(pids)
    until(lambda: tasks_of(client, run) == ["Crashed"])
    client.set_flow_run_state(run, AwaitingRetry())
    until(lambda: client.read_flow_run(run).state.is_completed())
    assert client.read_flow_run(run).run_count == 2
    until(lambda: tasks_of(client, run) == ["Completed", "Crashed"])


def test_a_run_outlives_server_and_serving_process_and_can_still_be_cancelled(served: Served, client: SyncPrefectClient) -> None:
    run, pids = hanging_run(served, client, 7)
    process = process_of(run)
    for words in (SERVER, COMMAND):
        for each in processes.find(served.home, *words):
            each.kill()
    result = served.launch("up")
    assert f"answers at {served.url}" in result.stdout
    assert client.read_flow_run(run).state.is_running()
    assert alive(pids) == pids
    client.set_flow_run_state(run, Cancelling())
    until(lambda: not processes.alive(process))  # its log goes to a pipe that nobody reads any more
    assert client.read_flow_run(run).state.is_cancelled()
    assert not left_of(pids)


def test_a_run_without_heartbeats_is_crashed_and_one_that_beats_is_not(served: Served, client: SyncPrefectClient) -> None:
    hurried = automations(0)[0]
    hurried.name, hurried.trigger.within = "hurried", timedelta(seconds=10)  # the least that Prefect allows
    client.create_automation(hurried)
    dead, lives = (client.create_flow_run(pipeline, tags=["degla"], state=Pending()).id for _ in range(2))
    time.sleep(6)  # the server looks for automations every five seconds
    for run in (dead, lives):
        client.set_flow_run_state(run, Running())
    tag = {"prefect.resource.id": "prefect.tag.degla", "prefect.resource.role": "tag"}

    async def beat() -> None:
        # Not emit_event: it keeps one connection a process, to the first server that a test of this process spoke to.
        async with PrefectEventsClient(f"{served.url}/api") as events:
            for second in range(150):  # the dead one beats again after 30 s: a busy server may lose a beat, or see the rule late
                for run in (lives,) if second % 30 else (dead, lives):
                    named = {"prefect.resource.id": f"prefect.flow-run.{run}"}
                    await events.emit(Event(event="prefect.flow-run.heartbeat", resource=named, related=[tag]))
                await asyncio.sleep(1)
                if client.read_flow_run(dead).state.is_crashed():
                    break

    with start_blocking_portal() as portal:  # another thread: a browser's test leaves its event loop in this one
        portal.call(beat)
    state = client.read_flow_run(dead).state
    assert state.is_crashed()
    assert "no heartbeat" in state.message
    assert client.read_flow_run(lives).state.is_running()
    client.set_flow_run_state(lives, Cancelled())
