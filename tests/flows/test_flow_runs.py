"""Flows on a real Prefect server, with real child processes around fake stages."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact, State, TaskRun
from prefect.flow_engine import run_flow
from process_tree import alive

from degla.errors import ConfigError, InputError, MissingInputError, StorageError
from degla.experiments.experiment import STAGES, Experiment
from degla.experiments.plan import plan
from flows.catalog import catalog
from flows.pipeline import pipeline
from flows.stages import prepare, train
from tasks.retries import StageBug
from tasks.stages import STAGE_TASKS

EXPERIMENT = Experiment(name="test")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server", "fake_stages", "quick_retries")]


def run(flow, **parameters: object) -> State:
    return flow(str(parameters.pop("experiment", EXPERIMENT).save()), **parameters, return_state=True)


def task_runs(state: State, count: int) -> dict[str, TaskRun]:
    """The run's task runs by name, once the server has recorded them all as ended."""
    run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + 20
    with get_client(sync_client=True) as client:
        while True:
            found = client.read_task_runs(flow_run_filter=run_filter)
            if len(found) == count and all(item.state and item.state.is_final() for item in found):
                return {item.name: item for item in found}
            assert time.monotonic() < deadline, [(item.name, item.state_name) for item in found]
            time.sleep(0.2)


def cards(state: State) -> list[Artifact]:
    """The run's artifacts in the order in which both dashboards show them, which is the server's own."""
    run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return [each for each in client.read_artifacts(flow_run_filter=run_filter) if each.key]  # others are Prefect's own


def keys_in_order(state: State) -> list[str]:
    return [card.key for card in cards(state) if card.key]


def nothing_begun() -> bool:
    return not any(item.path.exists() for item in plan(EXPERIMENT).values())


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for item in loggers:
        item.addHandler(caplog.handler)
    yield lambda: caplog.text
    for item in loggers:
        item.removeHandler(caplog.handler)


def test_the_pipeline_makes_every_stage_then_reuses_it_and_shows_it() -> None:
    first = run(pipeline)
    assert first.is_completed()
    assert first.message == f"made {', '.join(STAGES)}"
    assert [result["stage"] for result in first.result()] == list(STAGES)
    assert keys_in_order(first) == ["overview", *STAGES]
    links = {f"../../artifacts/artifact/{card.id}" for card in cards(first) if card.key != "overview"}
    assert all(f"]({link})" in cards(first)[0].data for link in links)

    second = run(pipeline)
    assert second.message == f"reused {', '.join(STAGES)}"
    runs = task_runs(second, 6)
    assert {item.state_name for item in runs.values()} == {"Reused"}
    assert runs["train"].state.message == "reused: rows 1,000, kept 900"
    assert keys_in_order(second) == ["overview"]
    assert all(f"]({link})" in cards(second)[0].data for link in links)
    json.dumps(second.result())  # what goes through Prefect is plain values

    again = run(prepare, refresh=True)
    assert again.message == "made prepare"
    assert again.result()[0]["path"] != first.result()[0]["path"]
    assert Path(first.result()[0]["path"], "manifest.json").is_file()


def test_a_passing_fault_is_tried_again_and_goes_on(fake_stages: Callable[..., None], messages: Callable[[], str]) -> None:
    fake_stages(prepare="passing-once", generate="os-error-once")
    state = run(pipeline, stages=["prepare", "generate"])
    assert state.is_completed()
    assert {name: item.run_count for name, item in task_runs(state, 2).items()} == {"prepare": 2, "generate": 2}
    assert "the fake engine did not start" in messages()


def test_the_catalogs_flow_tells_what_a_person_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: Callable[[], str]
) -> None:
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path / "data"))
    state = catalog("winoground", return_state=True)
    assert state.is_failed()
    assert "winoground is not complete: 2 of its files must be downloaded manually" in state.message
    assert "accept the licence at" in messages()
    with pytest.raises(InputError):
        state.result()
    assert catalog("miniworld_order", return_state=True).message == "miniworld_order is in place"


def test_bad_input_found_by_a_stage_ends_the_run_at_once(fake_stages: Callable[..., None]) -> None:
    fake_stages(generate="input")
    state = run(pipeline)
    assert state.is_failed()
    assert "column 'caption' is missing" in state.message
    with pytest.raises(InputError):
        state.result()
    runs = task_runs(state, 2)
    assert runs["generate"].run_count == 1


def test_a_bug_is_not_tried_again_and_shows_the_last_lines_where_it_was_and_what_to_do(fake_stages: Callable[..., None]) -> None:
    fake_stages(prepare="half-then-bug")
    state = run(prepare)
    assert "division by zero" in state.message
    assert f"Next: all that it printed is in {plan(EXPERIMENT)['prepare'].path / 'log.txt'}" in state.message
    assert "the same command again" in state.message  # it is no run of a deployment
    overview, *others = cards(state)
    assert overview.description == "prepare did not end"
    assert "division by zero" in overview.data
    (progress,) = [card for card in others if card.type == "progress"]
    assert progress.data == 50
    assert progress.description == "did not end: at counting: 5 of 10 units (50 %)"
    (card,) = [card for card in others if card.key == "prepare"]
    assert card.description == progress.description
    with pytest.raises(StageBug):
        state.result()
    assert task_runs(state, 1)["prepare"].run_count == 1


def test_a_stage_that_takes_too_long_is_ended_and_not_tried_again(
    fake_stages: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stages(prepare="hang")
    monkeypatch.setitem(STAGE_TASKS, "prepare", STAGE_TASKS["prepare"].with_options(timeout_seconds=4))
    state = run(prepare)
    assert state.is_failed()
    assert task_runs(state, 1)["prepare"].state_name == "TimedOut"
    pids = (plan(EXPERIMENT, upto="prepare")["prepare"].path / "pids").read_text().split()
    assert not alive(set(map(int, pids)))


@pytest.mark.parametrize(
    ("override", "kind", "words"),
    [
        ("zzz=1", ConfigError, ["'zzz'", "known keys", "prepare"]),
        ("trian.lr=1", ConfigError, ["'trian'", "'train'"]),
        ("train.lrr=1", ConfigError, ["'train.lrr'", "'train.lr'"]),
        ("train.lr=fast", ConfigError, ["train.lr", "number"]),
        ("prepare.dataset=nowhere", MissingInputError, ["nowhere"]),
    ],
)
def test_a_wrong_setting_starts_nothing_and_is_named(override: str, kind: type[Exception], words: list[str]) -> None:
    state = run(pipeline, overrides=[override])
    assert state.is_failed()
    assert all(word in state.message for word in words), state.message
    with pytest.raises(kind):
        state.result()
    assert nothing_begun()


def test_an_artifact_root_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    state = run(pipeline, overrides=[f"root={in_the_way / 'artifacts'}"])
    with pytest.raises(StorageError, match="cannot write"):
        state.result()


def test_a_stage_alone_without_its_inputs_names_the_command_that_makes_them() -> None:
    state = run(train)
    with pytest.raises(MissingInputError, match="prefect deployment run 'prepare/test' --watch"):
        state.result()
    assert "missing" in keys_in_order(state)
    assert nothing_begun()


def test_a_stage_alone_takes_a_given_artifact(fake_stages: Callable[..., None]) -> None:
    made = run(pipeline, stages=["prepare", "generate", "filter"]).result()
    other = Experiment.model_validate({"name": "other", "filter": {"min_tokens": 4}})
    state = run(train, experiment=other, inputs={"filter": made[2]["path"]})
    assert state.is_completed()
    manifest = json.loads(Path(state.result()[0]["path"], "manifest.json").read_text())
    assert manifest["inputs"]["filter"] == made[2]["fingerprint"]


def name_of(state: State) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id).name


def test_a_runs_name_says_preset_data_model_and_what_was_changed_and_a_given_name_stays() -> None:
    other = EXPERIMENT.with_overrides(["train.model.architecture=ViT-B-32"])
    assert name_of(run(prepare, experiment=other, dry_run=True)) == "test | miniworld | ViT-B-32 | dry_run"
    changed = run(pipeline, dry_run=True, overrides=["train.lr=0.5"], stages=["prepare", "generate"])
    assert name_of(changed) == "test | miniworld | prepare | generate | train.lr=0.5 | dry_run"
    assert name_of(run(train, dry_run=True)) == "test | miniworld | dry_run"
    given = {"lr": 0.25, "model": {"architecture": "ViT-B-32"}}
    changed = run(train, dry_run=True, train=given, overrides=["train.seed=2"])
    assert name_of(changed) == "test | miniworld | ViT-B-32 | train.seed=2 | train.lr=0.25 | dry_run"
    names = ("lr, second try", "brave-otter", "kappa976-capricorni-e")
    with get_client(sync_client=True) as client:
        runs = [client.create_flow_run(pipeline, name=name, parameters={}) for name in names]
    file = str(EXPERIMENT.save())
    for flow_run in runs:
        run_flow(pipeline, flow_run=flow_run, parameters={"experiment": file, "dry_run": True}, return_type="state")
    with get_client(sync_client=True) as client:
        made = "test | miniworld | dry_run"
        assert [client.read_flow_run(each.id).name for each in runs] == ["lr, second try", made, made]


def test_settings_of_a_stage_are_merged_into_the_presets(messages: Callable[[], str]) -> None:
    preset = EXPERIMENT.with_overrides(["train.steps=77", "train.model.weights=random", "evaluate.benchmarks=[miniworld_order]"])
    run(
        pipeline,
        experiment=preset,
        dry_run=True,
        train={"lr": 0.25, "model": {"architecture": "ViT-B-32"}},
        overrides=["train.seed=2"],
    )
    shown = yaml.safe_load(messages().partition("nothing is started\n")[2].partition("what generate will")[0])
    changes = {"train.lr": 0.25, "train.model.architecture": "ViT-B-32", "train.seed": 2}
    assert Experiment.model_validate(shown).changes_from(preset) == changes
    state = run(train, experiment=preset, train={"lrr": 1})
    with pytest.raises(ConfigError, match="train.lrr'; did you mean 'train.lr'"):
        state.result()
    with pytest.raises(InputError, match="no experiment 'demoo'.*Did you mean 'demo'"):
        train("demoo")


def test_no_stages_are_refused() -> None:
    state = run(pipeline, stages=[])
    with pytest.raises(ConfigError, match="stages is empty: there is nothing to run. Choose some of prepare, generate"):
        state.result()


def test_a_dry_run_starts_nothing_and_says_what_would_run(messages: Callable[[], str]) -> None:
    state = run(pipeline, dry_run=True, overrides=["train.lr=0.5"])
    assert state.is_completed()
    assert nothing_begun()
    text = messages()
    assert "lr: 0.5" in text
    assert all(f"{stage:<9} run" in text for stage in STAGES)
    assert keys_in_order(state) == ["dry-run"]
