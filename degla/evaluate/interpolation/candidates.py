"""From a train artifact to the weights of each candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from degla.artifacts import Artifact
from degla.evaluate.interpolation.config import END, START, InterpolateConfig
from degla.evaluate.interpolation.weights import interpolate
from degla.evaluate.scored_models import (
    ScoredModel,
    base_model,
    check_comparable,
    end_of_training,
    fine_tuned_model,
    load_scored,
)
from degla.models.loading import LoadedClip
from degla.tradeoff import Candidate


@dataclass(frozen=True)
class Ends:
    """The weights before and after training, on the CPU: there, every candidate has the same bits whatever the device."""

    start: Mapping[str, Tensor]
    end: Mapping[str, Tensor]

    @classmethod
    def of(cls, start: LoadedClip, end: LoadedClip) -> Ends:
        return cls(*({name: value.detach().cpu() for name, value in each.model.state_dict().items()} for each in (start, end)))


def load_candidates(
    config: InterpolateConfig, train: Artifact, ends: Ends, device: str
) -> Iterator[tuple[ScoredModel, LoadedClip]]:
    """The candidates that are models of their own, one after the other."""
    end = end_of_training(train, END)
    for candidate in config.candidates:
        if candidate.name in config.names:
            clip = load_scored(end, device)
            clip.model.load_state_dict(weights_of(candidate, train, ends))
            yield replace(end, name=candidate.name), clip


def weights_of(candidate: Candidate, train: Artifact, ends: Ends) -> Mapping[str, Tensor]:
    """The state dict of a candidate, on the CPU.

    Raises:
        ModelError: start and end are of different architectures, or a kept file is of another one.
    """
    if candidate.alpha is not None:
        return interpolate(ends.start, ends.end, candidate.alpha)
    ref = fine_tuned_model(train).model_copy(update={"weights": str(train.file(candidate.file))})
    return load_scored(ScoredModel(candidate.name, ref), "cpu").model.state_dict()


def load_ends(train: Artifact) -> tuple[Ends, LoadedClip]:
    """Start and end from their files, and the end as a model. Raises ModelError if they are not comparable."""
    start, end = (
        load_scored(ScoredModel(START, base_model(train)), "cpu"),
        load_scored(ScoredModel(END, fine_tuned_model(train)), "cpu"),
    )
    check_comparable(start, end)
    return Ends.of(start, end), end
