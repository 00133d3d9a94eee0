"""Settings of the interpolation: which models are candidates, and which one is chosen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from degla.config import Config
from degla.tradeoff import Candidate

START, END = "before", "after"
"""As the scores name them."""

Alpha = Annotated[float, Field(ge=0, le=1)]
Step = Annotated[int, Field(ge=1)]


class InterpolateConfig(Config):
    """Score the models between start and end of training, and choose one by composition within a budget of forgetting."""

    composition: tuple[str, ...] = Field(min_length=1)
    """Metrics that should be high, such as `sugarcrepe/mean_of_7/accuracy`; of several the plain mean."""

    retention: tuple[str, ...] = Field(min_length=1)
    """Metrics of what the start could do and should stay, such as `imagenet/classes/accuracy`; of several the plain mean."""

    budget: float = Field(1.0, ge=0, le=100)
    """Points of retention that may be lost: the lower limit of the paired 95 % interval of a candidate's change must not be below
    minus this."""

    validation: float = Field(0.5, gt=0, lt=1)
    """Share of the items, by a hash of their image, on which the choice is made; `tradeoff.json` reports the others."""

    alphas: tuple[Alpha, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Weights of the fine-tuned model in the average. 0 (the start) and 1 (the end) are always candidates."""

    steps: tuple[Step, ...] = ()
    """Optimizer steps whose weights are candidates too; training must have kept them (`train.keep_weights_every`)."""

    teacher: bool = False
    """Whether the EMA teacher at the end of training is a candidate; training must have kept it (`train.keep_weights_every`)."""

    @field_validator("alphas", "steps", mode="after")
    @classmethod
    def _in_order(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(value)))

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All candidates: the start, those of the line, the end, then what training kept."""
        inner = [Candidate(name=f"interpolated_{alpha!r}", alpha=alpha) for alpha in self.alphas if 0 < alpha < 1]
        line = (Candidate(name=START, alpha=0.0), *inner, Candidate(name=END, alpha=1.0))
        return (*line, *map(Candidate.at_step, self.steps), *([Candidate.teacher()] if self.teacher else []))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the candidates that are models of their own: all but start and end."""
        return tuple(each.name for each in self.candidates if each.name not in (START, END))

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that it asks for."""
        return tuple(dict.fromkeys([*self.composition, *self.retention]))
