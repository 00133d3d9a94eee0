"""`python -m degla.study`: what a study runs, and what came of it. `flows/study.py` runs all of it; `one` is a run of it.

python -m degla.study plan miniworld          how many runs, which are finished
python -m degla.study one RUN.yaml            one run, in this process; its file lies in the study's folder
python -m degla.study choose miniworld        choose the settings, once every trial is finished
python -m degla.study table miniworld         tables and plots of what is finished
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from degla.experiments.cli import run_command
from degla.study.config import load_study
from degla.study.desk import Desk
from degla.study.one import run_one


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command("study", lambda: options.do(options))


def _plan(options: argparse.Namespace) -> None:
    desk = Desk(load_study(options.study))
    study, trials = desk.study, desk.trials()
    done = sum(desk.evaluated(run) is not None for run in trials)
    print(f"{study.name}: {study.description}\nfolder {desk.folder}\ntrials: {len(trials)}, finished {done}")
    if not desk.choices_file.is_file():
        count = sum(len(q.methods) * len(q.variants) * len(q.seeds) for q in study.questions.values()) * len(study.checkpoints)
        print(f"final runs: {count}, after the settings are chosen")
        return
    runs = desk.finals()
    for title in study.questions:
        own = [run for run in runs if run.question == title]
        print(f"{title}: {len(own)}, finished {sum(desk.evaluated(run) is not None for run in own)}")


def _one(options: argparse.Namespace) -> None:
    run_one(Path(options.file))


def _choose(options: argparse.Namespace) -> None:
    desk = Desk(load_study(options.study))
    for checkpoint, methods in desk.choose().trials.items():
        for method, trials in methods.items():
            best = next(trial for trial in trials if trial.chosen)
            print(f"{checkpoint} {method}: {' '.join(best.overrides)} ({best.composition:.1f}, {best.lost:.1f} lost)")


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
        ("plan", _plan, "how many runs, which are finished"),
        ("choose", _choose, "choose the settings, once every trial is finished"),
        ("table", _table, "tables and plots of what is finished"),
    ):
        command = commands.add_parser(name, help=text, allow_abbrev=False)
        command.add_argument("study", help="name of a study in flows/studies/, or a YAML file")
        command.set_defaults(do=do)
    one = commands.add_parser("one", help="one run, in this process", allow_abbrev=False)
    one.add_argument("file", help="the run's file in the study's folder")
    one.set_defaults(do=_one)
    return parser


if __name__ == "__main__":
    sys.exit(main())
