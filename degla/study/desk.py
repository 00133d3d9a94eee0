"""The folder of a study, `<root>/studies/<name>/`: its runs as files, what was chosen, and its tables and plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from degla.artifacts import MANIFEST, Artifact
from degla.errors import MissingInputError
from degla.experiments.experiment import load_experiment
from degla.files import write_text_atomic
from degla.outcomes.intervals import weighted_mean
from degla.study import plots, tables
from degla.study.choice import Choices, Trial, basis, choose, keep, read
from degla.study.config import Study
from degla.study.results import Measured, grouped
from degla.study.runs import END, START, TRIALS, Run, finals, measured, trials


@dataclass
class Desk:
    """A study with its folder. Finished runs are found by their artifacts: what is finished is not run again."""

    study: Study

    @cached_property
    def folder(self) -> Path:
        """Where its files lie."""
        return load_experiment(self.study.preset, self.study.overrides).artifact_root() / "studies" / self.study.name

    @property
    def choices_file(self) -> Path:
        """What was chosen."""
        return self.folder / "choices.json"

    @property
    def steps(self) -> tuple[str, ...]:
        """What is run one after the other: the trials, then each question."""
        return (TRIALS, *self.study.questions)

    def trials(self) -> list[Run]:
        """The runs that choose."""
        return list(trials(self.study))

    def finals(self) -> list[Run]:
        """The runs of the questions; of two that are the same experiment the artifacts are made once.

        Raises:
            MissingInputError: nothing is chosen yet.
        """
        if not self.choices_file.is_file():
            raise MissingInputError(f"{self.choices_file} does not exist: the trials of {self.study.name} are not finished")
        return list(finals(self.study, read(self.choices_file)))

    def foreseen(self) -> list[Run]:
        """The runs of the questions; until settings are chosen, with those of each method's first trial."""
        if self.choices_file.is_file():
            return self.finals()
        first = {
            name: (Trial(number=0, overrides=method.combinations[0], lr=1, composition=0, lost=0, evaluated="", chosen=True),)
            for name, method in self.study.methods.items()
            if method.trials
        }
        return list(finals(self.study, Choices(study="", trials=dict.fromkeys(self.study.checkpoints, first))))

    def evaluated(self, run: Run) -> Artifact | None:
        """The finished evaluation of a run, or None."""
        plans = run.plans()
        path = plans["evaluate"].path if "evaluate" in plans else None
        return Artifact.load(path) if path is not None and (path / MANIFEST).is_file() else None

    def choose(self) -> Choices:
        """Choose each method's settings by the trials, all of which must be finished; or return what was chosen.

        Raises:
            MissingInputError: a trial is not finished.
            ConfigError: other choices were made before.
        """
        made: dict[str, dict[str, list[Trial]]] = {}
        for run in self.trials():
            found = self.evaluated(run)
            if found is None:
                raise MissingInputError(f"{run.name} is not finished: it is needed to choose the settings of {run.method}")
            made.setdefault(run.checkpoint, {}).setdefault(run.method, []).append(self._trial(run, found))
        chosen = {
            checkpoint: {name: tuple(choose(each, self.study.budget)) for name, each in methods.items()}
            for checkpoint, methods in made.items()
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        return keep(self.choices_file, Choices(study=basis(self.study), trials=chosen))

    def _trial(self, run: Run, evaluated: Artifact) -> Trial:
        study, by = self.study, self.study.chosen_by
        found = measured(evaluated, (by.composition, by.retention))
        value = {
            (model, name): 100 * weighted_mean(measure.parts, measure.weights)
            for model, metrics in found.items()
            for name, measure in metrics.items()
        }
        if lacking := [name for name in (by.composition, by.retention) if (END, name) not in value]:
            raise MissingInputError(f"{run.name}: {lacking[0]} was not measured, by which settings are chosen ({evaluated.path})")
        number = int(run.variant.removeprefix("trial"))
        return Trial(
            number=number,
            overrides=study.methods[run.method].combinations[number],
            lr=run.experiment.train.lr,
            composition=round(value[END, by.composition], 4),
            lost=round(value[START, by.retention] - value[END, by.retention], 4),
            evaluated=evaluated.fingerprint,
        )

    def write(self, runs: Sequence[Run] | None = None) -> str:
        """Write `study.md`, `results.json` and the plots from what is finished; returns the Markdown.

        Args:
            runs: the final runs, if they are known.
        """
        study, choices = self.study, read(self.choices_file)
        runs = self.finals() if runs is None else runs
        finished = [(run, measured(found, tuple(study.metrics))) for run in runs if (found := self.evaluated(run))]
        sections = [f"# {study.name}", study.description, tables.NOTE, tables.choices_section(study, choices)]
        plots.plot_trials(choices, self.folder / "trials.svg")
        for title in study.questions:
            results = grouped(study, title, finished)
            of_question = [run for run in runs if run.question == title]
            done = sum(run.question == title for run, _ in finished)
            sections.append(tables.question_section(results, done, len(of_question), self._blind_accuracies(of_question)))
            if not results.groups:
                continue
            if results.question.line:
                plots.plot_lines(results, self.folder / f"{title}_lines.svg")
            if len(results.question.variants) > 1:
                plots.plot_variants(results, self.folder / f"{title}.svg")
        text = "\n\n".join(section for section in sections if section) + "\n"
        write_text_atomic(self.folder / "study.md", text)
        write_text_atomic(self.folder / "results.json", json.dumps(_rows(finished), indent=1))
        return text

    def _blind_accuracies(self, runs: Sequence[Run]) -> dict[str, float]:
        """Variant to the mean accuracy of a text-only classifier on the training negatives of its runs, in per cent; empty if
        nothing is planted, because then they are the same."""
        if not any(run.planted for run in runs):
            return {}
        found: dict[str, list[float]] = {}
        for run in runs:
            negatives = Artifact.load(run.plans()["train"].inputs["filter"]) if self.evaluated(run) else None
            if negatives:
                found.setdefault(run.variant, []).append(100 * negatives.counts["blind_accuracy"])
        return {variant: sum(values) / len(values) for variant, values in found.items()}


def _rows(finished: Iterable[tuple[Run, Measured]]) -> list[dict[str, object]]:
    """Every metric of every run's start and end, for others to compute with."""
    return [
        {
            "question": run.question,
            "checkpoint": run.checkpoint,
            "method": run.method,
            "variant": run.variant,
            "seed": run.seed,
            "model": model,
            "metric": name,
            "value": round(100 * weighted_mean(measure.parts, measure.weights), 4),
        }
        for run, found in finished
        for model, metrics in found.items()
        for name, measure in metrics.items()
    ]
