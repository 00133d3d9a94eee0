"""The Prefect tasks, one per stage. Each takes a job and the results of the stages it reads, for the dashboard's graph.

No task uses Prefect's cache or persists its result: the library decides about reuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.tasks import Task

from degla.experiments.experiment import STAGES, Experiment
from tasks.retries import HOUR, seconds_of, task_options
from tasks.stage import StageJob, StageResult, run_stage

HOURS = {"generate": 7 * 24, "train": 7 * 24, "evaluate": 24}
"""Time limits; 12 for every other stage. DEGLA_<STAGE>_TIMEOUT, in seconds, replaces them."""
ON_GPU = {"generate", "train", "evaluate"}


def options(stage: str) -> dict[str, Any]:
    """The options of a stage's task."""
    seconds = seconds_of(f"DEGLA_{stage.upper()}_TIMEOUT", HOURS.get(stage, 12) * HOUR)
    return task_options(stage, seconds, "stage", *(["gpu"] if stage in ON_GPU else []))


def _stage_task(stage: str) -> Task[..., State[StageResult]]:
    @task(description=Experiment.model_fields[stage].description, **options(stage))
    def run(job: StageJob, reads: Sequence[StageResult]) -> State[StageResult]:
        return run_stage(job)

    return run


STAGE_TASKS: dict[str, Task[..., State[StageResult]]] = {stage: _stage_task(stage) for stage in STAGES}
