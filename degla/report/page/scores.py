"""Scores of all models, and the change between any two of them, as the page's script takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from degla.outcomes import intervals
from degla.outcomes.averages import Average
from degla.outcomes.compare import side_by_side
from degla.outcomes.intervals import Estimate
from degla.outcomes.items import CHOICE, CLASSIFICATION, IMAGE_RETRIEVAL, LINEAR_PROBE, MATCH_GROUP, TEXT_RETRIEVAL
from degla.outcomes.measures import Measure, means
from degla.outcomes.outcome import Outcome
from degla.outcomes.suites import IMAGENET_SHIFTS, SUITES, ZERO_SHOT_METRICS
from degla.report.page.verdict import FamilyChange, verdict

MOST_PAIRS = 15
"""Of six models all; of more, those with the first or the last model."""

FAMILIES = ("composition", "word order", "zero-shot", "distribution shifts", "retrieval", "linear probe")
"""Families of benchmarks, in the order of the page."""

_BY_KIND = {CLASSIFICATION: "zero-shot", LINEAR_PROBE: "linear probe", TEXT_RETRIEVAL: "retrieval", IMAGE_RETRIEVAL: "retrieval"}


@dataclass(frozen=True)
class _Benchmark:
    """What the page knows of a benchmark."""

    title: str
    family: str
    main: str
    """Path of the metric that stands for it."""
    over: tuple[str, ...]
    """Metrics whose mean is `main`, if no average of the benchmark has that name."""
    sets: tuple[str, ...]


def score_data(outcomes: Sequence[Outcome], models: Sequence[str], names: Mapping[str, str]) -> dict[str, Any]:
    """The scores as JSON for the script.

    Args:
        outcomes: of all models on all benchmarks.
        models: their names, in order.
        names: metric path to the name that the page shows; these metrics stand first, and alone, among the gains and losses.
            Empty: the metric that stands for each benchmark.

    Returns:
        `metrics` (path, benchmark, family, name, main: whether it stands for its benchmark, part: whether it is of one set,
        chance), `scores` (for each model and metric value, low, high, items, missing items, or null), `pairs` (by "0-1" the
        changes value, low, high, or null, and the verdict in both directions), `rows` (numbers of the metrics among the gains
        and losses) and `families`. All shares in [0, 1].
    """
    described = {title: _describe(title, [each for each in outcomes if each.benchmark == title]) for title in _titles(outcomes)}
    found = {model: _measures([each for each in outcomes if each.model == model], described) for model in models}
    first = {path: measure for own in reversed(found.values()) for path, measure in own.items()}
    paths = list(dict.fromkeys(path for own in found.values() for path in own))
    rows = [path for path in names if path in first] or [f"{each.title}/{each.main}" for each in described.values()]
    return {
        "models": list(models),
        "families": [family for family in FAMILIES if any(each.family == family for each in described.values())],
        "metrics": [_metric(path, first[path], described, names) for path in paths],
        "scores": [[_score(found[model].get(path)) for path in paths] for model in models],
        "pairs": {f"{i}-{j}": _pair(outcomes, models[i], models[j], paths, described) for i, j in _pairs(len(models))},
        "rows": [paths.index(path) for path in rows if path in first],
    }


def main_metric(title: str, outcomes: Sequence[Outcome]) -> str:
    """Path of the metric that stands for a benchmark, given its outcomes."""
    return _describe(title, outcomes).main


def family_of(title: str, set_name: str, kind: str) -> str:
    """The family of a benchmark, by the kind of its items."""
    if title in IMAGENET_SHIFTS:
        return "distribution shifts"
    if kind == CHOICE and "order" in set_name:
        return "word order"
    return _BY_KIND.get(kind, "composition")


def _titles(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(each.benchmark for each in outcomes))


def _pairs(number: int) -> list[tuple[int, int]]:
    every = list(combinations(range(number), 2))
    return every if len(every) <= MOST_PAIRS else [(i, j) for i, j in every if i == 0 or j == number - 1]


def _describe(title: str, outcomes: Sequence[Outcome]) -> _Benchmark:
    """The family and the main metric: what papers report of it, in the order of `_choices`."""
    outcome = max(outcomes, key=lambda each: len(each.averages))
    kinds = list(dict.fromkeys(zip(outcome.items["set"].to_pylist(), outcome.items["kind"].to_pylist(), strict=True)))
    set_name, kind = kinds[0]
    sets = tuple(dict.fromkeys(name for name, _ in kinds))
    family = family_of(title, set_name, kind)
    paths = [each.path for each in outcome.measures()]
    if family == "retrieval":
        over = tuple(path for path in paths if path.endswith("_recall@1") and path.startswith(f"{set_name}/"))
        own = next((path for path in paths if path.endswith("/recall@1")), "")
        return _Benchmark(title, family, own or ("mean_of_directions/recall@1" if len(over) > 1 else over[0]), over, sets)
    main = next((path for choice in _choices(title, kinds) for path in paths if choice(path)), paths[0])
    return _Benchmark(title, family, main, (), sets)


def _choices(title: str, kinds: Sequence[tuple[str, str]]) -> list[Any]:
    if any(kind == MATCH_GROUP for _, kind in kinds):
        return [lambda path: path == "all_items/group_accuracy", lambda path: path.endswith("/group_accuracy")]
    metric = ZERO_SHOT_METRICS.get(title, "accuracy")
    return [
        lambda path: path.startswith("mean_of_") and path.endswith("accuracy"),
        lambda path: path == "all_items/accuracy",
        lambda path: path.endswith(f"/{metric}"),
    ]


def _measures(outcomes: Sequence[Outcome], described: Mapping[str, _Benchmark]) -> dict[str, Measure]:
    """Metric path to measure of one model on all its items, with the averages over several benchmarks."""
    found = {f"{each.benchmark}/{made.path}": made for each in outcomes for made in each.measures()}
    for suite in SUITES:
        found |= {f"{suite.name}/{each.path}": each for each in means(suite.averages, found)}
    return _with_mains(found, described)


def _with_mains(found: Mapping[str, Measure], described: Mapping[str, _Benchmark]) -> dict[str, Measure]:
    """With the metrics that stand for benchmarks, where they are means that the benchmark does not have by itself."""
    mains = [
        Average(f"{each.title}/{each.main}", tuple(f"{each.title}/{path}" for path in each.over)) for each in described.values()
    ]
    wanted = [each for each in mains if each.over and each.path not in found]
    return {**found, **{each.path: each for each in means(wanted, found)}}


def _pair(
    outcomes: Sequence[Outcome], first: str, second: str, paths: Sequence[str], described: Mapping[str, _Benchmark]
) -> dict[str, Any]:
    """Changes of the metrics on the items that both models were scored on, and the verdict there and back."""
    titles = {each.benchmark for each in outcomes if each.model == first}
    shared = titles & {each.benchmark for each in outcomes if each.model == second}
    own = [each for each in outcomes if each.model in (first, second) and each.benchmark in shared]
    models = side_by_side(own).models if own else {first: {}, second: {}}
    old, new = (_with_mains(models[model], described) for model in (first, second))
    changes = {path: _difference(old[path], new[path]) for path in old if path in new}
    families = []
    for family in FAMILIES:
        members = [each for each in described.values() if each.family == family and f"{each.title}/{each.main}" in changes]
        mean = Average(family, tuple(f"{each.title}/{each.main}" for each in members))
        if members:
            sides = [means([mean], {path: side[path] for path in mean.over})[0] for side in (old, new)]
            of_each = [(each.title.replace("_", " "), changes[f"{each.title}/{each.main}"]) for each in members]
            families.append(FamilyChange(family, _difference(*sides), of_each))
    back = [FamilyChange(each.name, _turned(each.change), [(n, _turned(c)) for n, c in each.benchmarks]) for each in families]
    return {
        "change": [_triple(changes[path]) if path in changes else None for path in paths],
        "verdict": verdict(families),
        "back": verdict(back),
    }


def _difference(old: Measure, new: Measure) -> Estimate:
    return intervals.difference(old.parts, new.parts, new.weights, new.images)


def _turned(change: Estimate) -> Estimate:
    return Estimate(-change.value, -change.high, -change.low)


def _metric(path: str, measure: Measure, described: Mapping[str, _Benchmark], names: Mapping[str, str]) -> dict[str, Any]:
    title, _, rest = path.partition("/")
    known = described.get(title)
    chance = None if measure.chance != measure.chance else round(measure.chance, 5)
    return {
        "path": path,
        "benchmark": title,
        "family": known.family if known else "averages",
        "name": names.get(path, f"{title} {rest}".replace("_", " ").replace("/", ", ")),
        "rest": rest,
        "main": known is not None and rest == known.main,
        "part": known is not None and rest.rpartition("/")[0] in known.sets,
        "chance": chance,
    }


def _score(measure: Measure | None) -> list[float] | None:
    if measure is None:
        return None
    return [*_triple(intervals.accuracy(measure.parts, measure.weights, measure.images)), measure.items, measure.missing]


def _triple(estimate: Estimate) -> list[float]:
    return [round(each, 5) for each in (estimate.value, estimate.low, estimate.high)]
