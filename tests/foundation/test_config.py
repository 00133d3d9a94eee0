"""Unknown keys are named with the nearest known one; overrides reach any depth; settings without effect stay out."""

import pytest

from degla.config import apply_overrides, effective, read_yaml
from degla.errors import ConfigError, MissingInputError
from degla.experiments.experiment import Experiment, load_experiment, preset_names
from degla.train import TrainConfig


@pytest.mark.parametrize(
    ("override", "path", "near"),
    [
        ("trian.lr=3", "trian", "'train'"),
        ("train.learning_rat=3", "train.learning_rat", "known keys|train"),
        ("train.lrr=3", "train.lrr", "'train.lr'"),
        ("train.loss.icg=2", "train.loss.icg", "'train.loss.igc'"),
        ("filter.veto.margn=1", "filter.veto.margn", "'filter.veto.margin'"),
        ("evaluate.benchmarks=[{name: a, path: {}}]", "evaluate.benchmarks.0.path", "evaluate.benchmarks.0.paths"),
    ],
)
def test_a_misspelt_key_is_refused_with_its_path_and_the_nearest_key(override, path, near):
    with pytest.raises(ConfigError, match=f"unknown key '{path}'.*({near})"):
        Experiment(name="x").with_overrides([override])


def test_a_wrong_value_is_refused_with_its_path_and_the_value_received():
    with pytest.raises(ConfigError, match=r"train\.lr: .*greater than 0.*-1"):
        Experiment(name="x").with_overrides(["train.lr=-1"])


@pytest.mark.parametrize("override", ["train.lr", "=3", "name.first=3"])
def test_an_override_that_is_no_assignment_is_refused(override):
    with pytest.raises(ConfigError, match="override"):
        apply_overrides({"name": "x"}, [override])


def test_overrides_are_read_as_yaml_and_leave_the_original_alone():
    original = {"train": {"lr": 1, "betas": [1, 2]}}
    changed = apply_overrides(original, ["train.lr=1e-5", "train.betas=[0.5, 0.6]", "new.key=none", "train.on=true"])
    assert changed == {"train": {"lr": 1e-5, "betas": [0.5, 0.6], "on": True}, "new": {"key": "none"}}
    assert original == {"train": {"lr": 1, "betas": [1, 2]}}


def test_an_override_below_a_part_that_is_off_switches_it_on():
    assert apply_overrides({"filter": {"veto": None}}, ["filter.veto.margin=-1"]) == {"filter": {"veto": {"margin": -1}}}
    assert Experiment(name="x").with_overrides(["filter.veto.margin=-1"]).filter.veto.margin == -1


def test_settings_without_effect_on_the_result_stay_out_of_the_fingerprint():
    assert "log_every" not in effective(TrainConfig())
    assert effective(TrainConfig(log_every=1)) == effective(TrainConfig(log_every=2))
    assert effective(TrainConfig(seed=1)) != effective(TrainConfig(seed=2))


def test_broken_yaml_and_missing_files_are_named(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(ConfigError, match="broken.yaml: is not valid YAML"):
        read_yaml(broken)
    broken.write_text("- 1")
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_yaml(broken)
    with pytest.raises(MissingInputError, match=r"Did you mean 'demo'\?"):
        load_experiment("demoo")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_survives_being_saved(name):
    experiment = load_experiment(name)
    assert experiment.name == name
    assert experiment.description
    assert load_experiment(str(experiment.save())) == experiment


def test_saving_two_different_experiments_of_one_name_keeps_both():
    first = Experiment(name="x").save()
    second = Experiment(name="x", description="other").save()
    assert first != second
    assert Experiment(name="x").save() == first
    assert load_experiment(str(second)).description == "other"
