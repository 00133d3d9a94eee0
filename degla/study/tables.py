"""A study's results as Markdown: what was chosen, then a section for each question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from degla.markdown import markdown_table
from degla.outcomes.intervals import Estimate
from degla.study.choice import Choices
from degla.study.config import Study
from degla.study.results import Group, Results
from degla.study.runs import END, START
from degla.study.spread import Spread

NOTE = (
    "Per cent, with 95 % intervals over fine-tuning seeds and items together (bootstrap, 10,000 draws; fronts 1,000). *Lost*:"
    " points of retention below the start's on the same items. A change in bold has an interval without 0."
)


def choices_section(study: Study, choices: Choices) -> str:
    """Every trial, validation split, with the chosen one of each method marked."""
    rows = [
        (
            checkpoint,
            name,
            " ".join(trial.overrides),
            f"{trial.composition:.1f}",
            f"{trial.lost:.1f}",
            "chosen" if trial.chosen else "",
        )
        for checkpoint, methods in choices.trials.items()
        for name, trials in methods.items()
        for trial in trials
    ]
    header = ("checkpoint", "method", "trial", "composition", "lost", "")
    text = f"Seed {study.tuning_seed}, validation split; the best composition within {study.budget:g} points lost."
    return f"## Settings\n\n{text}\n\n{markdown_table(header, rows, ('checkpoint', 'method', 'trial', ''))}"


def question_section(results: Results, finished: int, total: int, blind: Mapping[str, float]) -> str:
    """The tables of a question; what is not finished is said.

    Args:
        results: of the question.
        finished: runs of it.
        total: runs that it has.
        blind: variant to the accuracy of a text-only classifier on the training negatives, in per cent, if these differ.
    """
    question = results.question
    parts = [f"## {question.title}"]
    if finished < total:
        parts.append(f"**Unfinished: {finished:,} of {total:,} runs.** Rows appear once every seed of theirs is finished.")
    seeds = ", ".join(map(str, question.seeds))
    parts.append(f"Test split, seeds {seeds}.")
    if blind:
        each = ", ".join(f"{variant}: {accuracy:.1f} %" for variant, accuracy in blind.items())
        parts.append(f"Training negatives that a text-only classifier tells from their captions, by {question.axis}: {each}.")
    for checkpoint in results.study.checkpoints:
        groups = [group for group in results.groups if group.checkpoint == checkpoint]
        if groups:
            parts += [f"### {checkpoint}", _scores(results, groups), *_slopes(results, checkpoint)]
            parts += [_fronts(results, groups)] if question.line else []
    return "\n\n".join(parts)


def _scores(results: Results, groups: Sequence[Group]) -> str:
    names = results.study.metrics
    change = "change in composition", "change in lost"
    header = (
        *_keys(results),
        "composition",
        "lost",
        *change,
        *(label for name, label in names.items() if _beside(results, name)),
    )
    rows = [_start_row(results, groups[0]), *(_score_row(results, group) for group in groups)]
    against = results.question.reference or f"the first row of the method ({results.question.variants[0].name})"
    return markdown_table(header, rows, _keys(results)) + f"\n\nChanges: from {against}."


def _keys(results: Results) -> tuple[str, ...]:
    return ("method",) if len(results.question.variants) == 1 else (results.question.axis or "variant", "method")


def _beside(results: Results, name: str) -> bool:
    return name != results.study.composition


def _start_row(results: Results, group: Group) -> tuple[str, ...]:
    metrics = results.study.metrics
    others = [_cell(results, group, name, START) for name in metrics if _beside(results, name)]
    blank = [""] * (len(_keys(results)) - 1)
    return (*blank, "(start)", cell(results.metric(group, results.study.composition, START).estimate), "0", "", "", *others)


def _score_row(results: Results, group: Group) -> tuple[str, ...]:
    study, base = results.study, results.baseline(group)
    composition, lost = results.metric(group, study.composition), results.lost(group)
    changes = ["", ""]
    if base is not None:
        changes = [_change(composition - results.metric(base, study.composition)), _change(lost - results.lost(base))]
    others = [_cell(results, group, name, END) for name in study.metrics if _beside(results, name)]
    keys = (group.method,) if len(_keys(results)) == 1 else (group.variant, group.method)
    return (*keys, cell(composition.estimate), cell(lost.estimate), *changes, *others)


def _cell(results: Results, group: Group, name: str, model: str) -> str:
    """A metric beside the two; its benchmark may lack files, which the study does without."""
    if all(name in run[model] for run in group.runs):
        return cell(results.metric(group, name, model).estimate)
    return "not scored"


def _slopes(results: Results, checkpoint: str) -> Iterator[str]:
    """How much composition and retention change per unit of the variants' names, over those up to 10."""
    found = []
    for method in results.question.methods:
        slopes = [results.slope(checkpoint, method, name, 10) for name in (results.study.composition, results.study.retention)]
        if all(slopes):
            found.append((method, *(_change(slope, 2) for slope in slopes if slope is not None)))
    if found:
        header = ("method", f"composition per unit of {results.question.axis}", "retention per unit")
        yield "Slopes over 0 to 10 (least squares):\n\n" + markdown_table(header, found)


def _fronts(results: Results, groups: Sequence[Group]) -> str:
    fronts = {group.method: results.fronts(group) for group in groups}
    rows = []
    for group in groups:
        found, base = fronts[group.method], results.baseline(group)
        *_, area = found
        against = fronts.get(base.method) if base is not None else None
        change = _change(found[area] - against[area]) if against else ""
        rows.append((group.method, *(cell(spread.estimate) for spread in found.values()), change))
    header = ("method", *fronts[groups[0].method], "change in it")
    note = (
        "Fronts of the line from start to end (averages of their weights). An interval is open (?) where more than one draw in 40"
        " does not reach the figure."
    )
    return f"{note}\n\n{markdown_table(header, rows)}"


def cell(found: Estimate) -> str:
    """`82.1 (80.9 to 83.2)`."""
    if math.isinf(found.value):
        return "not reached"
    low, high = ("?" if math.isinf(end) else f"{end:.1f}" for end in (found.low, found.high))
    return f"{found.value:.1f} ({low} to {high})"


def _change(spread: Spread, digits: int = 1) -> str:
    found = spread.estimate
    text = f"{found.value:+.{digits}f} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
    return f"**{text}**" if spread.is_a_difference else text
