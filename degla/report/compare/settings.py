"""The settings that differ between runs, over everything that their artifacts were made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from degla.artifacts import Manifest
from degla.report.compare.runs import Run

ABSENT = "-"
_CHECKSUM_SHOWN = 8


@dataclass(frozen=True)
class Setting:
    """A setting, version or input that is not the same in all runs."""

    name: str
    """Such as `train.lr`, `train (version)`, `evaluate (input sugarcrepe)`."""
    values: Mapping[str, str]
    """Run to its value; `-` if the run has no such setting. Of an input, the start of its checksum."""


def settings_that_differ(runs: Sequence[Run]) -> tuple[Setting, ...]:
    """What differs between the runs that have a lineage, in the order of the stages' settings."""
    known = {run.name: dict(_values(run.lineage)) for run in runs if run.lineage}
    names = dict.fromkeys(name for values in known.values() for name in values)
    found = [Setting(name, {run: values.get(name, ABSENT) for run, values in known.items()}) for name in names]
    return tuple(each for each in found if len(set(each.values.values())) > 1)


def _values(lineage: Mapping[str, Manifest]) -> Iterator[tuple[str, str]]:
    for stage, manifest in reversed(list(lineage.items())):
        yield f"{stage} (version)", str(manifest.stage_version)
        yield from _flat(stage, manifest.config)
        for name, checksum in manifest.raw.items():
            yield f"{stage} (input {name})", checksum[:_CHECKSUM_SHOWN]
        for name, version in manifest.versions.items():
            yield f"{stage} ({name})", version


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A setting and those inside it; a list of groups is numbered by what names its members."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list) and value and all(isinstance(each, dict) and "name" in each for each in value):
        for each in value:
            yield from _flat(f"{name}[{each['name']}]", {key: inner for key, inner in each.items() if key != "name"} or True)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)
