"""How long a run is, and its learning rate: a linear warm-up, then half a cosine to 0."""

from __future__ import annotations

import math

from degla.train.batches.order import Plan
from degla.train.config import TrainConfig


def total_steps(config: TrainConfig, plan: Plan) -> int:
    """Optimizer steps of the run."""
    return config.steps or max(1, round(config.epochs * plan.steps_per_epoch))


def learning_rate(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """The rate of optimizer step `step`, which counts from 0.

    The warm-up reaches `peak` in its last step; the cosine would be 0 at step `steps`, one after the last.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))
