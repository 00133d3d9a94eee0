"""What the interpolation hands over: `selection.json` (how the model was chosen, on the validation half), `tradeoff.json` (all
candidates on the other half), `tradeoff.md` for people, and the chosen model in `model/`.

The halves are by a hash of the image's id, so that items that share an image stay together. In retrieval the queries are
divided; the answers to choose from stay those of the whole benchmark. Groups of items (What'sUp's pairs) have several images
and are not part of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from degla.artifacts import Artifact
from degla.errors import MissingInputError, first_few
from degla.evaluate import units
from degla.evaluate.config import EvaluateConfig
from degla.evaluate.interpolation.choice import RULE, Choice, Judged, choose, within_budget
from degla.evaluate.interpolation.config import START, InterpolateConfig
from degla.files import write_text_atomic
from degla.markdown import markdown_table
from degla.outcomes import intervals
from degla.outcomes.averages import Average
from degla.outcomes.items import KINDS
from degla.outcomes.measures import Measure, means, measures
from degla.outcomes.outcome import averages_of, read_unit
from degla.outcomes.suites import SUITES
from degla.text_files import read_json
from degla.tradeoff import KEPT_DIR, TRADEOFF_FILE, Candidate, Interval, TradeOffPoint, write_points

logger = logging.getLogger(__name__)

SELECTION_FILE, PAGE_FILE, MODEL_DIR = "selection.json", "tradeoff.md", "model"
VALIDATION, TEST = "validation", "test"
SPLIT = "an item is of the validation half if BLAKE2b of its image's id (8 bytes, as a fraction) is below `validation`"
_README = "README.md"

Found = dict[str, Measure]
"""Path of a metric to the metric of a candidate on one half."""


def check_kept(config: InterpolateConfig, train: Artifact) -> None:
    """Raises MissingInputError if training did not keep a candidate."""
    lacking = [each for each in config.candidates if each.alpha is None and not train.has(each.file)]
    if lacking:
        there = [Path(name).stem for name in train.manifest.files if name.startswith(f"{KEPT_DIR}/")]
        raise MissingInputError(
            f"evaluate.interpolate asks for {lacking[0].name}, whose weights {train.path} does not hold; it has"
            f" {', '.join(there) or 'none but start and end'}. Train with train.keep_weights_every=STEPS (which keeps the teacher"
            f" too, if the objective has one), or leave evaluate.interpolate.steps and .teacher out."
        )


def write_results(
    config: EvaluateConfig, settings: InterpolateConfig, train: Artifact, out_dir: Path, fingerprint: str
) -> list[str]:
    """Judge the candidates by their items, choose one and export it; returns the names of the files.

    Raises:
        MissingInputError: a metric was not measured.
        DataError: the candidates were scored on different items.
    """
    halves = _judge(config, settings, out_dir)
    choice = choose(halves[VALIDATION], settings.budget)
    points = [_point(each, fingerprint, choice) for each in halves[TEST]]
    logger.log(logging.INFO if choice.met else logging.WARNING, "chosen between start and end: %s", choice.reason)
    selection = _selection(settings, halves, choice)
    write_points(out_dir / TRADEOFF_FILE, points)
    write_text_atomic(out_dir / SELECTION_FILE, json.dumps(selection, indent=1))
    write_text_atomic(out_dir / PAGE_FILE, _page(settings, halves, choice))
    model = _export(choice, selection, train, out_dir / MODEL_DIR, fingerprint)
    return [TRADEOFF_FILE, SELECTION_FILE, PAGE_FILE, *(f"{MODEL_DIR}/{name}" for name in model)]


def _judge(config: EvaluateConfig, settings: InterpolateConfig, out_dir: Path) -> dict[str, list[Judged]]:
    """Each half to the candidates on it, the start first."""
    found = {each.name: _measured(config, settings, out_dir, each) for each in settings.candidates}
    halves: dict[str, list[Judged]] = {}
    for half in (VALIDATION, TEST):
        start = found[START][half]
        halves[half] = [_judged(settings, each, start, found[each.name][half], half) for each in settings.candidates]
    return halves


def in_validation(images: pa.ChunkedArray, share: float) -> np.ndarray:
    """Which items are of the validation half, by the id of their image; bool (N,)."""
    ids = images.to_pylist()
    digests = {each: hashlib.blake2b(each.encode(), digest_size=8).digest() for each in set(ids)}
    return np.array([int.from_bytes(digests[each]) / 2**64 < share for each in ids], dtype=bool)


def _measured(config: EvaluateConfig, settings: InterpolateConfig, out_dir: Path, candidate: Candidate) -> dict[str, Found]:
    """Every metric of a candidate on each half."""
    halves: dict[str, Found] = {VALIDATION: {}, TEST: {}}
    for ref in units.scored(config, out_dir):
        items, result = read_unit(out_dir, candidate.name, ref.title)
        units.check_same_items(out_dir, ref, [START, candidate.name])
        averages, items = averages_of(result), items.filter(pc.is_in(items["kind"], pa.array(KINDS)))
        validation = in_validation(items["image"], settings.validation)
        for half, own in ((VALIDATION, validation), (TEST, ~validation)):
            halves[half] |= {f"{ref.title}/{each.path}": each for each in measures(items.filter(pa.array(own)), averages)}
    for found in halves.values():
        found |= {f"{suite.name}/{each.path}": each for suite in SUITES for each in means(suite.averages, found)}
    return halves


def _judged(settings: InterpolateConfig, candidate: Candidate, start: Found, found: Found, half: str) -> Judged:
    over = {"composition": settings.composition, "retention": settings.retention}
    estimates: dict[str, Interval] = {}
    for name, metrics in over.items():
        old, new = (_mean(each, name, metrics, half) for each in (start, found))
        value = intervals.accuracy(new.parts, new.weights, new.images)
        change = intervals.difference(old.parts, new.parts, new.weights, new.images)
        estimates |= {name: _interval(value), f"{name}_change": _interval(change)}
    if found is start:  # the start against itself is no estimate
        zero = Interval(value=0, low=0, high=0)
        estimates |= {f"{name}_change": zero for name in over}
    return Judged(candidate, **estimates)


def _mean(found: Found, name: str, metrics: tuple[str, ...], half: str) -> Measure:
    """The mean of metrics as one."""
    lacking = [metric for metric in metrics if metric not in found]
    if lacking:
        near = sorted(found, key=lambda path: path.split("/")[0] != lacking[0].split("/")[0])
        raise MissingInputError(
            f"evaluate.interpolate.{name}: {lacking[0]!r} was not measured on the {half} half; there are:"
            f" {first_few(near, 12) or 'none'}. What was scored stays; name one of these and run again."
        )
    return means([Average(name, metrics)], found)[-1]


def _interval(estimate: intervals.Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)


def _point(each: Judged, fingerprint: str, choice: Choice) -> TradeOffPoint:
    return TradeOffPoint(
        run=fingerprint,
        candidate=each.candidate.name,
        alpha=each.candidate.alpha,
        step=each.candidate.step,
        composition=each.composition,
        composition_change=each.composition_change,
        retention=each.retention,
        retention_change=each.retention_change,
        chosen=each.candidate == choice.chosen.candidate,
    )


def _selection(settings: InterpolateConfig, halves: Mapping[str, list[Judged]], choice: Choice) -> dict[str, Any]:
    start = halves[VALIDATION][0]
    return {
        "chosen": choice.chosen.candidate.model_dump(),
        "met": choice.met,
        "reason": choice.reason,
        "rule": RULE,
        "split": SPLIT,
        **settings.model_dump(mode="json", include={"composition", "retention", "budget", "validation"}),
        "candidates": [
            {
                **each.candidate.model_dump(),
                "within_budget": each is start or within_budget(each, settings.budget),
                **{name: getattr(each, name).model_dump() for name in _ESTIMATES},
            }
            for each in halves[VALIDATION]
        ],
    }


_ESTIMATES = ("composition", "composition_change", "retention", "retention_change")


def _page(settings: InterpolateConfig, halves: Mapping[str, list[Judged]], choice: Choice) -> str:
    """The candidates for people, chosen on one half and reported on the other."""
    header = ("candidate", "composition", "change", "retention", "change")
    tables = {half: markdown_table(header, [_row(each, choice) for each in halves[half]]) for half in (VALIDATION, TEST)}
    over = {"Composition": settings.composition, "retention": settings.retention}
    metrics = [f"{name}: {', '.join(f'`{metric}`' for metric in own)}" for name, own in over.items()]
    sections = [
        "# Between start and end",
        f"Chosen: {choice.reason}.",
        f"Per cent with the 95 % interval; changes are from the start, on the same items. {'; '.join(metrics)}.",
        f"## The half that was not used to choose ({100 * (1 - settings.validation):g} % of the images)",
        tables[TEST],
        "## The half on which the choice was made",
        tables[VALIDATION],
    ]
    return "\n\n".join(sections) + "\n"


def _row(each: Judged, choice: Choice) -> list[str]:
    name = each.candidate.name if each.candidate != choice.chosen.candidate else f"**{each.candidate.name}** (chosen)"
    cells = [
        f"{100 * value.value:{sign}.1f} ({100 * value.low:{sign}.1f} to {100 * value.high:{sign}.1f})"
        for value, sign in zip((getattr(each, name) for name in _ESTIMATES), ("", "+", "", "+"), strict=True)
    ]
    return [name, *cells]


def _export(choice: Choice, selection: Mapping[str, Any], train: Artifact, folder: Path, fingerprint: str) -> list[str]:
    """Write the chosen model as train writes its own, with how it was chosen in `training.json`; returns the files' names."""
    from degla.evaluate.interpolation.candidates import load_ends, weights_of  # torch
    from degla.models.export import TRAINING_FILE, export

    ends, clip = load_ends(train)
    training = read_json(train.file(f"{MODEL_DIR}/{TRAINING_FILE}"), dict)
    training["lineage"] = {**training.get("lineage", {}), "train": train.fingerprint, "evaluate": fingerprint}
    names = export(folder, clip, weights_of(choice.chosen.candidate, train, ends), {**training, "interpolation": selection})
    if train.has(f"{MODEL_DIR}/{_README}"):
        title, _, rest = train.file(f"{MODEL_DIR}/{_README}").read_text(encoding="utf-8").partition("\n")
        note = f"**Not the model at the end of training, but `{choice.chosen.candidate.name}`**: {choice.reason}."
        write_text_atomic(folder / _README, f"{title}\n\n{note} `{TRAINING_FILE}` has the figures.\n{rest}")
        names.append(_README)
    return names
