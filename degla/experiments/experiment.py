"""Experiments: the configs of all stages under one name, and the plan of what they make, reuse or lack.

Loads none of the stages' engines.
"""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from degla.artifacts import MANIFEST, Artifact, check_writable, fingerprint
from degla.config import Config, StageConfig, read_yaml, validate
from degla.errors import ConfigError, DataError, MissingInputError
from degla.evaluate import EvaluateConfig
from degla.files import write_text_atomic
from degla.filter import FilterConfig
from degla.generate import GenerateConfig
from degla.home import artifact_root, experiments_dir
from degla.overrides import apply_overrides
from degla.prepare import PrepareConfig
from degla.report import ReportConfig
from degla.train import TrainConfig

STAGES: tuple[str, ...] = ("prepare", "generate", "filter", "train", "evaluate", "report")
"""In the order of the pipeline."""


class Experiment(Config):
    """A named set of stage configs: what a preset in `flows/experiments/` holds, and what a run form shows."""

    name: str
    """Names the experiment in run names and file names."""

    description: str = ""
    """What it is for, in a sentence."""

    root: str | None = None
    """Folder of the artifacts; empty takes DEGLA_HOME, or `artifacts/` in the current folder."""

    prepare: PrepareConfig = PrepareConfig()
    """From a dataset card to captions and images."""

    generate: GenerateConfig = GenerateConfig()
    """From captions to raw negatives."""

    filter: FilterConfig = FilterConfig()
    """From raw negatives to the training table."""

    train: TrainConfig = TrainConfig()
    """From the training table to a fine-tuned CLIP."""

    evaluate: EvaluateConfig = EvaluateConfig()
    """From models to scores."""

    report: ReportConfig = ReportConfig()
    """From everything to a scorecard."""

    def stage_config(self, stage: str) -> StageConfig:
        """The config of one stage by name."""
        return getattr(self, stage)

    def artifact_root(self) -> Path:
        """Where this experiment's artifacts lie."""
        return Path(self.root).absolute() if self.root else artifact_root()

    def with_overrides(self, overrides: Iterable[str]) -> Experiment:
        """A copy with overrides such as `train.lr=1e-5` applied. Raises ConfigError at an unknown key."""
        overrides = list(overrides)
        if not overrides:
            return self
        data = apply_overrides(Experiment, self.model_dump(mode="json"), overrides)
        return validate(Experiment, data, f"{self.name} with {' '.join(overrides)}")

    def save(self) -> Path:
        """Write the resolved experiment as YAML below the artifact root; returns the file, which `load_experiment` reads."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        folder = self.artifact_root() / "experiments"
        check_writable(folder)
        path = folder / f"{self.name}.yaml"
        number = 1
        while path.exists() and path.read_text(encoding="utf-8") != text:
            number += 1
            path = folder / f"{self.name}-{number}.yaml"
        if not path.exists():
            write_text_atomic(path, text)
        return path


def preset_names() -> list[str]:
    """The experiments in `flows/experiments/`."""
    return sorted(path.stem for path in experiments_dir().glob("*.yaml"))


def load_experiment(name_or_path: str, overrides: Iterable[str] = ()) -> Experiment:
    """An experiment by preset name or by path of a YAML file, with overrides applied.

    Raises:
        MissingInputError: no such preset or file; the nearest preset is named.
        ConfigError: an unknown key or wrong value; its path and the nearest known key are named.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = experiments_dir() / f"{name_or_path}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name_or_path, preset_names(), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(preset_names()) or 'none'}."
        raise MissingInputError(f"no experiment {name_or_path!r} ({path} does not exist). {hint}")
    return validate(Experiment, {"name": path.stem, **read_yaml(path)}, str(path)).with_overrides(overrides)


@dataclass(frozen=True)
class StagePlan:
    """One stage of an experiment: the artifact it makes and those it reads."""

    config: StageConfig
    fingerprint: str
    path: Path
    inputs: Mapping[str, Path]

    @property
    def stage(self) -> str:
        return self.config.stage

    @property
    def finished(self) -> bool:
        """Whether the artifact exists, so that running the stage only hands it back."""
        return (self.path / MANIFEST).is_file()

    @property
    def begun(self) -> bool:
        """Whether an unfinished artifact exists, from which the stage goes on."""
        return not self.finished and self.path.is_dir()


def plan(
    experiment: Experiment,
    given: Mapping[str, Path] | None = None,
    refresh: Collection[str] = (),
    upto: str = STAGES[-1],
) -> dict[str, StagePlan]:
    """What each stage up to `upto` would make and read. Reads raw inputs to know their checksums; writes nothing.

    Args:
        experiment: the resolved experiment.
        given: finished artifacts to use for a stage, in place of the experiment's own.
        refresh: stages to make anew, beside the artifacts that exist; see `start_refresh`.
        upto: last stage to plan.

    Raises:
        InputError: a card, raw file or given artifact is missing or wrong, or two stages' settings contradict each other.
    """
    root = experiment.artifact_root()
    plans: dict[str, StagePlan] = {}
    stages = STAGES[: STAGES.index(upto) + 1]
    if "filter" in stages and not (given or {}).keys() & {"prepare", "filter"}:
        _check_images(experiment)
    for stage in stages:
        config = experiment.stage_config(stage)
        path = (given or {}).get(stage)
        if path is not None:
            plans[stage] = _given_plan(config, path)
            continue
        inputs = {name: plans[name].fingerprint for name in config.needs}
        paths = {name: plans[name].path for name in config.needs}
        raw = config.raw_inputs()
        if config.refresh == 0:
            base = fingerprint(config, inputs, raw)
            count = _refresh_count(root, stage, base) + (stage in refresh)
            config = config.model_copy(update={"refresh": count})
        mark = fingerprint(config, inputs, raw)
        plans[stage] = StagePlan(config, mark, root / stage / mark, paths)
    return plans


def _check_images(experiment: Experiment) -> None:
    """Said before a generator works for hours on captions that would have to be prepared anew."""
    if experiment.filter.veto and experiment.prepare.images == "none":
        raise ConfigError(
            "filter.veto compares texts with images, but prepare.images=none leaves them out: give prepare.images a folder, or"
            " switch the veto off with filter.veto=null"
        )


def start_refresh(experiment: Experiment, stages: Collection[str], given: Mapping[str, Path] | None = None) -> None:
    """Raise the refresh counter of these stages, so that the plan from now on makes them anew.

    The old artifacts stay. The counter is kept below the artifact root, so that a refreshed stage that was killed
    goes on where it was and later runs use the newest artifact.
    """
    root = experiment.artifact_root()
    for stage in STAGES:
        if stage not in stages:
            continue
        config = experiment.stage_config(stage)
        current = plan(experiment, given, upto=stage)
        inputs = {name: current[name].fingerprint for name in config.needs}
        base = fingerprint(config, inputs, config.raw_inputs())
        counts = _read_counts(root / stage)
        counts[base] = counts.get(base, 0) + 1
        check_writable(root / stage)
        write_text_atomic(root / stage / _REFRESHED, json.dumps(counts, indent=2))


def run_stage(stage_plan: StagePlan, make_with: str) -> Artifact:
    """Run one planned stage in this process, or hand back its finished artifact.

    Args:
        stage_plan: the stage.
        make_with: the command that makes a missing input, with `{stage}` in place of its name; used in the error.

    Raises:
        MissingInputError: an artifact it reads is not there; the command that makes it is named.
    """
    if stage_plan.finished:
        return Artifact.load(stage_plan.path)
    module = importlib.import_module(f"degla.{stage_plan.stage}")
    return module.run(stage_plan.config, load_inputs(stage_plan, make_with), stage_plan.path)


def load_inputs(stage_plan: StagePlan, make_with: str) -> dict[str, Artifact]:
    """The finished artifacts that a stage reads; arguments and errors as in `run_stage`."""
    inputs = {}
    for name, path in stage_plan.inputs.items():
        if not (path / MANIFEST).is_file():
            raise MissingInputError(
                f"{stage_plan.stage} needs the artifact of {name}, which is not finished ({path})."
                f" Make it with: {make_with.format(stage=name)}"
            )
        inputs[name] = Artifact.load(path)
    return inputs


def describe(plans: Mapping[str, StagePlan]) -> list[str]:
    """One line a stage: reused, resumed or made, and where."""
    lines = []
    for stage, item in plans.items():
        state = "reuse" if item.finished else "resume" if item.begun else "run"
        lines.append(f"{stage:<9} {state:<7} {item.path}")
    return lines


_REFRESHED = "refreshed.json"


def _refresh_count(root: Path, stage: str, base: str) -> int:
    return _read_counts(root / stage).get(base, 0)


def _read_counts(folder: Path) -> dict[str, int]:
    try:
        return json.loads((folder / _REFRESHED).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise ConfigError(f"{folder / _REFRESHED} is not JSON ({error}); delete it to forget past refreshes") from error


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
