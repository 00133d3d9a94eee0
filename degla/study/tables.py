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
    parts += _on_every_checkpoint(results)
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


def _on_every_checkpoint(results: Results) -> Iterator[str]:
    """The changes of all checkpoints side by side. A difference is what is one on each of them, in the same direction."""
    checkpoints, rows, what = results.checkpoints, [], ["composition", "lost"]
    if results.question.line:
        what.append(f"mean composition, 0 to {results.question.front:g} lost")
    if len(checkpoints) == 1:
        return
    for variant in results.question.variants:
        for method in results.question.methods:
            found = [results.found(checkpoint, variant.name, method) for checkpoint in checkpoints]
            changes = [_changes(results, group) for group in found if group is not None]
            if len(changes) < len(checkpoints) or not all(changes):
                continue
            cells = [_agreeing(of_all) for of_all in zip(*changes, strict=True)]
            keys = (method,) if len(_keys(results)) == 1 else (variant.name, method)
            rows.append((*keys, *(text for each in cells for text in each)))
    if rows:
        header = (*_keys(results), *(f"change in {name}, {checkpoint}" for name in what for checkpoint in checkpoints))
        note = "Bold: on each checkpoint a difference in the same direction."
        yield f"### Every checkpoint\n\n{note}\n\n{markdown_table(header, rows, _keys(results))}"


def _changes(results: Results, group: Group) -> list[Spread]:
    """Of composition, points lost and, of a line, the area under its front; empty for what the others are compared with."""
    base = results.baseline(group)
    if base is None:
        return []
    composition = results.study.composition
    changes = [
        results.metric(group, composition) - results.metric(base, composition),
        results.lost(group) - results.lost(base),
    ]
    if results.question.line:
        *_, area = results.fronts(group)
        changes.append(results.fronts(group)[area] - results.fronts(base)[area])
    return changes


def _agreeing(changes: Sequence[Spread]) -> list[str]:
    """A change on each checkpoint, bold if all are differences with one sign."""
    signs = {math.copysign(1, change.value) if change.is_a_difference else 0 for change in changes}
    return [_change(change, bold=len(signs) == 1 and 0 not in signs) for change in changes]


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
    study = results.study
    composition, lost = results.metric(group, study.composition), results.lost(group)
    changes = [_change(change) for change in _changes(results, group)[:2]] or ["", ""]
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
    rows = []
    for group in groups:
        change = "".join(_change(each) for each in _changes(results, group)[2:])
        rows.append((group.method, *(cell(spread.estimate) for spread in results.fronts(group).values()), change))
    header = ("method", *results.fronts(groups[0]), "change in it")
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


def _change(spread: Spread, digits: int = 1, bold: bool | None = None) -> str:
    """`+1.2 (-0.3 to +2.7)`, bold if asked for; not asked, if it is a difference."""
    found = spread.estimate
    text = f"{found.value:+.{digits}f} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
    return f"**{text}**" if (spread.is_a_difference if bold is None else bold) else text
