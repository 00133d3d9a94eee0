"""`python -m degla.report EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options.

`python -m degla.report compare RUN ...` compares runs, models and published scores; `python -m degla.report page RUN ...` makes
one self-contained HTML page of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from degla.errors import MissingInputError
from degla.experiments.cli import main as run_stage
from degla.experiments.cli import run_command
from degla.experiments.experiment import load_experiment
from degla.experiments.plan import plan
from degla.report.compare import command
from degla.report.page.command import make_page_of


def main(argv: Sequence[str]) -> int:
    """Do it; returns the exit code."""
    if argv[:1] == ["compare"]:
        return run_command("compare", lambda: command.run(argv[1:], evaluation_of))
    if argv[:1] == ["page"]:
        return run_command("page", lambda: make_page_of(argv[1:], evaluation_of))
    return run_stage("report", argv)


def evaluation_of(experiment: str) -> Path:
    """The evaluation of an experiment. Raises MissingInputError if it is not finished, with the command that makes it."""
    planned = plan(load_experiment(experiment), upto="evaluate")["evaluate"]
    if not planned.finished:
        raise MissingInputError(
            f"the evaluation of {experiment} is not finished ({planned.path}). Make it with:"
            f" python -m degla.evaluate {experiment}"
        )
    return planned.path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
