"""The task that compares runs, in a child process, and shows the comparison in the dashboard."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from tasks.child import run_child
from tasks.narrow import narrow
from tasks.orders import Orders
from tasks.reports import LARGEST_BYTES
from tasks.retries import HOUR, error_of, task_options

LOG, PAGE = "log.txt", "comparison.md"


@task(**task_options("compare-runs", HOUR, "compare"))
def compare_runs(folder: Path, arguments: Sequence[str]) -> list[Path]:
    """Write a comparison to this folder, and show its Markdown; returns the files.

    Args:
        folder: made if it does not exist.
        arguments: of `python -m degla.report compare`, without `--out`.

    Raises:
        InputError: a run cannot be read, or nothing can be compared; the message says what to do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "degla.report", "compare", "--out", str(folder), *arguments]
    ended = run_child(command, folder / LOG, get_run_logger().info, Orders())
    if error := error_of("compare", ended):
        raise error
    page = folder / PAGE
    small = page.stat().st_size <= LARGEST_BYTES
    shown = narrow(page.read_text(encoding="utf-8")) if small else f"Too large to show: `{page}`"
    create_markdown_artifact(shown, key="comparison", description=f"`{folder}`")
    return sorted(path for path in folder.iterdir() if path.name != LOG)
