"""Unknown keys are named with the nearest known one; settings without effect stay out of fingerprints."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from degla.config import effective, read_yaml, validate
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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"Train": {"lr": 1}}, "unknown key 'Train'; did you mean 'train'"),
        ({"train": {"LR": 1}}, "unknown key 'train.LR'; did you mean 'train.lr'"),
        ({"evaluate": {"models": {"Negclip": {"Weights": "a"}}}}, r"'evaluate\.models\.Negclip\.Weights'; .*Negclip\.weights"),
        ({"evaluate": {"models": {"Negclip": {"weights": 1}}}}, r"evaluate\.models\.Negclip\.weights: "),
        ({"evaluate": {"models": {"a b": {}}}}, r"evaluate\.models\.a b: "),
        ({"filter": {"veto": {"model": {"Architecture": "x"}}}}, r"'filter\.veto\.model\.Architecture'; .*model\.architecture"),
    ],
)
def test_keys_of_another_case_are_named_with_their_whole_path(data, message):
    with pytest.raises(ConfigError, match=message):
        validate(Experiment, {"name": "x", **data}, "preset")


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
def test_numbers_are_finite(value):
    with pytest.raises(ConfigError, match=r"train\.lr: Input should be a finite number"):
        validate(Experiment, {"name": "x", "train": {"lr": yaml.safe_load(value)}}, "preset")


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
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="broken.yaml: is not valid YAML"):
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


def test_experiments_of_one_name_that_are_saved_together_are_all_kept():
    texts = [str(number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda text: Experiment(name="x", description=text).save(), [*texts, *texts]))
    assert files[:8] == files[8:]
    assert [load_experiment(str(file)).description for file in files[:8]] == texts
