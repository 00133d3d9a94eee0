"""The task that fetches a card's files, in a child process."""

from __future__ import annotations

import sys

from prefect import get_run_logger, task

from degla.artifacts import check_writable
from degla.home import data_root
from tasks.child import run_child
from tasks.orders import Orders
from tasks.retries import HOUR, error_of, task_options

LOG = ".downloads/log.txt"


@task(**task_options("get-files", 48 * HOUR, "catalog") | {"task_run_name": "get {name}"})
def get_files(name: str) -> None:
    """Download the files of a card.

    Raises:
        InputError: a file does not match the card, or must be downloaded manually; the log gives the steps.
        PassingFault: the server does not answer; the next attempt resumes.
    """
    log = data_root() / LOG
    check_writable(log.parent)
    ended = run_child([sys.executable, "-m", "degla.catalog", "get", name], log, get_run_logger().info, Orders())
    if error := error_of("catalog", ended):
        raise error
