"""The exemplar selection in the dashboard: a real server and serving process, a run that waits for a person and goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from browser import browser_page
from caption_tables import captions_table
from launched import ROOT, Served, launched
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from degla.artifacts import building
from degla.errors import ConfigError
from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan
from degla.generate.exemplars.proposals import Item, PromptMark, Proposal
from degla.generate.language_models.prompts import load_prompt
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, write_table
from flows.exemplars import description, exemplars
from flows.local import processes

pytestmark = pytest.mark.slow

CHECKOUT = ROOT / "prompts"
TYPE = "replace_nouns"
VERSION = load_prompt(CHECKOUT, TYPE).version
OTHER = "replace_adjectives"


def proposal(*pairs: tuple[str, str]) -> Proposal:
    items = tuple(Item(number=number, input=a, output=b) for number, (a, b) in enumerate(pairs, 1))
    return Proposal(type=TYPE, source="rules", prompts="p", prompt=PromptMark(version=1, sha="0"), items=items)


def test_the_form_shows_what_differs_in_bold_and_texts_as_they_are() -> None:
    text = description(proposal(("A cat sat on a *mat* | here", "A cat sat on a hat | here"), ("An [old](x) dog", "A `new` dog")))
    assert "**1**. A cat sat on a **\\*mat\\*** \\| here\\\n→ A cat sat on a **hat** \\| here" in text
    assert "**2**. **An \\[old\\](x)** dog\\\n→ **A \\`new\\`** dog" in text
    assert "Not taken" not in text


def test_the_form_begins_with_why_the_last_answer_was_not_taken() -> None:
    text = description(proposal(("A cat", "A dog")), "`1`: it cannot be:\n  line 3\n  line 5")
    assert text.startswith("**Not taken, and nothing was written.** `1`: it cannot be:\n\n- line 3\n- line 5\n\n**1 rewrites")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with prepared captions and a copy of the prompts, which no test may touch."""
    folder = tmp_path_factory.mktemp("selection")
    prompts = shutil.copytree(CHECKOUT, folder / "prompts", ignore=shutil.ignore_patterns("versions"))
    data = {"name": "own", "root": str(folder / "root"), "generate": {"prompts": str(prompts), "vocabulary": "lexicon"}}
    experiment = Experiment.model_validate(data)
    (folder / "own.yaml").write_text(yaml.safe_dump(data))
    prepare = plan(experiment, upto="prepare")["prepare"]
    captions = [each.input for kind in NEGATIVE_TYPES for each in load_prompt(CHECKOUT, kind).exemplars]
    with building(prepare.config, {}, prepare.path) as build:
        write_table(prepare.path / "captions.parquet", captions_table(captions), CAPTIONS)
        build.finish({}, ["captions.parquet"])
    return folder


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_could_not_wait_ends_at_once_and_says_what_to_do(folder: Path) -> None:
    state = exemplars(TYPE, str(folder / "own.yaml"), return_state=True)
    with pytest.raises(ConfigError, match="exemplars/select"):
        state.result()
    unprepared = exemplars(
        TYPE, str(folder / "own.yaml"), overrides=["prepare.dataset=photos"], unattended="1", return_state=True
    )
    assert unprepared.is_failed()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with launched(tmp_path_factory.mktemp("served"), "up") as own:
        yield own


@pytest.fixture
def client(served: Served) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(f"{served.url}/api") as client:
        yield client


@pytest.fixture
def start(client: SyncPrefectClient, folder: Path) -> Callable[..., FlowRun]:
    """Start a run of the deployment."""

    def start(negative_type: str, **parameters: Any) -> FlowRun:
        deployment = client.read_deployment_by_name("exemplars/select")
        given = {"negative_type": negative_type, "experiment": str(folder / "own.yaml"), "number": 8, **parameters}
        return client.create_flow_run_from_deployment(deployment.id, parameters=given)

    return start


def wait(client: SyncPrefectClient, run: FlowRun, state: str, answers: int = 0) -> FlowRun:
    """The run once it is in this state; where it is suspended, for the (answers + 1)th time and with its form."""
    deadline = time.monotonic() + 90
    while True:
        run = client.read_flow_run(run.id)
        waits_for = run.state.state_details.pause_key or ""
        if run.state_name == state and (state != "Suspended" or (waits_for.endswith(f"-{answers + 1}") and shown(client, run))):
            return run
        assert not run.state.is_final(), (run.state_name, run.state.message)
        assert time.monotonic() < deadline, run.state
        time.sleep(0.3)


def shown(client: SyncPrefectClient, run: FlowRun) -> str:
    """What the form of a suspended run says; nothing where the run has not written it yet."""
    key = run.state.state_details.run_input_keyset["description"]
    answer = httpx.get(f"{client.api_url}flow_runs/{run.id}/input/{key}")
    return answer.json() if answer.is_success else ""


def test_a_run_waits_for_a_choice_refuses_a_bad_one_and_writes_the_good_one(
    served: Served, client: SyncPrefectClient, start: Callable[..., FlowRun], folder: Path
) -> None:
    prompts = folder / "prompts"
    before = load_prompt(prompts, TYPE)
    run = wait(client, start(TYPE), "Suspended")
    own = folder / "root" / "exemplars" / str(run.id)
    proposed = (own / "proposal.yaml").stat().st_mtime_ns
    items = yaml.safe_load((own / "proposal.yaml").read_text())["items"]
    assert len(items) == 8
    assert f"**8 rewrites for {TYPE.replace('_', chr(92) + '_')}**" in shown(client, run)
    assert nothing_runs(served, run)

    client.resume_flow_run(run.id, run_input={"keep": "1, 77", "comment": "oh"})
    run = wait(client, run, "Suspended", answers=1)
    assert shown(client, run).startswith("**Not taken, and nothing was written.** `1, 77`: there is no number 77; there are 1-8")
    refused = client.resume_flow_run(run.id, run_input={"mode": "add"})
    assert "'keep' is a required property" in refused.details.reason
    assert load_prompt(prompts, TYPE) == before

    client.resume_flow_run(run.id, run_input={"keep": "2, 4-5", "mode": "replace", "comment": "seen by a test"})
    run = wait(client, run, "Completed")
    after = load_prompt(prompts, TYPE)
    assert after.version == VERSION + 1
    assert [each.input for each in after.exemplars] == [items[number - 1]["input"] for number in (2, 4, 5)]
    assert after.abstentions == before.abstentions
    assert "seen by a test" in (prompts / f"{TYPE}.yaml").read_text().splitlines()[0]
    assert (prompts / "versions" / f"{TYPE}-v{VERSION}.yaml").read_bytes() == (CHECKOUT / f"{TYPE}.yaml").read_bytes()
    assert run.state.message == f"{TYPE} is version {VERSION + 1} now, with 3 of 8 proposals"
    assert (own / "proposal.yaml").stat().st_mtime_ns == proposed


def nothing_runs(served: Served, run: FlowRun) -> bool:
    """Whether no process of this run is left, a moment after it was suspended."""
    deadline = time.monotonic() + 10
    while left := [each for each in processes.find(served.home) if str(run.id) in str(each.info)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return not left


def test_an_unattended_run_asks_nobody_and_none_changes_nothing(
    client: SyncPrefectClient, start: Callable[..., FlowRun], folder: Path
) -> None:
    waiting = start("swap_nouns")
    run = wait(client, start(OTHER, unattended="1-2"), "Completed")
    assert run.state.message == f"{OTHER} is version {VERSION + 1} now, with 2 of 8 proposals"
    assert len(load_prompt(folder / "prompts", OTHER).exemplars) == 50
    waiting = wait(client, waiting, "Suspended")
    client.resume_flow_run(waiting.id, run_input={"keep": "none"})
    assert wait(client, waiting, "Completed").state.message == "nothing was kept"
    assert load_prompt(folder / "prompts", "swap_nouns").version == VERSION


def test_a_person_chooses_in_the_browser(
    served: Served, client: SyncPrefectClient, start: Callable[..., FlowRun], folder: Path, tmp_path: Path
) -> None:
    with browser_page(tmp_path / "chromium") as page:
        run = wait(client, start("swap_adjectives"), "Suspended")
        items = yaml.safe_load((folder / "root" / "exemplars" / str(run.id) / "proposal.yaml").read_text())["items"]
        page.goto(f"{served.url}/runs/flow-run/{run.id}")
        page.get_by_role("button", name="Resume").first.click()
        form = page.get_by_role("dialog")
        form.get_by_text("rewrites for").wait_for()
        text = " ".join(form.inner_text().split())
        for item in items:
            assert f"{item['number']}. {item['input']} → {item['output']}" in text
        assert "1, 4, 7-9" in text
        form.locator("textarea").first.fill("all")
        form.get_by_role("button", name="Submit").click()
        wait(client, run, "Completed")
    after = load_prompt(folder / "prompts", "swap_adjectives")
    assert [each.output for each in after.exemplars[-len(items) :]] == [item["output"] for item in items]
