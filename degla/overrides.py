"""Overrides: `train.lr=1e-5` on a command line or in a run form, read by the type of the setting."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from degla.config import inner_type, is_model, members, unknown_key
from degla.errors import ConfigError


def apply_overrides(model: type[BaseModel], data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `data`, a dump of `model`, with each override `path.to.key=value` set.

    The key's type says how a value is read: a text is taken literally, so that the revision 12e45678 remains one; lists and
    mappings are YAML; `null` or nothing turns an optional setting off. An override below a setting that is off turns it on.

    Raises:
        ConfigError: an override is malformed, or its key is unknown.
    """
    result = copy.deepcopy(dict(data))
    for override in overrides:
        path, separator, text = override.partition("=")
        parts = path.strip().split(".")
        if not separator or not all(parts):
            raise ConfigError(f"override {override!r}: expected path.to.key=value, such as train.lr=1e-5")
        try:
            _set(model, result, parts, text)
        except ConfigError as error:
            raise ConfigError(f"override {override!r}: {error}") from error
    return result


def merge(model: type[BaseModel], data: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `data`, a dump of `model`, with `given` set; models inside are merged, other values replaced."""
    result = dict(data)
    for key, value in given.items():
        inner = next(filter(is_model, members(inner_type(model, key))), None)
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(inner, result[key], value) if inner and both else value
    return result


def flat(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, by paths such as `train.lr`."""
    result: dict[str, Any] = {}
    for key, value in data.items():
        nested = isinstance(value, Mapping) and value
        result |= flat(value, f"{above}{key}.") if nested else {f"{above}{key}": value}
    return result


def _set(model: type[BaseModel], data: dict[str, Any], path: Sequence[str], text: str) -> None:
    place: Any = model
    node: Any = data
    for depth, part in enumerate(path):
        inner = inner_type(place, part)
        if inner is None or not isinstance(node, (dict, list)):
            raise ConfigError(unknown_key(place, path[:depth], part))
        if isinstance(node, list) and not (part.isdecimal() and int(part) < len(node)):
            raise ConfigError(f"{'.'.join(path[:depth])} has {len(node)} items, numbered from 0; got {part}")
        key: Any = int(part) if isinstance(node, list) else part
        if depth == len(path) - 1:
            node[key] = _read(inner, text)
        elif isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        place, node = inner, node[key]


def _read(place: Any, text: str) -> Any:
    """The value that a text stands for at a place of this type."""
    if not any(member is Any or is_model(member) or get_origin(member) in (dict, list, tuple) for member in members(place)):
        return _scalar(place, text)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value is not valid YAML: {error}") from error
    return _scalar(place, "") if node is None else _value(place, node)


def _value(place: Any, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _value(inner_type(place, key.value) or Any, value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(inner_type(place, number) or Any, item) for number, item in enumerate(node.value)]
    quoted = isinstance(node, yaml.ScalarNode) and node.style
    return node.value if quoted else _scalar(place, node.value)


def _scalar(place: Any, text: str) -> Any:
    """A text, number, truth value or None. (YAML 1.1 reads `on`, 0123, 12:30 and dates as something else than people mean.)"""
    allowed = members(place)
    choices = [choice for member in allowed if get_origin(member) is Literal for choice in get_args(member)]
    kinds = {*allowed, *map(type, choices)}
    if text in ("", "null", "~") and kinds & {Any, NoneType}:
        return None
    if text.lower() in ("true", "false") and kinds & {Any, bool}:
        return text.lower() == "true"
    for number in (int, float) if kinds & {Any, int, float} and "_" not in text else ():
        with suppress(ValueError):
            if math.isfinite(value := number(text)):
                return value
    return text
