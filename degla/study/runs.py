"""The runs of a study: one experiment each, and what a finished one measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from degla import checksums
from degla.artifacts import MANIFEST, Artifact
from degla.experiments.experiment import Experiment, load_experiment
from degla.experiments.plan import StagePlan, plan
from degla.files import write_text_atomic
from degla.outcomes.measures import Measure, means
from degla.outcomes.outcome import outcomes_of
from degla.outcomes.suites import SUITES
from degla.study.choice import Choices
from degla.study.config import Planted, Study
from degla.study.planted import PlantConfig, planted_path

TRIALS = "trials"
"""The question of the runs that choose the settings."""
START, END = "before", "after"


@dataclass(frozen=True)
class Run:
    """One fine-tuning with its evaluation."""

    question: str
    checkpoint: str
    method: str
    variant: str
    seed: int
    experiment: Experiment
    planted: Planted | None = None

    @property
    def name(self) -> str:
        """Such as `methods/bag_of_words/degla/seed10`; of a trial the variant is its number."""
        parts = [self.question, self.checkpoint, self.method, self.variant.replace("/", "_"), f"seed{self.seed}"]
        return "/".join(part for part in parts if part)

    def plans(self) -> dict[str, StagePlan]:
        """The plan of its stages up to evaluate. Errors as of `degla.experiments.plan.plan`."""
        if self.planted is None:
            return plan(self.experiment, upto="evaluate")
        made = plan(self.experiment, upto="filter")
        path = planted_path(
            self.plant_config, made["prepare"].fingerprint, made["filter"].fingerprint, self.experiment.artifact_root()
        )
        if not (path / MANIFEST).is_file():
            return made
        return plan(self.experiment, {"filter": path}, upto="evaluate")

    @property
    def mark(self) -> str:
        """The same for runs that are one experiment on the same data, by the same code: 16 hex digits. Needs no artifact."""
        made = plan(self.experiment, upto="evaluate")
        mark = made["evaluate"].fingerprint
        if self.planted is None:
            return mark
        fingerprints = made["prepare"].fingerprint, made["filter"].fingerprint
        table = planted_path(self.plant_config, *fingerprints, self.experiment.artifact_root())
        return checksums.of_value([mark, table.name])[:16]

    @property
    def plant_config(self) -> PlantConfig:
        """Of the table that it trains on in place of the filter's."""
        return PlantConfig(planted=self.planted or Planted(), seed=self.seed)

    def save(self, folder: Path) -> Path:
        """Write it as a file for the process that runs it (`python -m degla.study one FILE`)."""
        path = folder / f"{self.name.replace('/', '--')}.yaml"
        data = {"experiment": self.experiment.model_dump(mode="json"), "seed": self.seed}
        data["planted"] = self.planted.model_dump() if self.planted else None
        write_text_atomic(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
        return path


def trials(study: Study) -> Iterator[Run]:
    """The runs that choose the settings of each method, on the validation split."""
    for checkpoint, start in study.checkpoints.items():
        for name, method in study.methods.items():
            for number, combination in enumerate(method.combinations):
                changes = (*start, *method.overrides, *combination, *study.validation)
                yield Run(
                    TRIALS, checkpoint, name, f"trial{number}", study.tuning_seed, _experiment(study, study.tuning_seed, changes)
                )


def finals(study: Study, choices: Choices) -> Iterator[Run]:
    """The runs of each question, with the settings chosen, on the test split."""
    for title, question in study.questions.items():
        line = [_line(study, question.line)] if question.line else []
        for checkpoint in question.checkpoints or study.checkpoints:
            start = study.checkpoints[checkpoint]
            for variant in question.variants:
                for name in question.methods:
                    method = study.methods[name]
                    base = study.methods[method.settings_of] if method.settings_of else method
                    settings = choices.of(checkpoint, method.settings_of or name)
                    own = method.overrides if method.settings_of else ()
                    changes = (*start, *base.overrides, *settings, *own, *variant.overrides, *study.test, *line)
                    for seed in question.seeds:
                        yield Run(title, checkpoint, name, variant.name, seed, _experiment(study, seed, changes), variant.planted)


def _experiment(study: Study, seed: int, changes: Sequence[str]) -> Experiment:
    experiment = load_experiment(study.preset, [*study.overrides, f"train.seed={seed}", *changes])
    return experiment.model_copy(update={"name": study.name})


def _line(study: Study, weights: Sequence[float]) -> str:
    alphas = ", ".join(map(str, weights))
    return (
        f"evaluate.interpolate={{composition: [{study.composition}], retention: [{study.retention}],"
        f" budget: {study.budget:g}, alphas: [{alphas}]}}"
    )


def measured(evaluated: Artifact, metrics: Sequence[str]) -> Mapping[str, dict[str, Measure]]:
    """Model (`before`, `after`, `interpolated_0.5`) to its metrics, of a finished evaluation. A metric whose benchmark was not
    scored is not among them."""
    every: dict[str, dict[str, Measure]] = {}
    for outcome in outcomes_of(evaluated.path):
        every.setdefault(outcome.model, {}).update({f"{outcome.benchmark}/{each.path}": each for each in outcome.measures()})
    for found in every.values():
        found |= {f"{suite.name}/{each.path}": each for suite in SUITES for each in means(suite.averages, found)}
    return {model: {name: found[name] for name in metrics if name in found} for model, found in every.items()}
