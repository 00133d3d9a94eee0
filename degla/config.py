"""Configuration: frozen models that refuse unknown keys, YAML presets, and `a.b=c` overrides.

Knows nothing of any stage. `degla.experiments.experiment` puts the stages' configs together; a field's docstring is its help
text in Prefect's run form.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from degla.errors import ConfigError

NO_EFFECT: dict[str, Any] = {"affects_result": False}
"""Pass as `Field(..., json_schema_extra=NO_EFFECT)`: the setting cannot change the result, so it stays out of the
fingerprint (worker counts, logging)."""


def _schema_for_people(schema: dict[str, Any]) -> None:
    """Let a JSON Schema validator name the known keys where it refuses one, and show `refresh` last in a form."""
    properties = schema.get("properties", {})
    schema.pop("additionalProperties", None)
    schema["propertyNames"] = {"enum": sorted(properties)}
    if "refresh" in properties:
        properties["refresh"] = properties.pop("refresh")


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused, field docstrings kept as descriptions."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        json_schema_extra=_schema_for_people,
    )


class StageConfig(Config):
    """Base of a stage's configuration; the class says which stage it is, its code's version and what it needs."""

    stage: ClassVar[str]
    """The stage's name, a verb: `prepare`."""
    version: ClassVar[int]
    """Raised whenever the stage's code changes what it makes; part of the fingerprint."""
    needs: ClassVar[tuple[str, ...]]
    """The stages whose artifacts it reads."""

    refresh: int = Field(0, ge=0)
    """Raised by `refresh=true` to make the stage anew beside the artifact that exists. Rarely set by hand."""

    def raw_inputs(self) -> dict[str, str]:
        """What the stage reads besides artifacts (files, folders, cards): name to checksum.

        Raises:
            InputError: something named in the configuration is missing.
        """
        return {}


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def effective(config: BaseModel) -> dict[str, Any]:
    """The settings that can change the result, as JSON values: what enters a fingerprint."""
    kept: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("affects_result") is False:
            continue
        kept[name] = _plain(getattr(config, name))
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return effective(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises ConfigError where the file is missing, broken or not a mapping."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {type(data).__name__}.")
    return data


def apply_overrides(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `data` with each override `path.to.key=value` set; values are read as YAML.

    >>> apply_overrides({"train": {"lr": 1}}, ["train.lr=1e-5", "train.steps=3"])
    {'train': {'lr': 1e-05, 'steps': 3}}
    """
    result = _copy(data)
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator or not path.strip():
            raise ConfigError(f"override {override!r}: expected path.to.key=value, for instance train.lr=1e-5")
        *parents, key = path.strip().split(".")
        node = result
        for parent in parents:
            child = node.get(parent)
            if child is None:  # not there, or an optional part that is switched off
                child = node[parent] = {}
            if not isinstance(child, dict):
                raise ConfigError(f"override {override!r}: {parent!r} is a value, it has no keys below it")
            node = child
        node[key] = _parse_value(text, override)
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return list(value) if isinstance(value, list) else value


def _parse_value(text: str, override: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML: {error}") from error
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-5 (no dot) as text
        except ValueError:
            return value
    return value


def validate(model: type[ConfigT], data: Mapping[str, Any], source: str) -> ConfigT:
    """Build `model` from `data`. Raises ConfigError naming every wrong path, and the nearest known key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(model, details) for details in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


def _explain(model: type[BaseModel], details: ErrorDetails) -> str:
    location = [part for part in details["loc"] if not _is_branch_label(part)]
    path = ".".join(str(part) for part in location)
    if details["type"] == "value_error":  # two settings that do not go together
        return ": ".join(filter(None, [path, str(details["ctx"]["error"])]))
    if details["type"] != "extra_forbidden":
        return f"{path}: {details['msg']} (received {details['input']!r})"
    known = _known_keys(model, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
    prefix = ".".join(str(part) for part in location[:-1])
    hint = f"did you mean {'.'.join(filter(None, [prefix, near[0]]))!r}?" if near else f"known keys: {', '.join(known)}"
    return f"unknown key {path!r}; {hint}"


def _is_branch_label(part: object) -> bool:
    # pydantic puts the name of a tried union branch into the location
    return isinstance(part, str) and ("[" in part or part[:1].isupper())


def _known_keys(model: type[BaseModel], location: list[Any]) -> list[str]:
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        current = inner
    return sorted(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, dict):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None
