"""The Prefect tasks, one a stage. Each takes a job and the results of the stages it reads, for the dashboard's graph.

No task uses Prefect's cache or keeps its result: reuse is the library's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.tasks import Task

from tasks.retries import RETRIES, is_passing, retry_delays
from tasks.stage import StageJob, StageResult, run_stage

HOUR = 3600


def options(stage: str, hours: float, *tags: str) -> dict[str, Any]:
    """What every stage's task has; its time limit is `hours`, or DEGLA_<STAGE>_TIMEOUT seconds."""
    return {
        "name": stage,
        "task_run_name": stage,
        "tags": ["stage", *tags],
        "timeout_seconds": float(os.environ.get(f"DEGLA_{stage.upper()}_TIMEOUT", hours * HOUR)),
        "retries": RETRIES,
        "retry_delay_seconds": retry_delays(),
        "retry_condition_fn": is_passing,
        "cache_policy": NO_CACHE,
        "persist_result": False,
    }


@task(**options("prepare", 12))
def prepare(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
    """Captions and images of the dataset, checked and tagged."""
    return run_stage(job)


@task(**options("generate", 7 * 24, "gpu"))
def generate(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
    """Negative captions, as the generator wrote them."""
    return run_stage(job)


@task(**options("filter", 12))
def filter(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
    """The negatives that pass every rule, as training table, and the rejected ones with their rule."""
    return run_stage(job)


@task(**options("train", 7 * 24, "gpu"))
def train(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
    """The fine-tuned CLIP."""
    return run_stage(job)


@task(**options("evaluate", 24, "gpu"))
def evaluate(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
    """Scores of the pretrained and the fine-tuned model on every benchmark."""
    return run_stage(job)


@task(**options("report", 1))
def report(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
    """The scorecard."""
    return run_stage(job)


STAGE_TASKS: dict[str, Task[..., Any]] = {item.name: item for item in (prepare, generate, filter, train, evaluate, report)}
