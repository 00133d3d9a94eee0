"""Choose a prompt's exemplars from the command line:

    python -m degla.generate.exemplars propose EXPERIMENT --type reshuffle [--number 30] [--out FILE.yaml] [-o key=value]
    python -m degla.generate.exemplars accept FILE.yaml [--keep 1,4,7-9] [--mode replace] [--prompts DIR]

The flow `exemplars` runs these two commands with a form in the dashboard between them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from degla.experiments.cli import run_command
from degla.experiments.experiment import load_experiment
from degla.generate.exemplars.selection import MOST, Mode, accept, propose_file
from degla.negative_types import NEGATIVE_TYPES

NAME = "exemplars"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command from its arguments; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command(NAME, lambda: options.do(options))


def _propose(options: argparse.Namespace) -> None:
    path = options.out or Path(f"exemplars-{options.type}.yaml")
    experiment = load_experiment(options.experiment, options.override)
    proposal = propose_file(experiment, options.type, options.number, options.captions, options.seed, path)
    place = shlex.quote(str(path))
    print(f"{len(proposal.items)} exemplars for {proposal.type} are proposed in {path}")
    print(f"next: write `keep: true` at those to keep, then  python -m degla.generate.exemplars accept {place}", flush=True)


def _accept(options: argparse.Namespace) -> None:
    done = accept(options.file, options.keep, options.mode, options.prompts, options.most, options.note)
    added, left = len(done.added), len(done.left_out)
    prompt, gone = done.prompt, f", {left} older ones left out" if left else ""
    print(f"{prompt.type} is version {prompt.version} now: {added} chosen{gone}, {len(prompt.exemplars)} exemplars in all")
    print(f"{done.path}\nbefore: {done.previous}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m degla.generate.exemplars", description="Choose a prompt's exemplars.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("propose", help="write a file of proposals to choose from")
    one.set_defaults(do=_propose)
    one.add_argument("experiment", help="a preset of flows/experiments/ by name, or the path of a YAML file; prepared")
    one.add_argument("--type", choices=NEGATIVE_TYPES, required=True, help="the negative type")
    one.add_argument("--number", type=_positive, default=30, help="largest number of proposals (30)")
    one.add_argument("--captions", type=_positive, default=600, help="captions to rewrite (600)")
    one.add_argument("--seed", type=int, default=0, help="seed that picks the captions (0)")
    one.add_argument("--out", type=Path, help="the file (exemplars-TYPE.yaml)")
    one.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as generate.attempts=[vllm]"
    )
    one = commands.add_parser("accept", help="write the chosen exemplars as the prompt's next version")
    one.set_defaults(do=_accept)
    one.add_argument("file", type=Path, help="the marked file of proposals")
    one.add_argument("--keep", metavar="NUMBERS", help="numbers such as 1,4,7-9, or all; overrides the marks in the file")
    one.add_argument("--mode", choices=get_args(Mode), default="add", help="add to the present exemplars, or replace them")
    one.add_argument("--prompts", type=Path, metavar="DIR", help="folder of the prompts; overrides the one in the file")
    one.add_argument(
        "--most",
        type=_positive,
        default=MOST,
        help=f"largest number of exemplars ({MOST}); the first ones are dropped",
    )
    one.add_argument("--note", default="", help="a comment for the top of the prompt file")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
