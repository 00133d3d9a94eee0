"""The steps of a study as tasks: its trials, then each question, in a child process that runs several runs at once."""

from __future__ import annotations

import sys
from pathlib import Path

from prefect import get_run_logger, task

from tasks import cards
from tasks.child import run_child
from tasks.dashboard import ProgressReporter
from tasks.orders import Orders, await_server
from tasks.reports import picture
from tasks.retries import HOUR, error_of, task_options

DAYS = 14


@task(**task_options("study-step", DAYS * 24 * HOUR, "stage") | {"task_run_name": "study: {step}"})
def study_step(study: str, step: str, at_once: int, folder: Path) -> None:
    """Run what is not finished of a step, and show the tables of what is.

    Raises:
        InputError, PassingFault, StageBug: runs failed; the others are finished.
    """
    progress, orders = ProgressReporter(cards.STUDY, folder), Orders()

    def watch() -> None:
        orders()
        progress()

    command = [sys.executable, "-m", "degla.study", "run", study, "--step", step, "--at-once", str(at_once)]
    ended = run_child(command, folder / "log.txt", get_run_logger().info, watch)
    progress.look()
    if error := error_of("study", ended):
        progress.failed(str(error))
        raise error
    await_server()
    show_tables(folder, f"{step} finished")
    cards.end_progress(cards.STUDY)


def show_tables(folder: Path, line: str) -> None:
    """Show the study's tables and plots in the run's card, if there are any."""
    tables = folder / "study.md"
    if tables.is_file():
        plots = "\n\n".join(picture(path) for path in sorted(folder.glob("*.svg")))
        cards.put(cards.STUDY, line, f"{tables.read_text(encoding='utf-8')}\n{plots}\n", folder)
