"""The run form: what Prefect makes of a deployment's flow, and what the server refuses by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from degla.catalog import load_card
from degla.experiments.experiment import STAGES, load_experiment
from flows import deployments
from flows.form import COMMON


def form(deployment: str) -> dict[str, Any]:
    return parameter_schema(getattr(deployments, deployment)).model_dump()


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    return form("coco_pipeline")["properties"]


def test_the_pipelines_form_has_the_common_settings_with_the_presets_values(pipeline: dict[str, Any]) -> None:
    inputs = ["experiment", "overrides", "stages", "refresh", "dry_run", *STAGES]
    assert sorted(pipeline, key=lambda name: pipeline[name]["position"]) == inputs
    coco = load_experiment("coco").model_dump(mode="json")
    for stage in STAGES:
        box = pipeline[stage]
        assert list(box["properties"]) == list(COMMON[stage])
        assert all(each["description"] for each in box["properties"].values())
        expected = {name: coco[stage][name] for name in COMMON[stage] if name != "benchmarks"}
        assert {name: value for name, value in box["default"].items() if name != "benchmarks"} == expected
    assert pipeline["evaluate"]["default"]["benchmarks"] == [each["name"] for each in coco["evaluate"]["benchmarks"]]
    assert "$ref" not in json.dumps({stage: pipeline[stage] for stage in STAGES})  # Prefect would look for them elsewhere


def test_every_setting_of_a_section_is_called_by_its_name() -> None:
    def titles(schema: Any) -> list[tuple[str, str | None]]:
        if isinstance(schema, list):
            return [pair for each in schema for pair in titles(each)]
        if not isinstance(schema, dict):
            return []
        own = schema.get("properties") or {}
        return [(name, each.get("title")) for name, each in own.items()] + titles([*schema.values()])

    found = titles([form(f"coco_{stage}")["properties"][stage] for stage in STAGES])
    assert ("preprocessing", "preprocessing") in found  # the default UI calls it by its key, v2 called it "Field"
    assert all(name == title for name, title in found)


def test_what_is_known_can_be_chosen(pipeline: dict[str, Any]) -> None:
    dataset = pipeline["prepare"]["properties"]["dataset"]["anyOf"][0]["enum"]
    assert {load_card(name).kind for name in dataset} == {"dataset"}
    benchmarks = pipeline["evaluate"]["properties"]["benchmarks"]["anyOf"][0]["items"]["enum"]
    assert {load_card(name).kind for name in benchmarks} == {"benchmark"}
    architectures = pipeline["train"]["properties"]["model"]["properties"]["architecture"]["anyOf"][0]["enum"]
    assert {"miniworld", "small-photo-clip", "ViT-B-32-quickgelu"} <= set(architectures)
    assert "swap_nouns" in pipeline["generate"]["properties"]["types"]["items"]["enum"]


def test_a_stages_form_has_all_of_its_settings_the_common_first() -> None:
    box = form("demo_train")["properties"]["train"]
    assert list(box["properties"])[: len(COMMON["train"])] == list(COMMON["train"])
    assert set(load_experiment("demo").model_dump()["train"]) - set(box["properties"]) == {"refresh"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"train": {"lr": 0.5}, "overrides": ["prepare.limit=3"]}, None),
        ({"train": {"model": {"architecture": "local-dir:mine"}}}, None),
        ({"train": {"lrr": 1}}, "'train'. Failure reason: 'lrr' is not one of"),
        ({"train": {"batch_size": 1}}, "'train.batch_size'. Failure reason: 1 is less than the minimum of 2"),
        ({"experiment": {"train": {"lr": 1}}}, "'experiment'. Failure reason: 'demo' was expected"),
    ],
)
def test_the_server_refuses_what_is_wrong(given: dict[str, Any], reason: str | None) -> None:
    if reason is None:
        validate(given, form("demo_train"), raise_on_error=True)
    else:
        with pytest.raises(ValidationError, match=reason):
            validate(given, form("demo_train"), raise_on_error=True)


def test_a_benchmark_is_a_card_or_has_paths_of_its_own() -> None:
    given = {"evaluate": {"benchmarks": ["sugarcrepe", {"name": "cifar10", "label": "theirs"}, "mine/mine.yaml"]}}
    validate(given, form("coco_pipeline"), raise_on_error=True)
