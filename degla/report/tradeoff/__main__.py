"""`python -m degla.report.tradeoff`: the trade-offs of several runs on one plot, as Pareto fronts with their areas.

python -m degla.report.tradeoff degla=artifacts/evaluate/0123456789abcdef negclip=artifacts/evaluate/fedcba9876543210 --to out.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from degla.artifacts import Artifact
from degla.errors import ConfigError
from degla.experiments.cli import run_command
from degla.report.tradeoff.plot import plot_tradeoff
from degla.report.tradeoff.runs import Run, check_comparable, common_budget
from degla.report.tradeoff.text import comparison


def main(argv: Sequence[str] | None = None) -> int:
    """Draw and print; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command("report", lambda: _draw(options))


def _draw(options: argparse.Namespace) -> None:
    runs = []
    for named in options.run:
        name, _, folder = named.rpartition("=")
        runs.append(Run.of(Artifact.load(Path(folder)), name))
    check_comparable(runs)
    limit = common_budget(runs) if options.up_to is None else options.up_to
    if not limit > 0:
        raise ConfigError(f"--up-to must be above 0 points; got {limit:g}")
    print(comparison(runs, limit))
    if options.to:
        plot_tradeoff(runs, options.to, limit)
        print(f"\n{options.to}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m degla.report.tradeoff", description="Composition against forgetting, of one or more runs."
    )
    parser.add_argument("run", nargs="+", metavar="[NAME=]FOLDER", help="a finished evaluation with evaluate.interpolate")
    parser.add_argument("--to", type=Path, help="SVG file to draw")
    parser.add_argument("--up-to", type=float, metavar="POINTS", help="largest budget of the areas (the largest loss of any run)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
