"""Experiments: the configs of all stages under one name, read from presets. The one place that lists the stages."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field

from degla.artifacts import check_writable
from degla.config import Config, StageConfig, read_yaml, validate
from degla.evaluate import EvaluateConfig
from degla.files import locked, write_text_atomic
from degla.filter import FilterConfig
from degla.generate import GenerateConfig
from degla.home import artifact_root, experiments_dir, find_yaml
from degla.overrides import apply_overrides, flat, merge
from degla.prepare import PrepareConfig
from degla.report import ReportConfig
from degla.train import TrainConfig

StageName = Literal["prepare", "generate", "filter", "train", "evaluate", "report"]
STAGES: tuple[StageName, ...] = get_args(StageName)
"""In the order of the pipeline."""


class Experiment(Config):
    """A named set of stage configs: what a preset in `flows/experiments/` holds and a run form shows."""

    name: str = Field(pattern="^[^/.][^/]*$")
    """Name of the experiment in runs and files."""

    description: str = ""
    """Its purpose, in one sentence."""

    root: str | None = None
    """Folder of the artifacts; empty uses DEGLA_HOME, or `artifacts/` in the current folder."""

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
        """The config of a stage."""
        return getattr(self, stage)

    def artifact_root(self) -> Path:
        """The folder of this experiment's artifacts."""
        return Path(self.root).absolute() if self.root else artifact_root()

    def with_overrides(self, overrides: Iterable[str]) -> Experiment:
        """A copy with overrides such as `train.lr=1e-5`. Raises ConfigError if a key or value is wrong."""
        overrides = list(overrides)
        if not overrides:
            return self
        data = apply_overrides(Experiment, self.model_dump(mode="json"), overrides)
        return validate(Experiment, data, f"{self.name} with {' '.join(overrides)}")

    def with_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> Experiment:
        """A copy with these settings of stages, as {"train": {"lr": 1e-5}}; what is not given stays. Raises ConfigError if a key
        or value is wrong."""
        given = {stage: values for stage, values in settings.items() if values}
        if not given:
            return self
        data = merge(Experiment, self.model_dump(mode="json"), given)
        return validate(Experiment, data, f"{self.name} with settings of {', '.join(given)}")

    def changes_from(self, other: Experiment) -> dict[str, Any]:
        """The settings of stages that differ from another experiment's, by paths such as `train.lr`."""
        own, others = flat(self.model_dump(mode="json")), flat(other.model_dump(mode="json"))
        return {path: value for path, value in own.items() if others.get(path, ...) != value and "." in path}

    def save(self) -> Path:
        """Write the resolved experiment as YAML below the artifact root; returns the file, for `load_experiment`.

        Raises:
            StorageError: the artifact root cannot be written.
        """
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        folder = self.artifact_root() / "experiments"
        if path := self._saved(folder, text):
            return path
        check_writable(folder)
        with locked(folder / ".lock"):  # other settings may be saved under this name meanwhile
            if path := self._saved(folder, text):
                return path
            path = next(path for path in self._files(folder) if not path.exists())
            write_text_atomic(path, text)
        return path

    def _saved(self, folder: Path, text: str) -> Path | None:
        files = itertools.takewhile(Path.exists, self._files(folder))
        return next((path for path in files if path.read_text(encoding="utf-8") == text), None)

    def _files(self, folder: Path) -> Iterator[Path]:
        yield folder / f"{self.name}.yaml"
        yield from (folder / f"{self.name}-{number}.yaml" for number in itertools.count(2))


def preset_names() -> list[str]:
    """Names of the presets in `flows/experiments/`."""
    return sorted(path.stem for path in experiments_dir().glob("*.yaml"))


def load_experiment(name_or_path: str, overrides: Iterable[str] = ()) -> Experiment:
    """Load an experiment by preset name or path of a YAML file, and apply overrides.

    Raises:
        MissingInputError: the preset or file does not exist; the message names the nearest preset.
        ConfigError: a key is unknown or a value wrong; the message names its path and the nearest known key.
    """
    path = find_yaml(name_or_path, experiments_dir(), "experiment")
    return validate(Experiment, {"name": path.stem, **read_yaml(path)}, str(path)).with_overrides(overrides)
