"""`python -m degla.study`: run a study without Prefect, and look at what came of it.

python -m degla.study plan miniworld                 what it takes: runs, hours, disk, and all that is missing
python -m degla.study run miniworld                  what is not finished: trials, choice, questions, tables
python -m degla.study run miniworld --step trials    a part of it: the trials, or a question
python -m degla.study one RUN.yaml                   one run, in this process; its file lies in the study's folder
python -m degla.study table miniworld                tables and plots of what is finished
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from degla.artifacts import check_writable
from degla.errors import ConfigError
from degla.experiments.cli import run_command
from degla.study.config import load_study
from degla.study.desk import Desk
from degla.study.one import make_negatives, run_one
from degla.study.preflight import check, plan_lines
from degla.study.runs import TRIALS
from degla.study.several import run_missing


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command("study", lambda: options.do(options))


def _plan(options: argparse.Namespace) -> None:
    for line in plan_lines(Desk(load_study(options.study))):
        print(line)


def _one(options: argparse.Namespace) -> None:
    if make_negatives(Path(options.file)):  # training starts in a process that holds nothing on the GPU
        os.execv(sys.executable, [sys.executable, "-m", "degla.study", "one", options.file])
    run_one(Path(options.file))


def _run(options: argparse.Namespace) -> None:
    desk = Desk(load_study(options.study))
    steps, at_once = desk.steps, options.at_once or desk.study.at_once
    if options.step and options.step not in steps:
        raise ConfigError(f"--step {options.step!r}: the steps of {desk.study.name} are {', '.join(steps)}")
    check_writable(desk.folder)
    check(desk)
    # by default the signal would end this process alone and leave its runs to go on unseen
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    for step in [options.step] if options.step else steps:
        if step == TRIALS:
            run_missing(desk, desk.trials(), step, at_once)
            _say_choices(desk)
        else:
            run_missing(desk, [run for run in desk.finals() if run.question == step], step, at_once)
            desk.write()
            print(f"tables: {desk.folder / 'study.md'}")


def _say_choices(desk: Desk) -> None:
    for checkpoint, methods in desk.choose().trials.items():
        for method, trials in methods.items():
            best = next(trial for trial in trials if trial.chosen)
            print(f"{checkpoint}, {method}: {' '.join(best.overrides)} ({best.composition:.1f} %, {best.lost:.1f} points lost)")


def _table(options: argparse.Namespace) -> None:
    desk = Desk(load_study(options.study))
    print(desk.write())
    print(f"also in {desk.folder}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m degla.study", description="A study: many runs of one protocol.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, do, text in (
        ("plan", _plan, "what it takes: runs, hours, disk, and all that is missing"),
        ("run", _run, "run what is not finished"),
        ("table", _table, "tables and plots of what is finished"),
    ):
        command = commands.add_parser(name, help=text, allow_abbrev=False)
        command.add_argument("study", help="name of a study in flows/studies/, or a YAML file")
        command.set_defaults(do=do)
        if do is _run:
            command.add_argument("--step", default="", help=f"`{TRIALS}` or a question; empty: all")
            command.add_argument(
                "--at-once", type=int, metavar="N", help="processes at the same time, if other than the study says"
            )
    one = commands.add_parser("one", help="one run, in this process", allow_abbrev=False)
    one.add_argument("file", help="the run's file in the study's folder")
    one.set_defaults(do=_one)
    return parser


if __name__ == "__main__":
    sys.exit(main())
