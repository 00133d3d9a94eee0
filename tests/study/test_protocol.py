"""What a study's file says, and the runs that follow from it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from degla.errors import ConfigError, InputError, MissingInputError
from degla.study.choice import Choices, Trial
from degla.study.config import Study, load_study, study_names
from degla.study.desk import Desk
from degla.study.preflight import check, plan_lines
from degla.study.runs import finals, trials

SMALL = {
    "preset": "demo",
    "overrides": ["train.ranks=1"],
    "checkpoints": {"start": []},
    "validation": ["evaluate.benchmarks=[{name: miniworld_composition, options: {split: validation}}]"],
    "composition": "miniworld_composition/mean_of_5/accuracy",
    "retention": "miniworld_zeroshot/mean_of_6/accuracy",
    "budget": 8,
    "tuning_seed": 9,
    "methods": {
        "clip": {"overrides": ["train.objective=clip"], "trials": [["train.lr=1e-4", "train.lr=1e-3"]]},
        "degla": {"trials": [["train.lr=1e-3 train.loss.igc=0.2", "train.lr=1e-4"]]},
        "no_tgc": {"settings_of": "degla", "overrides": ["train.loss.tgc=0"]},
    },
    "questions": {"q": {"title": "Q", "methods": ["clip", "no_tgc"], "seeds": [10, 11], "line": [0, 0.5, 1]}},
}


BOTH = {
    "validation": [
        "evaluate.benchmarks=[{name: miniworld_composition, options: {split: validation}},"
        " {name: miniworld_zeroshot, options: {split: validation}}]"
    ]
}


def saved(tmp_path: Path, **changes: object) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}), encoding="utf-8")
    return str(path)


def small(tmp_path: Path, **changes: object) -> Study:
    return load_study(saved(tmp_path, **changes))


def test_a_question_may_be_asked_of_some_checkpoints_alone(tmp_path: Path) -> None:
    both = {"one": ["train.model.architecture=miniworld"], "two": ["train.model.architecture=miniworld-half-binding"]}
    questions = {
        "all": {"title": "A", "methods": ["clip"], "seeds": [10]},
        "some": {"title": "S", "methods": ["clip"], "seeds": [10], "checkpoints": ["two"]},
    }
    runs = Desk(small(tmp_path, checkpoints=both, questions=questions)).foreseen()
    assert [run.name for run in runs] == ["all/one/clip/seed10", "all/two/clip/seed10", "some/two/clip/seed10"]
    assert [run.experiment.train.model.architecture for run in runs] == ["miniworld", *["miniworld-half-binding"] * 2]


def test_trials_are_of_the_validation_split_and_of_one_seed(tmp_path: Path) -> None:
    runs = list(trials(small(tmp_path)))
    assert [run.name for run in runs] == [
        "trials/start/clip/trial0/seed9",
        "trials/start/clip/trial1/seed9",
        "trials/start/degla/trial0/seed9",
        "trials/start/degla/trial1/seed9",
    ]
    assert {ref.options["split"] for run in runs for ref in run.experiment.evaluate.benchmarks} == {"validation"}
    assert runs[2].experiment.train.lr == 1e-3
    assert runs[2].experiment.train.loss.igc == 0.2  # type: ignore[attr-defined]


def test_final_runs_take_what_was_chosen_and_an_ablation_changes_one_thing(tmp_path: Path) -> None:
    def made(number: int, *overrides: str) -> Trial:
        return Trial(number=number, overrides=overrides, lr=1, composition=1, lost=1, evaluated="", chosen=True)

    of = {"clip": (made(1, "train.lr=1e-3"),), "degla": (made(0, "train.lr=1e-3", "train.loss.igc=0.2"),)}
    runs = list(finals(small(tmp_path), Choices(study="", trials={"start": of})))
    assert [run.name for run in runs] == [f"q/start/{name}/seed{seed}" for name in ("clip", "no_tgc") for seed in (10, 11)]
    ablation = runs[2].experiment
    assert (ablation.train.lr, ablation.train.seed) == (1e-3, 10)
    assert (ablation.train.loss.tgc, ablation.train.loss.igc) == (0, 0.2)  # type: ignore[attr-defined]
    assert not any(ref.options for ref in ablation.evaluate.benchmarks)
    assert ablation.evaluate.interpolate is not None
    assert ablation.evaluate.interpolate.alphas == (0, 0.5, 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"methods": {**SMALL["methods"], "clip": {"trials": [["train.lr=1e-4"]]}}}, "same number of trials"),  # type: ignore[dict-item]
        ({"methods": {"clip": {}}}, "own trials"),
        ({"methods": {"a": {"trials": [["x=1"]]}, "b": {"settings_of": "c"}}}, "settings_of=.c. is no method"),
        ({"questions": {"q": {"title": "Q", "methods": ["clap"], "seeds": [1]}}}, "no method 'clap'"),
        (
            {"questions": {"q": {"title": "Q", "methods": ["clip"], "seeds": [1], "checkpoints": ["a"]}}},
            "no checkpoint 'a'; there are: start",
        ),
        ({"questions": {"q": {"title": "Q", "methods": ["clip"], "seeds": [9]}}}, "seed 9 chose"),
        ({"budgets": 3}, "budget"),
    ],
)
def test_a_protocol_that_compares_unfairly_is_refused(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        small(tmp_path, **changes)


def test_the_plan_counts_what_is_made_once(tmp_path: Path) -> None:
    lines = list(plan_lines(Desk(small(tmp_path, **BOTH, overrides=["train.ranks=1", f"root={tmp_path}"]))))
    assert "runs        4 trials, then 4 final ones; settings: chosen when the trials are finished" in lines
    assert [line for line in lines if "artifacts" in line] == [
        "prepare     1 artifacts, 0 of them finished",
        "generate    1 artifacts, 0 of them finished",
        "filter      1 artifacts, 0 of them finished",
        "train       8 artifacts, 0 of them finished",
        "evaluate    8 artifacts, 0 of them finished",
    ]


def test_a_study_lists_all_that_is_missing_before_it_starts(tmp_path: Path) -> None:
    """Of a metric over several benchmarks each one's files; one that is only shown may lack them."""
    sets = "cifar10, cifar100, food101, oxford_pets, flowers102, sun397, stanford_cars, dtd, caltech101, fgvc_aircraft, imagenet"
    changes = {
        **BOTH,
        "choose_by": {"composition": SMALL["composition"], "retention": SMALL["retention"]},
        "test": [f"evaluate.benchmarks=[miniworld_composition, valse, {sets}]"],
        "retention": "zero_shot/mean_of_11/accuracy",
        "overrides": [f"root={tmp_path}"],
    }
    with pytest.raises(InputError, match="11 things are missing") as error:
        check(Desk(small(tmp_path, **changes)))
    assert "fgvc_aircraft: images not found" in str(error.value)
    with pytest.raises(ConfigError, match="trials: miniworld_zeroshot/mean_of_6/accuracy needs the benchmark miniworld_zeroshot"):
        check(Desk(small(tmp_path, overrides=[f"root={tmp_path}"])))


def test_every_study_of_the_checkout_can_be_read() -> None:
    assert "miniworld" in study_names()
    for name in study_names():
        study = load_study(name)
        assert len(list(trials(study))) == len(study.checkpoints) * sum(len(m.combinations) for m in study.methods.values())
    with pytest.raises(MissingInputError, match="Did you mean 'miniworld'"):
        load_study("miniword")


def test_a_study_that_is_told_to_stop_ends_its_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "degla.study", "run", saved(tmp_path, **BOTH, overrides=[f"root={tmp_path}"])]
    study = subprocess.Popen([*command, "--step", "trials", "--at-once", "2"], stdout=subprocess.DEVNULL)
    try:
        runs = list[psutil.Process]()
        while len(runs) < 2:
            assert study.poll() is None
            runs = psutil.Process(study.pid).children()
            time.sleep(0.2)
    finally:
        study.send_signal(signal.SIGTERM)
    assert study.wait(60) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(runs, timeout=0)
    assert not alive
