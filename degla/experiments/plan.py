"""Plans: what each stage of an experiment makes, reuses or lacks. Loads none of the stages' engines."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from degla.artifacts import MANIFEST, Artifact, check_writable, fingerprint
from degla.config import StageConfig
from degla.errors import ConfigError, DataError, MissingInputError, Problems
from degla.experiments.experiment import STAGES, Experiment
from degla.files import locked, write_text_atomic
from degla.models.source import find
from degla.train.room import check_pixels


@dataclass(frozen=True)
class StagePlan:
    """One stage of an experiment: its artifact and those that it reads."""

    config: StageConfig
    fingerprint: str
    path: Path
    inputs: Mapping[str, Path]
    estimate: str = ""
    """What it will need, for people; empty if it is finished or that is unknown."""

    @property
    def stage(self) -> str:
        return self.config.stage

    @property
    def finished(self) -> bool:
        """Whether the artifact exists; running the stage then only returns it."""
        return (self.path / MANIFEST).is_file()

    @property
    def begun(self) -> bool:
        """Whether an unfinished artifact exists, from which the stage continues."""
        return not self.finished and self.path.is_dir()


def plan(
    experiment: Experiment,
    given: Mapping[str, Path] | None = None,
    refresh: Collection[str] = (),
    upto: str = STAGES[-1],
    counters: Mapping[str, int] | None = None,
) -> dict[str, StagePlan]:
    """What each stage up to `upto` would make and read. Reads raw inputs for their checksums; writes only to their cache.

    Args:
        experiment: the resolved experiment.
        given: stage to the finished artifact to use instead of the experiment's own.
        refresh: stages to make again beside their existing artifacts; see `start_refresh`.
        upto: last stage to plan.
        counters: stage to its refresh counter, if another plan decided it; default the ones below the root, which others raise.

    Raises:
        InputError: a card, raw file, model or given artifact is missing or wrong, settings of two stages contradict each
            other, or a stage will surely not have the memory or disk it needs. The message lists all that was found.
    """
    root, given, counters = experiment.artifact_root(), given or {}, counters or {}
    stages = STAGES[: STAGES.index(upto) + 1]
    plans: dict[str, StagePlan] = {}
    raw: dict[str, dict[str, str]] = {}
    problems = Problems()
    with problems.noted():
        _check_images(experiment, stages, given)
    with problems.noted():
        _check_pixels(experiment, stages, given)
    with problems.noted():
        _check_candidates(experiment, stages, given)
    for stage in stages:
        with problems.noted():
            if stage in given:
                plans[stage] = _given_plan(experiment.stage_config(stage), given[stage])
            else:
                raw[stage] = experiment.stage_config(stage).raw_inputs()
    problems.raise_any()
    for stage in (stage for stage in stages if stage not in given):
        config = experiment.stage_config(stage)
        inputs = {name: plans[name].fingerprint for name in config.needs}
        paths = {name: plans[name].path for name in config.needs}
        if config.refresh == 0:
            counts = {} if stage in counters else _read_counts(root / stage)
            count = counters.get(stage, counts.get(fingerprint(config, inputs, raw[stage]), 0) + (stage in refresh))
            config = config.model_copy(update={"refresh": count})
        mark = fingerprint(config, inputs, raw[stage])
        planned = StagePlan(config, mark, root / stage / mark, paths)
        with problems.noted():
            planned = planned if planned.finished else replace(planned, estimate=config.estimate(root))
        plans[stage] = planned
    problems.raise_any()
    return {stage: plans[stage] for stage in stages}


def _check_images(experiment: Experiment, stages: Collection[str], given: Mapping[str, Path]) -> None:
    """Raises ConfigError before hours of generation on captions that would have to be prepared again."""
    if "filter" not in stages or given.keys() & {"prepare", "filter"}:
        return
    if experiment.filter.veto and experiment.prepare.images == "none":
        raise ConfigError(
            "filter.veto compares texts with images, but prepare.images=none leaves them out: set prepare.images to a folder, or"
            " turn the veto off with filter.veto=null"
        )


def _check_pixels(experiment: Experiment, stages: Collection[str], given: Mapping[str, Path]) -> None:
    """Raises ConfigError if the model looks at more pixels than prepare stores."""
    if "train" in stages and not given.keys() & {"prepare", "train"}:
        preprocessing = find(experiment.train.model, "train.model", download=False).preprocessing
        check_pixels(preprocessing.height_width, experiment.prepare.short_side)


def _check_candidates(experiment: Experiment, stages: Collection[str], given: Mapping[str, Path]) -> None:
    """Raises ConfigError before hours of training that would not keep what evaluate is to choose from."""
    wanted, train = experiment.evaluate.interpolate, experiment.train
    if "train" not in stages or given.keys() & {"train", "evaluate"} or wanted is None:
        return
    every = train.keep_weights_every
    unkept = [step for step in wanted.steps if not every or step % every or step >= (train.steps or step + 1)]
    if unkept:
        raise ConfigError(
            f"evaluate.interpolate.steps names {unkept[0]}, whose weights training would not keep: it keeps those of"
            f" every train.keep_weights_every ({every}) steps before the last. Change either."
        )
    if wanted.teacher and not (every and train.chosen.needs_teacher):
        raise ConfigError(
            f"evaluate.interpolate.teacher: training would not keep the weights of a teacher, with"
            f" train.keep_weights_every={every} and train.objective={train.objective}. Set the first above 0, for an objective"
            f" that has a teacher, or leave teacher out."
        )


def start_refresh(experiment: Experiment, stages: Collection[str], given: Mapping[str, Path] | None = None) -> None:
    """Raise the refresh counter of these stages, so that plans from now on make them again.

    The old artifacts stay. The counter is stored below the artifact root: a refreshed stage that was killed continues where it
    stopped, and later runs use the newest artifact.
    """
    root = experiment.artifact_root()
    for stage in STAGES:
        if stage not in stages:
            continue
        config = experiment.stage_config(stage)
        current = plan(experiment, given, upto=stage)
        inputs = {name: current[name].fingerprint for name in config.needs}
        base = fingerprint(config, inputs, config.raw_inputs())
        check_writable(root / stage)
        with locked(root / stage / f".{_REFRESHED}.lock"):
            counts = _read_counts(root / stage)
            counts[base] = counts.get(base, 0) + 1
            write_text_atomic(root / stage / _REFRESHED, json.dumps(counts, indent=2))


def check_inputs(plans: Mapping[str, StagePlan], stages: Collection[str], experiment: str) -> None:
    """Raises MissingInputError if a stage reads an unfinished artifact that the run does not make."""
    for stage in stages:
        for name, path in plans[stage].inputs.items():
            if name not in stages and not (path / MANIFEST).is_file():
                raise MissingInputError(
                    f"{stage} needs the artifact of {name}, which is not finished ({path}). Make it with:"
                    f" prefect deployment run '{name}/{experiment}' --watch (and the same overrides), or give another:"
                    f" inputs={{{name!r}: PATH}}"
                )


def check_root(experiment: Experiment, plans: Iterable[StagePlan]) -> None:
    """Raises StorageError if the artifact root cannot be written. Finished artifacts are reused from a read-only one."""
    if not all(each.finished for each in plans):
        check_writable(experiment.artifact_root())


def run_stage(stage_plan: StagePlan, make_with: str) -> Artifact:
    """Run one planned stage in this process, or return its finished artifact.

    Args:
        stage_plan: the stage.
        make_with: the command that makes a missing input, with `{stage}` for its name; for the error message.

    Raises:
        MissingInputError: an artifact that it reads is not finished; the message gives the command that makes it.
    """
    if stage_plan.finished:
        return Artifact.load(stage_plan.path)
    module = importlib.import_module(f"degla.{stage_plan.stage}")
    return module.run(stage_plan.config, load_inputs(stage_plan, make_with), stage_plan.path)


def load_inputs(stage_plan: StagePlan, make_with: str) -> dict[str, Artifact]:
    """The finished artifacts that a stage reads. Arguments and errors as `run_stage`."""
    inputs = {}
    for name, path in stage_plan.inputs.items():
        if not (path / MANIFEST).is_file():
            raise MissingInputError(
                f"{stage_plan.stage} needs the artifact of {name}, which is not finished ({path})."
                f" Make it with: {make_with.replace('{stage}', name)}"
            )
        inputs[name] = Artifact.load(path)
    return inputs


def describe(plans: Mapping[str, StagePlan]) -> list[str]:
    """One line per stage: reuse, resume or run, and the folder."""
    lines = []
    for stage, item in plans.items():
        state = "reuse" if item.finished else "resume" if item.begun else "run"
        estimate = f" ({item.estimate})" if item.estimate else ""
        lines.append(f"{stage:<9} {state:<7} {item.path}{estimate}")
    return lines


_REFRESHED = "refreshed.json"


def _read_counts(folder: Path) -> dict[str, int]:
    try:
        return json.loads((folder / _REFRESHED).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise ConfigError(f"{folder / _REFRESHED} is not valid JSON: {error}. Delete it to forget past refreshes.") from error


def _given_plan(config: StageConfig, path: Path) -> StagePlan:
    """The plan of a finished artifact. Only its fingerprint is used: an older version may have had other settings."""
    artifact = Artifact.load(path.absolute())
    if artifact.stage != config.stage:
        raise MissingInputError(f"{path} is an artifact of {artifact.stage}, not of {config.stage}")
    if artifact.manifest.stage_version > config.version:
        raise DataError(
            f"{path} was made by version {artifact.manifest.stage_version} of {config.stage}; this degla reads up to version"
            f" {config.version}. Update degla, or make the artifact again."
        )
    for name in artifact.manifest.files:
        artifact.file(name)
    return StagePlan(config, artifact.fingerprint, artifact.path, {})
