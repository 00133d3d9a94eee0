"""A study as a Prefect flow: its trials, the choice of settings, its questions, its tables.

`prefect deployment run study/miniworld --watch` runs it in the served process, `make study` starts what is missing first. What is
finished is reused, so a study that was killed, or to which a question was added, runs what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prefect import flow, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from degla.artifacts import check_writable
from degla.errors import InputError
from degla.study.config import load_study, study_names
from degla.study.desk import Desk
from degla.study.preflight import plan_lines
from flows.recovery import begin_attempt, leaving
from flows.running import FLOW_OPTIONS, name_of, show_problems
from tasks.gpu import gpu_slot
from tasks.study import study_step

if TYPE_CHECKING:
    StudyName = str
else:
    StudyName = Literal[tuple(study_names())]  # a drop-down in the run form


def run_name() -> str:
    """What a run is called."""
    return name_of(["study", runtime.flow_run.parameters["study"]])


@flow(name="study", flow_run_name=run_name, **FLOW_OPTIONS)
def study(study: StudyName = "miniworld", at_once: int | None = None, dry_run: bool = False) -> State[str]:
    """Many trainings of one protocol: choose each method's settings on the validation split, then compare them on the test split.

    Args:
        study: A study of `flows/studies/`.
        at_once: Runs at the same time, each a process of its own; empty takes the study's.
        dry_run: Show the plan and all that is missing, then stop.
    """
    begin_attempt()
    desk = Desk(load_study(study))
    _show_plan(desk)
    if dry_run:
        return Completed(message="dry run: nothing was started", data=str(desk.folder))
    check_writable(desk.folder)
    training = desk.trials()[0].experiment.train
    with leaving():
        for step in desk.steps:
            with gpu_slot(training):
                study_step(study, step, at_once or desk.study.at_once, desk.folder)
    return Completed(message=f"tables and plots: {desk.folder}", data=str(desk.folder))


def _show_plan(desk: Desk) -> None:
    """Log the plan. Raises InputError, with all of it on the run's page, if settings are wrong or something is missing."""
    lines: list[str] = []
    try:
        lines.extend(plan_lines(desk))
    except InputError as error:
        show_problems(error)
        raise
    finally:
        get_run_logger().info("plan:\n%s", "\n".join(lines))
