"""The steps of the evaluate stage as tasks: one pass that encodes, then each benchmark.

A failed benchmark is retried alone; the others keep their results, which are units of the library's artifact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State

from degla.evaluate.config import FEATURES
from tasks.stage import StageJob, StageResult, run_step
from tasks.stages import options

_FEATURES = {"name": "evaluate-features", "task_run_name": "evaluate: features"}
_BENCHMARK = {"name": "evaluate-benchmark", "task_run_name": "evaluate: {title}", "tags": ["stage"]}


@task(**options("evaluate") | _FEATURES)
def encode(job: StageJob, reads: Sequence[StageResult]) -> None:
    """Encode each distinct image and text of all benchmarks once, for every model."""
    run_step(job, FEATURES)


@task(**options("evaluate") | _BENCHMARK)
def benchmark(job: StageJob, title: str, reads: Sequence[Any]) -> None:
    """Score one benchmark by arithmetic on the features."""
    run_step(job, title)


def score_benchmarks(job: StageJob, titles: Sequence[str], reads: Sequence[State[StageResult]]) -> list[State[Any]]:
    """Encode, then score every benchmark even if others fail; returns their states for the run's graph.

    Raises:
        InputError, PassingFault, StageBug: the error of the first benchmark that failed, after its retries.
    """
    encoded = encode(job, reads, return_state=True)
    encoded.result()
    states = [benchmark(job, title, [encoded], return_state=True) for title in titles]
    for state in states:
        state.result()
    return states
