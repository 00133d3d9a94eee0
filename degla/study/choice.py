"""The settings of each method, chosen among its trials on the validation split: once, and kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from degla import checksums
from degla.config import Config
from degla.errors import ConfigError, DataError
from degla.files import write_text_atomic
from degla.study.config import Study


class Trial(Config):
    """What a trial reached on the validation split, in points."""

    number: int
    overrides: tuple[str, ...]
    lr: float
    composition: float
    lost: float
    """Retention below the start's."""
    evaluated: str
    """Fingerprint of its evaluation."""
    chosen: bool = False


class Choices(Config):
    """All trials of a study, with the chosen one of each checkpoint and method."""

    study: str
    """Checksum of everything that the choices depend on."""
    trials: dict[str, dict[str, tuple[Trial, ...]]]
    """Checkpoint to method to trials."""

    def of(self, checkpoint: str, method: str) -> tuple[str, ...]:
        """The chosen overrides."""
        return next(trial.overrides for trial in self.trials[checkpoint][method] if trial.chosen)


def choose(trials: Sequence[Trial], budget: float) -> list[Trial]:
    """The trials with the best one marked: the highest composition among those that lose at most `budget` points, or the one that
    loses least if all lose more. Of equal ones the lower learning rate."""
    within = [trial for trial in trials if trial.lost <= budget]
    if within:
        best = min(within, key=lambda trial: (-trial.composition, trial.lr))
    else:
        best = min(trials, key=lambda trial: (trial.lost, trial.lr))
    return [trial.model_copy(update={"chosen": trial is best}) for trial in trials]


def basis(study: Study) -> str:
    """Checksum of everything that the choices depend on: not of the questions, which may be added to later."""
    others = {"questions", "description", "shown", "test", "at_once"}
    return checksums.of_value(study.model_dump(mode="json", exclude=others, exclude_none=True))[:16]


def keep(path: Path, made: Choices) -> Choices:
    """Write the choices, or compare them with those that were made before.

    Raises:
        ConfigError: others were made before, of another protocol or of other trials. Final figures may have been looked at since.
    """
    if not path.exists():
        write_text_atomic(path, made.model_dump_json(indent=1))
        return made
    found = read(path)
    if found != made:
        what = "of another protocol" if found.study != made.study else "with other results of the trials"
        raise ConfigError(
            f"{path} holds choices that were made before, {what}. Choices made anew after a look at the test split prove nothing:"
            " give the study another name, or remove that file if nobody has looked."
        )
    return found


def read(path: Path) -> Choices:
    """Choices that were made. Raises DataError if the file is damaged."""
    try:
        return Choices.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} holds no choices: {error}") from error
