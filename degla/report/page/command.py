"""`python -m degla.report page [NAME=]RUN ...`: the page of any runs and files of outcomes, with or without a training.

python -m degla.report page artifacts/evaluate/0123456789abcdef --out page.html
python -m degla.report page ours=demo theirs.parquet --pair ours:after theirs --out page.html
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from degla.artifacts import Artifact
from degla.errors import ConfigError
from degla.files import write_text_atomic
from degla.report.compare.command import find_run
from degla.report.compare.runs import named
from degla.report.config import ReportConfig
from degla.report.page.page import make_page


def make_page_of(argv: Sequence[str], find: Callable[[str], Path]) -> None:
    """Write a page.

    Args:
        argv: the arguments after `page`.
        find: from the name of an experiment to its evaluation.

    Raises:
        InputError: an argument or a file is wrong, or there are not two models.
    """
    options = _parser().parse_args(argv)
    runs = named([find_run(each, find) for each in options.run], tuple(options.models))
    without = [model.label for run in runs for model in run.models if not model.outcomes]
    if without:
        raise ConfigError(f"{without[0]} has scores without outcomes: a page is made of which items were right")
    page = make_page(
        options.title,
        [each for run in runs for model in run.models for each in model.outcomes],
        [Artifact.load(run.evaluation) for run in runs if run.evaluation],
        options.megabytes,
        pair=tuple(options.pair) if options.pair else None,
        files=[run.path for run in runs if not run.evaluation],
    )
    write_text_atomic(options.out, page)
    print(f"{options.out}: {len(page.encode()) / 1e6:.1f} MB; open it in a browser")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m degla.report page", description="One self-contained HTML page of two models or more."
    )
    made.add_argument(
        "run", nargs="+", metavar="[NAME=]RUN", help="an experiment, an artifact of evaluate or report, or a file of outcomes"
    )
    made.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="keep these models of the runs; all")
    made.add_argument("--pair", nargs=2, metavar=("BEFORE", "AFTER"), help="shown at first; the page can show any two")
    made.add_argument("--title", default="Models side by side", help="heading (%(default)s)")
    made.add_argument("--out", type=Path, default=Path("page.html"), help="the file to write (%(default)s)")
    made.add_argument(
        "--megabytes", type=float, default=ReportConfig().page_megabytes, help="most that it may take (%(default)g)"
    )
    return made
