"""Overrides reach every setting, and the setting's type says how their value is read."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from degla.config import Config, inner_type, is_model, members
from degla.errors import ConfigError
from degla.experiments.experiment import Experiment
from degla.overrides import apply_overrides


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting that is not a model itself: path and type. Optional models and the models in a mapping are entered."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = [(path, member) for member in members(field.annotation)]
        inner += [(f"{path}.key", typing.get_args(member)[1]) for _, member in inner if typing.get_origin(member) is dict]
        models = [(where, member) for where, member in inner if is_model(member)]
        for where, member in models:
            yield from leaves(member, f"{where}.")
        if not models:
            yield path, field.annotation


LEAVES = dict(leaves(Experiment))
PLAIN = [path for path, place in LEAVES.items() if not any(map(is_model, typing.get_args(place)))]
TEXTS = [path for path, place in LEAVES.items() if {str, Path} & set(members(place))]
AWKWARD = [
    "12e45678", "123", "1_000", "0123", "1e5", "on", "No", "true", "2024-01-01", "12:30", "None", ".inf",
    "a: b", "[x", "{", "#c", " x ", "'q'", "a=b", "!!int 3", "&a", "*a", "%", "\n",
]  # fmt: skip


JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab0: ")


def read(path: str, text: str) -> Any:
    """The value that an override sets, before it is validated."""
    node = apply_overrides(Experiment, Experiment(name="x").model_dump(mode="json"), [f"{path}={text}"])
    for part in path.split("."):
        node = node[part]
    return node


def test_the_settings_are_found() -> None:
    assert len(LEAVES) > 100
    assert {"train.lr", "train.lora.rank", "generate.engine.revision", "evaluate.models.key.weights"} <= LEAVES.keys()


@pytest.mark.parametrize("path", TEXTS)
def test_a_text_is_taken_as_it_stands(path: str) -> None:
    assert [read(path, text) for text in AWKWARD] == AWKWARD


@settings(deadline=None)
@given(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_taken_as_it_stands(path: str, text: str) -> None:
    assume(text not in ("", "null", "~"))
    assert read(path, text) == text


@settings(deadline=None)
@given(st.sampled_from(PLAIN), st.data())
def test_every_setting_takes_every_value_of_its_type(path: str, data: st.DataObject) -> None:
    place = LEAVES[path]
    value = data.draw(st.dictionaries(st.text("ab", min_size=1), JSON) if place == dict[str, Any] else st.from_type(place))
    assume(value not in ("", "null", "~") and not {"inf", "nan"} & set(re.findall("[a-z]+", repr(value))))
    try:
        TypeAdapter(place).validate_python(value)
    except ValidationError:
        assume(False)
    assert TypeAdapter(place).validate_python(read(path, as_typed(value))) == value


def as_typed(value: Any) -> str:
    """A value as a person types it."""
    if isinstance(value, (tuple, dict)):
        return yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True)
    return "null" if value is None else str(value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.lr=1e-5", 1e-5),
        ("train.lr=.5", 0.5),
        ("train.epochs=3", 3),
        ("train.steps=1_000", 1000),
        ("train.steps=1e3", 1000),
        ("train.steps=0123", 123),
        ("train.steps=null", None),
        ("train.steps=", None),
        ("train.zero_stage=2", 2),
        ("train.activation_checkpointing=on", True),
        ("train.activation_checkpointing=No", False),
        ("train.betas=[0.5, 6e-1]", (0.5, 0.6)),
        ("train.hostfile=~/0123", Path("~/0123")),
        ("train.hostfile=null", None),
        ("train.lora.rank=4", 4),
        ("filter.veto.margin=-1", -1),
        ("generate.engine.revision=12e45678", "12e45678"),
        ("generate.engine.revision=null", None),
        ("generate.types=[swap_nouns]", ("swap_nouns",)),
        ("generate.engine.options={a: 1e-5, b: on, c: 0123, d: '1', e: [true, null], f: 2024-01-01}",
         {"a": 1e-5, "b": "on", "c": 123, "d": "1", "e": [True, None], "f": "2024-01-01"}),
        ("generate.engine.options.a.b=1", {"a": {"b": 1}}),
        ("evaluate.models={a: {weights: 12e45678}}", None),
        ("evaluate.benchmarks.0.label=0123", None),
        ("report.headline={a: 0123, b: on}", {"a": "0123", "b": "on"}),
        ("description= a=b ", " a=b "),
    ],
)  # fmt: skip
def test_values_mean_what_people_mean(override: str, expected: Any) -> None:
    experiment = Experiment(name="x").with_overrides([override])
    path = override.partition("=")[0]
    if path == "evaluate.models":
        assert experiment.evaluate.models["a"].weights == "12e45678"
    elif path == "evaluate.benchmarks.0.label":
        assert experiment.evaluate.benchmarks[0].label == "0123"
    else:
        value: Any = experiment
        for part in path.split(".")[: 3 if "options" in path else None]:
            value = getattr(value, part)
        assert value == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr", r"expected path\.to\.key=value, such as train\.lr=1e-5"),
        ("=3", "expected path"),
        ("train.=3", "expected path"),
        (".lr=3", "expected path"),
        ("train..lr=3", "expected path"),
        ("Train.lr=1", "unknown key 'Train'; did you mean 'train'"),
        ("train.LR=1", r"unknown key 'train\.LR'; did you mean 'train\.lr'"),
        ("train.loss.IGC=1", r"unknown key 'train\.loss\.IGC'; did you mean 'train\.loss\.igc'"),
        ("train.lora.Rank=1", r"unknown key 'train\.lora\.Rank'; did you mean 'train\.lora\.rank'"),
        ("train.lr.x=1", r"'train\.lr' has no key 'x': it is a value"),
        ("train.betas.x=1", r"'train\.betas' has no key 'x': expected the number of an item"),
        ("train.betas.2=1", r"'train\.betas' has no key '2'"),
        ("evaluate.benchmarks.1.label=x", r"evaluate\.benchmarks has 1 items, numbered from 0; got 1"),
        ("evaluate.benchmarks.-1.label=x", r"'evaluate\.benchmarks' has no key '-1': expected the number"),
        ("generate.types=[swap_nouns", "not valid YAML"),
        ("train=3", "train: Input should be a valid dictionary"),
        ("train.steps=3.5", r"train\.steps: .*integer"),
        ("train.lr=1e400", r"train\.lr: .*finite"),
        ("train.lr=true", r"train\.lr: .*number"),
        ("train.zero_stage=7", r"train\.zero_stage: Input should be 0, 1, 2 or 3 \(received 7\)"),
        ("train.epochs=null", r"train\.epochs"),
        ("generate.types={[a]: b}", r"generate\.types"),
        ("name=", "name: String should match"),
        ("name=../x", "name: String should match"),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Experiment(name="x").with_overrides([override])


def test_an_item_of_any_list_is_reached_by_its_number() -> None:
    items = "generate.engine.options.a=[1, 2]"
    changed = Experiment(name="x").with_overrides([items, "generate.engine.options.a.1=3"])
    assert changed.generate.engine.options == {"a": [1, 3]}
    for part in ("2", "b"):
        with pytest.raises(ConfigError, match=rf"generate\.engine\.options\.a has 2 items, numbered from 0; got {part}"):
            Experiment(name="x").with_overrides([items, f"generate.engine.options.a.{part}=3"])


def test_overrides_leave_the_original_alone_and_follow_each_other() -> None:
    original = {"x": {"items": [1, 2]}, "mode": "a"}
    assert apply_overrides(Outer, original, ["x.items.0=5", "x.items.1=6", "mode=3", "y.items=[7]"]) == {
        "x": {"items": [5, 6]}, "mode": 3, "y": {"items": [7]},
    }  # fmt: skip
    assert original == {"x": {"items": [1, 2]}, "mode": "a"}


class Inner(Config):
    items: tuple[int, ...] = ()


class Outer(Config):
    x: Inner = Inner()
    y: Inner | None = None
    mode: int | str | Literal["z"] = 0


def test_the_type_of_a_part() -> None:
    assert inner_type(dict[str, int], "a") is int
    assert inner_type(tuple[int, str], 1) is str
    assert inner_type(tuple[int, str], 2) is None
    assert inner_type(Inner | None, "items") == tuple[int, ...]
    assert inner_type(int, "a") is None
