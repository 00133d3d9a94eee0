"""A study as a Prefect flow: its trials, the choice of settings, its final runs, its tables.

`prefect deployment run study/miniworld --watch` runs it in the served process; `make study` is the default grid. What is finished
is reused, so a study that was killed, or to which a question was added, runs what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from degla.artifacts import check_writable
from degla.study.config import load_study
from degla.study.desk import Desk
from degla.study.runs import TRIALS, Run
from flows.running import FLOW_OPTIONS
from tasks.dashboard import publish_folder
from tasks.study import Board, prepared, stopping, study_run

TABLE_SECONDS = 120  # between drawings of the live table: each reads every finished run


def study_name() -> str:
    """What a run is called."""
    return f"study {runtime.flow_run.parameters['study']}"


@flow(name="study", flow_run_name=study_name, **FLOW_OPTIONS)
def study(study: str, at_once: int = 2, dry_run: bool = False) -> State[str]:
    """Many trainings of one protocol: choose each method's settings on the validation split, then compare them on the test split.

    Args:
        study: A study of `flows/studies/`, or the path of a YAML file.
        at_once: Runs at the same time. Each takes one core, or a GPU.
        dry_run: Count the runs, then stop.
    """
    desk = Desk(load_study(study))
    trials = desk.trials()
    for run in trials:
        run.plans()  # refuses wrong settings before anything starts
    if dry_run:
        return Completed(message=f"dry run: {len(trials)} trials, then the final runs", data=str(desk.folder))
    check_writable(desk.folder)
    stopping.clear()
    try:
        _run_all(desk, trials, TRIALS, at_once)
        desk.choose()
        finals = desk.finals()
        for title in desk.study.questions:
            _run_all(desk, [run for run in finals if run.question == title], title, at_once)
    except BaseException:
        stopping.set()
        raise
    desk.write(finals)
    publish_folder("study", desk.folder)
    return Completed(message=f"tables and plots: {desk.folder}", data=str(desk.folder))


def _run_all(desk: Desk, runs: Sequence[Run], title: str, at_once: int) -> None:
    """Run what is not finished of a question, as a flow of its own.

    Raises:
        PassingFault, StageBug, InputError: the error of the first run that failed, once the others have ended.
    """
    missing = [run for run in runs if desk.evaluated(run) is None]
    get_run_logger().info("%s: %d runs, %d finished before", title, len(runs), len(runs) - len(missing))
    if missing:
        several = study_runs.with_options(task_runner=ThreadPoolTaskRunner[Any](max_workers=at_once), flow_run_name=title)
        several(desk, missing, title)


@flow(name="study-runs", persist_result=False, validate_parameters=False)
def study_runs(desk: Desk, runs: Sequence[Run], title: str) -> None:
    """Runs of one question, several at once; shows their number and the tables as they end. Raises as `_run_all`."""
    board, failed, shown = Board(title, len(runs)), 0, time.monotonic()
    states = [study_run.submit(*prepared(run, desk.folder)) for run in runs]
    for ended in as_completed(states):
        failed += ended.state.is_failed()
        board.advance(failed)
        if title != TRIALS and time.monotonic() - shown > TABLE_SECONDS:
            board.show(desk.write())
            shown = time.monotonic()
    for ended in states:
        ended.result()
