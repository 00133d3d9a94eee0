"""The run form of a deployment: a box for the settings of each stage, with help, ranges, choices and the preset's values.

A box of the pipeline shows the settings that people change most; the form of a stage shows all of its own, those first. A box
takes any setting of its stage, and a setting that is not given keeps the preset's value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter
from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

from degla.catalog import card_names
from degla.config import StageConfig
from degla.experiments.experiment import Experiment, StageName
from degla.miniworld import CLIP_DIRS
from degla.models.architecture import list_architectures

Schema = dict[str, Any]

COMMON: Mapping[StageName, tuple[str, ...]] = {
    "prepare": ("dataset", "captions", "images", "limit"),
    "generate": ("attempts", "types", "per_caption", "max_per_type", "seed"),
    "filter": ("max_per_type", "min_kept_fraction"),
    "train": ("model", "objective", "epochs", "steps", "batch_size", "lr", "ranks", "seed"),
    "evaluate": ("benchmarks",),
    "report": ("title",),
}
"""The settings that people change most; a form shows them first."""


def with_form(run: Callable[..., Any], stages: Sequence[StageName], preset: Experiment | None) -> Callable[..., Any]:
    """Give a flow's function the signature that Prefect makes the run form from, with a box per stage for its `**settings`.

    Args:
        run: takes `experiment` first, and the settings of stages as keywords.
        stages: those with a box.
        preset: the deployment's, whose values the boxes begin with; without one there is no form, as for a flow used in Python.
    """
    signature = inspect.signature(run, eval_str=True)
    given = [each for each in signature.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    if preset is not None:
        given[0] = given[0].replace(default=preset.name, annotation=Literal[preset.name])
    boxes = [_box(stage, preset, len(stages) == 1) if preset else _PLAIN.replace(name=stage) for stage in stages]
    run.__signature__ = signature.replace(parameters=[*given, *boxes])  # type: ignore[attr-defined]
    return run


_PLAIN = Parameter("stage", Parameter.KEYWORD_ONLY, default={}, annotation=dict[str, Any])


def _box(stage: StageName, experiment: Experiment, whole: bool) -> Parameter:
    config = experiment.stage_config(stage)
    schema = _with_choices(stage, _schema(config))
    shown = dict.fromkeys([*COMMON.get(stage, ()), *(schema["properties"] if whole else ())])
    shown.pop("refresh", None)  # a counter, which the parameter of this name raises
    properties = {name: schema["properties"][name] for name in shown}
    box = {**schema, "properties": properties, "description": Experiment.model_fields[stage].description}
    values = config.model_dump(mode="json")
    default = {name: _short(name, values[name]) for name in shown}
    return Parameter(stage, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[dict[str, Any], WithJsonSchema(box)])


def _schema(config: StageConfig) -> Schema:
    """The schema of a stage's settings without references, which Prefect would look for elsewhere, each called by its name."""
    schema = type(config).model_json_schema()
    definitions = schema.pop("$defs", {})

    def whole(node: Any) -> Any:
        if isinstance(node, list):
            return [whole(each) for each in node]
        if not isinstance(node, dict):
            return node
        if reference := node.get("$ref"):
            node = {**definitions[reference.rpartition("/")[2]], **{key: each for key, each in node.items() if key != "$ref"}}
        node = {key: whole(each) for key, each in node.items()}
        if properties := node.get("properties"):
            node["properties"] = {name: {**each, "title": name} for name, each in properties.items()}
        return node

    return whole(schema)


def _with_choices(stage: str, schema: Schema) -> Schema:
    """The schema with the known names to choose from; any other is taken too."""
    own = schema["properties"]
    if stage == "prepare":
        own["dataset"] = _known(own["dataset"], card_names("dataset"), "a card", "the file of a card")
    if stage == "train":
        model = own["model"]["properties"]
        names = [*CLIP_DIRS, "small-photo-clip", *list_architectures()]
        model["architecture"] = _known(model["architecture"], names, "known", "another")
    if stage == "evaluate":
        cards = {"title": "cards", "type": "array", "items": {"type": "string", "enum": card_names("benchmark")}}
        item = {"anyOf": [own["benchmarks"]["items"], {"type": "string", "title": "a card or its file"}]}
        others = {"title": "with their own paths", "type": "array", "items": item}
        own["benchmarks"] = {**_text(own["benchmarks"]), "anyOf": [cards, others]}
    return schema


def _known(schema: Schema, names: Iterable[str], known: str, other: str) -> Schema:
    return {
        **_text(schema),
        "anyOf": [{"title": known, "type": "string", "enum": list(names)}, {"title": other, "type": "string"}],
    }


def _text(schema: Schema) -> Schema:
    return {key: each for key, each in schema.items() if key in ("title", "description", "default")}


def _short(name: str, value: Any) -> Any:
    """Benchmarks by name, if they are no more than that."""
    if name != "benchmarks":
        return value
    return [each["name"] if not any(each[key] for key in ("paths", "options", "label")) else each for each in value]
