"""Configuration: frozen models that refuse unknown keys, read from YAML, and what their types say of a path such as `train.lr`.

Knows no stage. A field's docstring is its help text in Prefect's run form.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from degla.errors import ConfigError

NO_EFFECT: dict[str, Any] = {"affects_result": False}
"""Pass as `Field(..., json_schema_extra=NO_EFFECT)` if a setting cannot change the result by more than rounding (worker counts,
batch sizes, logging): it stays out of the fingerprint."""


def _schema_for_people(schema: dict[str, Any]) -> None:
    """Make a JSON Schema validator name the known keys if it refuses one, and show `refresh` last in a form."""
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
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        json_schema_extra=_schema_for_people,
    )

    retired: ClassVar[Mapping[str, str]] = {}
    """Settings that are no more, and what to do instead."""


class StageConfig(Config):
    """Base of a stage's configuration; the class states the stage, the version of its code and what it needs."""

    stage: ClassVar[str]
    """The stage's name, a verb: `prepare`."""
    version: ClassVar[int]
    """Raised whenever the stage's code changes what it makes; part of the fingerprint."""
    needs: ClassVar[tuple[str, ...]]
    """The stages whose artifacts it reads."""

    refresh: int = Field(0, ge=0)
    """Counter that `refresh=true` raises to make a new artifact beside the existing one. Rarely set by hand."""

    def raw_inputs(self) -> dict[str, str]:
        """Files, folders and cards that the stage reads besides artifacts: name to checksum.

        Raises:
            InputError: something that the configuration names is missing.
        """
        return {}

    def estimate(self, root: Path) -> str:
        """What the stage will need at least, for people; empty if unknown. Asked for before it runs.

        Args:
            root: the artifact root.

        Raises:
            InputError: the machine or the disk surely does not have it.
        """
        return ""

    def unused(self) -> set[str]:
        """Fields that the other settings switch off; they stay out of the fingerprint."""
        return set()


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def effective(config: BaseModel) -> dict[str, Any]:
    """The settings that enter the fingerprint, because they can change the result, as JSON values."""
    kept: dict[str, Any] = {}
    unused = config.unused() if isinstance(config, StageConfig) else set()
    for name, field in type(config).model_fields.items():
        extra = field.json_schema_extra
        if name in unused or (isinstance(extra, dict) and extra.get("affects_result") is False):
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
    """Read a YAML mapping. Raises ConfigError if the file is missing, broken or no mapping."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {type(data).__name__}.")
    return data


def validate(model: type[ConfigT], data: Mapping[str, Any], source: str) -> ConfigT:
    """Build `model` from `data`. Raises ConfigError naming every wrong path, and the nearest known key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(model, details) for details in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


def _explain(model: type[BaseModel], details: ErrorDetails) -> str:
    path, place = [], model
    for part in details["loc"]:
        inner = inner_type(place, part)
        if inner is not None:  # else pydantic's label of a union's branch
            path.append(str(part))
            place = inner
    if details["type"] == "extra_forbidden":
        return unknown_key(place, path, str(details["loc"][-1]))
    where = ".".join(path)
    if details["type"] == "value_error":  # two settings that contradict each other
        return ": ".join(filter(None, [where, str(details["ctx"]["error"])]))
    return f"{where}: {details['msg']} (received {details['input']!r})"


def unknown_key(place: Any, path: Sequence[str], key: str) -> str:
    """The message for a key that is not at this place: the nearest known key, or what the place takes."""
    where, wrong = ".".join(path), ".".join([*path, key])
    models = [member for member in members(place) if is_model(member)]
    for model in models:
        if key in getattr(model, "retired", {}):
            return f"{wrong!r} is no setting any more: {model.retired[key]}"
    known = {name.lower(): name for model in models for name in sorted(model.model_fields)}
    if not known:
        return f"{where!r} has no key {key!r}: " + ("expected the number of an item" if inner_type(place, 0) else "it is a value")
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.4)
    hint = f"did you mean {'.'.join([*path, known[near[0]]])!r}?" if near else f"known keys: {', '.join(known.values())}"
    return f"unknown key {wrong!r}; {hint}"


def members(place: Any) -> list[Any]:
    """The types that a union allows; the type itself if it is none."""
    if get_origin(place) is Annotated:
        return members(get_args(place)[0])
    if get_origin(place) in (Union, types.UnionType):
        return [member for inner in get_args(place) for member in members(inner)]
    return [place]


def inner_type(place: Any, part: str | int) -> Any:
    """The type of what lies under a key, or an item's number, at a place of this type; None if there is no such key."""
    for member in members(place):
        kind, inner = get_origin(member) or member, get_args(member)
        if is_model(member) and part in member.model_fields:
            return member.model_fields[part].annotation
        if kind is Any:
            return Any
        if kind is dict:
            return inner[1] if inner else Any
        if kind in (list, tuple) and str(part).isdecimal():
            varies = kind is tuple and inner[-1] is not Ellipsis
            return inner[0] if not varies else inner[int(part)] if int(part) < len(inner) else None
    return None


def is_model(member: Any) -> bool:
    """Whether a type is a pydantic model."""
    return isinstance(member, type) and issubclass(member, BaseModel)
