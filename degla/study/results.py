"""The results of a study: every finished run's metrics, grouped by what is compared, with spreads over seeds and items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from degla.outcomes.measures import Measure
from degla.study.config import Question, Study
from degla.study.fronts import Point, composition_at, lost_at, mean_composition
from degla.study.runs import END, START, Run
from degla.study.spread import Draws, Spread

Measured = Mapping[str, Mapping[str, Measure]]
"""Model to metric to measure, of one run."""

FRONT_DRAWS = 1_000
"""Draws whose hull is made, of the front's interval: a hull is no vector operation."""


@dataclass(frozen=True)
class Group:
    """The runs of a method and variant that differ in their seed alone."""

    checkpoint: str
    variant: str
    method: str
    runs: tuple[Measured, ...]
    """In the order of the seeds."""


@dataclass
class Results:
    """The finished groups of a question, and the figures made of them."""

    study: Study
    question: Question
    groups: list[Group]
    """Complete ones only, in the order of the question."""
    _draws: dict[str, Draws] = field(default_factory=dict)
    _spreads: dict[tuple[str, ...], Spread] = field(default_factory=dict)
    _fronts: dict[tuple[str, ...], dict[str, Spread]] = field(default_factory=dict)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Those that the question is asked of."""
        return self.question.checkpoints or tuple(self.study.checkpoints)

    def found(self, checkpoint: str, variant: str, method: str) -> Group | None:
        """A complete group; None while one of its runs is unfinished."""
        wanted = (checkpoint, variant, method)
        return next((each for each in self.groups if (each.checkpoint, each.variant, each.method) == wanted), None)

    def metric(self, group: Group, name: str, model: str = END) -> Spread:
        """A metric of a group's models, in points. Kept, as fronts ask for it again: over 260,000 items it takes seconds."""
        key = (group.checkpoint, group.variant, group.method, name, model)
        if key not in self._spreads:
            measures = [run[model][name] for run in group.runs]
            self._spreads[key] = self._of(name, measures[0]).spread(measures)
        return self._spreads[key]

    def lost(self, group: Group, model: str = END) -> Spread:
        """Points of retention below the start's, on the same items."""
        return self.metric(group, self.study.retention, START) - self.metric(group, self.study.retention, model)

    def points(self, group: Group) -> list[tuple[str, Spread, Spread]]:
        """Model, points lost and composition of each model between start and end."""
        models = [START, *sorted((name for name in group.runs[0] if name.startswith("interpolated_")), key=_alpha), END]
        return [(model, self.lost(group, model), self.metric(group, self.study.composition, model)) for model in models]

    def front(self, group: Group, figure: Callable[[Sequence[Point]], float]) -> Spread:
        """A figure of a group's front, from the first FRONT_DRAWS draws. A draw in which it is not reached is infinite."""
        models = self.points(group)
        value = figure([(lost.value, height.value) for _, lost, height in models])
        drawn = np.array([(lost.draws[:FRONT_DRAWS], height.draws[:FRONT_DRAWS]) for _, lost, height in models])
        draws = np.array([figure([(lost, height) for lost, height in drawn[:, :, draw]]) for draw in range(FRONT_DRAWS)])
        return Spread(value, draws)

    def fronts(self, group: Group) -> dict[str, Spread]:
        """The figures by which fronts are compared, the area last. Kept, as a hull of each draw takes seconds."""
        key = (group.checkpoint, group.variant, group.method)
        if key not in self._fronts:
            self._fronts[key] = self._fronts_of(group)
        return self._fronts[key]

    def _fronts_of(self, group: Group) -> dict[str, Spread]:
        question = self.question
        figures: dict[str, Callable[[Sequence[Point]], float]] = {
            **{f"composition, {lost:g} lost": partial(composition_at, lost=lost) for lost in question.lost},
            **{f"lost at {height:g}": partial(lost_at, composition=height) for height in question.reached},
            f"mean composition, 0 to {question.front:g} lost": partial(mean_composition, most=question.front),
        }
        return {name: self.front(group, figure) for name, figure in figures.items()}

    def baseline(self, group: Group) -> Group | None:
        """What a group is compared with: the reference method, or the same method's first variant; None for that one itself."""
        reference = self.question.reference
        first = self.question.variants[0].name
        wanted = (group.variant, reference) if reference else (first, group.method)
        found = self.found(group.checkpoint, *wanted)
        return None if found is group else found

    def slope(self, checkpoint: str, method: str, name: str, most: float) -> Spread | None:
        """The least-squares slope of a metric over variants whose names are numbers up to `most`; None without two of them."""
        groups = [each for each in self.groups if (each.checkpoint, each.method) == (checkpoint, method)]
        at = {place: each for each in groups if (place := _number(each.variant)) is not None and place <= most}
        if len(at) < 2:
            return None
        x = np.array(list(at))
        weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        spreads = [self.metric(each, name) for each in at.values()]
        value = float(weights @ [spread.value for spread in spreads])
        return Spread(value, weights @ np.stack([spread.draws for spread in spreads]))

    def _of(self, name: str, like: Measure) -> Draws:
        if name not in self._draws:
            self._draws[name] = Draws(name, like)
        return self._draws[name]


def grouped(study: Study, title: str, finished: Iterable[tuple[Run, Measured]]) -> Results:
    """The results of a question: its groups of which every seed is finished."""
    question = study.questions[title]
    runs = {(run.checkpoint, run.variant, run.method, run.seed): found for run, found in finished if run.question == title}
    groups = []
    for checkpoint in study.checkpoints:
        for variant in question.variants:
            for method in question.methods:
                found = [runs.get((checkpoint, variant.name, method, seed)) for seed in question.seeds]
                whole = tuple(each for each in found if each is not None)
                if len(whole) == len(question.seeds):
                    groups.append(Group(checkpoint, variant.name, method, whole))
    return Results(study, question, groups)


def _alpha(model: str) -> float:
    return float(model.removeprefix("interpolated_"))


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
