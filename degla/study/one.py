"""One run of a study, in one process: what it reads that is not finished, then training and evaluation."""

from __future__ import annotations

from pathlib import Path

from degla.artifacts import Artifact
from degla.config import read_yaml, validate
from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan, run_stage
from degla.generate.config import WITH_ENGINE
from degla.study.config import Planted
from degla.study.planted import PlantConfig, plant, planted_path

_MAKE_WITH = "python -m degla.study one, which makes all that it reads"


def make_negatives(file: Path) -> bool:
    """Make the negatives that a run reads; returns whether a language model worked for it in this process, and so holds the GPU.

    Raises:
        InputError: the file, or an input of a stage, is wrong.
    """
    experiment = validate(Experiment, read_yaml(file)["experiment"], str(file))
    plans = plan(experiment, upto="generate")
    if plans["generate"].finished or not WITH_ENGINE & set(experiment.generate.attempts):
        return False
    for each in plans.values():
        run_stage(each, _MAKE_WITH)
    return True


def run_one(file: Path) -> Artifact:
    """Make the artifacts of a run that `Run.save` wrote; returns its evaluation. Finished ones are reused, begun ones continued.

    Raises:
        InputError: the file, or an input of a stage, is wrong.
    """
    data = read_yaml(file)
    experiment = validate(Experiment, data["experiment"], str(file))
    given: dict[str, Path] = {}
    if data["planted"] is not None:
        config = PlantConfig(planted=validate(Planted, data["planted"], str(file)), seed=data["seed"])
        made = {stage: run_stage(each, _MAKE_WITH) for stage, each in plan(experiment, upto="filter").items()}
        root = experiment.artifact_root()
        path = planted_path(config, made["prepare"].fingerprint, made["filter"].fingerprint, root)
        given["filter"] = plant(config, made["prepare"], made["filter"], path).path
    made = {stage: run_stage(each, _MAKE_WITH) for stage, each in plan(experiment, given, upto="evaluate").items()}
    return made["evaluate"]
