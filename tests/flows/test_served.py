"""One real server and serving process, as `make demo` starts them, around fake stages; seen through a real browser.

The tests share them and run in the order of the file.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser_page
from launched import ROOT, Served, launched
from process_tree import alive

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
        "The settings of every stage",
        "From a dataset card to captions and images.",
        "Weight of self-distillation",
        "Changes to the settings, as",
        "Make these stages again",
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
