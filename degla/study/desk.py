"""The folder of a study, `<root>/studies/<name>/`: its runs as files, what was chosen, and its tables and plots."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from degla import checksums
from degla.artifacts import MANIFEST, Artifact
from degla.errors import MissingInputError
from degla.experiments.experiment import load_experiment
from degla.files import write_text_atomic
from degla.outcomes.intervals import weighted_mean
from degla.study import plots, tables
from degla.study.answers import FILE, Answered, read_answers, write_answers
from degla.study.choice import Choices, Trial, basis, choose, keep, read
from degla.study.config import Study
from degla.study.results import Measured, grouped
from degla.study.runs import END, START, TRIALS, Run, finals, measured, trials

logger = logging.getLogger(__name__)


@dataclass
class Desk:
    """A study with its folder. What is finished is not run again: a run of which there is an evaluation, or which the study's
    answers (`degla.study.answers`) or choices hold."""

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

    def is_finished(self, run: Run) -> bool:
        """Whether nothing of it is left to do."""
        if self.evaluated(run) is not None:
            return True
        return self._chosen_before(run) is not None if run.question == TRIALS else run.mark in self._kept

    def answered(self, runs: Iterable[Run]) -> dict[str, Answered]:
        """Name of each finished run of a question to what it measured."""
        of_mark: dict[str, Answered] = {}
        of_name = {}
        for run in runs:
            mark = run.mark
            found = of_mark.get(mark) or self._measured(run) or self._kept.get(mark)
            if found is not None:
                names = of_mark[mark].names if mark in of_mark else ()
                of_mark[mark] = replace(found, mark=mark, names=(*names, run.name))
                of_name[run.name] = mark
        return {name: of_mark[mark] for name, mark in of_name.items()}

    def _measured(self, run: Run) -> Answered | None:
        evaluated = self.evaluated(run)
        if evaluated is None:
            return None
        negatives = run.plans()["train"].inputs["filter"]
        told = Artifact.load(negatives).counts.get("blind_accuracy") if (negatives / MANIFEST).is_file() else None
        found = measured(evaluated, tuple(self.study.metrics))
        return Answered((), "", found, None if told is None else 100 * told)

    @cached_property
    def _kept(self) -> dict[str, Answered]:
        """By mark, what the study's file of answers holds: also of runs whose artifacts are not here."""
        path = self.folder / FILE
        return read_answers(path) if path.is_file() else {}

    def _chosen_before(self, run: Run) -> Trial | None:
        """A trial that the study's choices hold."""
        if not self.choices_file.is_file():
            return None
        known = read(self.choices_file).trials.get(run.checkpoint, {}).get(run.method, ())
        mark = run.mark
        return next((each for each in known if each.evaluated == mark), None)

    def choose(self) -> Choices:
        """Choose each method's settings by the trials, all of which must be finished; or return what was chosen.

        Raises:
            MissingInputError: a trial is not finished.
            ConfigError: other choices were made before.
        """
        made: dict[str, dict[str, list[Trial]]] = {}
        for run in self.trials():
            found = self.evaluated(run)
            trial = self._chosen_before(run) if found is None else self._trial(run, found)
            if trial is None:
                raise MissingInputError(f"{run.name} is not finished: it is needed to choose the settings of {run.method}")
            made.setdefault(run.checkpoint, {}).setdefault(run.method, []).append(trial)
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
        """Write `study.md`, `results.json`, the answers and the plots from what is finished; returns the Markdown.

        Args:
            runs: the final runs, if they are known.
        """
        study, choices = self.study, read(self.choices_file)
        runs = self.finals() if runs is None else runs
        answered = self.answered(runs)
        self._keep(list({each.mark: each for each in answered.values()}.values()))
        finished = [(run, answered[run.name].measured) for run in runs if run.name in answered]
        sections = [f"# {study.name}", study.description, tables.NOTE, tables.choices_section(study, choices)]
        plots.plot_trials(choices, self.folder / "trials.svg")
        for title in study.questions:
            results = grouped(study, title, finished)
            of_question = [run for run in runs if run.question == title]
            done = sum(run.question == title for run, _ in finished)
            sections.append(tables.question_section(results, done, len(of_question), _blind_accuracies(of_question, answered)))
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

    def _keep(self, answered: Sequence[Answered]) -> None:
        """Write the answers. Those of other runs, whose artifacts may be gone, are set aside and not lost."""
        path = self.folder / FILE
        others = self._kept.keys() - {each.mark for each in answered}
        if others:
            aside = path.with_name(f"answers-{checksums.of_file(path)[:8]}.parquet")
            path.rename(aside)
            logger.warning(
                "%s holds %d runs that this grid, or this code, makes otherwise: it is now %s", path, len(others), aside.name
            )
        if answered:
            write_answers(path, answered)


def _blind_accuracies(runs: Sequence[Run], answered: Mapping[str, Answered]) -> dict[str, float]:
    """Variant to the mean accuracy of a text-only classifier on the training negatives of its runs, in per cent; empty if
    nothing is planted, because then they are the same."""
    if not any(run.planted for run in runs):
        return {}
    found: dict[str, list[float]] = {}
    for run in runs:
        if run.name in answered and (told := answered[run.name].blind) is not None:
            found.setdefault(run.variant, []).append(told)
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
