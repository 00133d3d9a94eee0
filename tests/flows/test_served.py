"""One real server and serving process, as `make demo` starts them, around fake stages; seen through a real browser.

The tests share them and run in the order of the file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows import processes

ROOT = Path(__file__).resolve().parent.parent.parent
FAKE_STAGES = ROOT / "tests" / "tasks" / "fake_stages"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.slow


@dataclass
class Served:
    """A launcher with a home, ports and artifacts of its own."""

    home: Path
    environment: dict[str, str]
    url: str = ""
    first_output: str = ""

    def launch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environment | variables, capture_output=True, text=True, timeout=200
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.launch", *arguments]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data, headers = json.dumps(body or {}).encode(), {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api{path}", data, headers)) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    variables = {
        "DEGLA_PREFECT_HOME": str(folder / "prefect"),
        "DEGLA_HOME": str(folder / "artifacts"),
        "DEGLA_PORTS": str(port),
        "DEGLA_HANG": str(folder / "hang"),
        "DEGLA_FAKE_STAGES": json.dumps({"generate": "slow", "train": "hang-if-asked"}),
        "PYTHONPATH": str(FAKE_STAGES),
    }
    own = Served(folder / "prefect", {**os.environ, **variables})
    result = own.launch("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    own.first_output, own.url = result.stdout, f"http://127.0.0.1:{port}"
    yield own
    result = own.launch("down")
    assert "server       stopped" in result.stdout
    assert processes.find(own.home) == []


def test_the_first_run_shows_stages_scores_places_and_what_to_try_next(served: Served) -> None:
    output = served.first_output
    for stage in ("prepare", "generate", "filter", "train", "evaluate", "report"):
        assert re.search(rf"^  {stage} +\d+ s  made: rows 1,000, kept 900$", output, re.MULTILINE), output
    assert "fine-tuned  0.75" in output
    assert f"{served.url}/runs/flow-run/" in output
    assert "deployment run" in output
    assert "make down" in output


def test_the_second_run_reuses_every_stage_says_so_and_is_quick(served: Served) -> None:
    start = time.monotonic()
    result = served.launch("demo")
    assert result.returncode == 0
    assert "reused prepare, generate, filter, train, evaluate, report" in result.stdout
    assert "made" not in result.stdout
    assert time.monotonic() - start < 40


def test_the_prefect_command_of_the_checkout_runs_a_stage_alone(served: Served) -> None:
    environment = served.environment | {"PREFECT_PROFILES_PATH": str(served.home / "profiles.toml")}
    prefect = [sys.executable, "-m", "prefect", "deployment", "run"]
    result = subprocess.run(
        [*prefect, "report/demo", "--watch"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
    )
    assert result.returncode == 0, result.stdout + result.stderr

    refused = subprocess.run(
        [*prefect, "train/demo", "-p", 'experiment={"name": "x", "train": {"lrr": 1}}'],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
    )
    said = " ".join(refused.stdout.split())
    assert refused.returncode == 1
    assert "'experiment.train'" in said
    assert "'lrr' is not one of" in said
    assert "'lr'," in said


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
    assert not any(processes.alive(int(pid)) for pid in hang.read_text().split())


@pytest.fixture(scope="module")
def page(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page of a real browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        profile = str(tmp_path_factory.mktemp("chromium"))
        browser = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS), viewport={"width": 1400, "height": 1000}
        )
        page = browser.new_page()
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def test_the_run_form_shows_every_stages_settings_with_their_help(served: Served, page: Any) -> None:
    deployment = served.ask("/deployments/filter", {"flows": {"name": {"any_": ["pipeline"]}}})
    demo = next(item for item in deployment if item["name"] == "demo")
    page.goto(f"{served.url}/deployments/deployment/{demo['id']}/run")
    page.get_by_text("Peak learning rate.").wait_for(state="attached")
    text = page.inner_text("body")
    for words in (
        "The settings of every stage",
        "From a dataset card to captions and images.",
        "Weight of self-distillation",
        "Changes to the settings, as",
        "Make these stages anew",
    ):
        assert words in text


def test_the_run_page_shows_the_graph_and_leads_to_the_report(served: Served, page: Any) -> None:
    runs = served.ask("/flow_runs/filter", {"sort": "START_TIME_DESC", "flows": {"name": {"any_": ["pipeline"]}}})
    page.goto(f"{served.url}/runs/flow-run/{runs[0]['id']}")
    page.locator("canvas").first.wait_for()
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("report-scorecard").first.click()
    page.get_by_role("heading", name="Scorecard of a fake").wait_for()
    assert "0.75" in page.inner_text("body")
