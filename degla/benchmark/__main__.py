"""`python -m degla.benchmark make|check|show|size`: a benchmark of your own photos, checked by people.

`--help`, also of each command, lists the options.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from degla.benchmark.decisions import Decisions, State
from degla.benchmark.folder import BenchmarkFolder
from degla.benchmark.make import NUM_ITEMS, TARGET, MakeOptions, made_lines, make
from degla.benchmark.precision import DISAGREEMENTS, accuracy_half_width, difference_half_width, precision_lines
from degla.benchmark.server import serve
from degla.experiments.cli import run_command
from degla.negative_types import NEGATIVE_TYPES


def _make(options: argparse.Namespace) -> None:
    for line in precision_lines(options.precision) if options.precision else []:
        print(line)
    made = make(
        MakeOptions(
            source=options.source,
            out=options.out,
            images=options.images,
            items=options.items,
            exclude=options.exclude,
            target=options.target,
            corpus=options.corpus,
            seed=options.seed,
            name=options.name,
            overrides=options.override,
        )
    )
    print("\n".join(made_lines(made)))


def _check(options: argparse.Namespace) -> None:
    serve(BenchmarkFolder.load(options.folder), options.reviewer, options.host, options.port)


def _show(options: argparse.Namespace) -> None:
    folder = BenchmarkFolder.load(options.folder)
    print("\n".join(show_lines(folder, Decisions(folder).states())))


def _size(options: argparse.Namespace) -> None:
    print("\n".join(precision_lines(options.precision)))


def show_lines(folder: BenchmarkFolder, states: Sequence[State]) -> list[str]:
    """How far the check is, who agreed, and what the items are good for."""
    verdicts = Counter(state.verdict or "unchecked" for state in states)
    left = [state for state in states if state.verdict != "drop"]
    types = Counter(state.item.type for state in left)
    lines = [
        f"{folder.name}: {len(states):,} items; "
        + ", ".join(f"{name} {verdicts[name]:,}" for name in ("keep", "fix", "drop", "unchecked")),
        f"scored are {len(left):,}: " + ", ".join(f"{name} {types[name]:,}" for name in NEGATIVE_TYPES),
    ]
    said = Counter(each.reviewer for state in states for each in state.verdicts.values())
    lines += [f"  {reviewer}: {count:,} items" for reviewer, count in sorted(said.items())]
    several = [state for state in states if len(state.verdicts) > 1]
    if several:
        agreed = sum(len({each.verdict == "drop" for each in state.verdicts.values()}) == 1 for state in several)
        lines.append(f"  of {len(several):,} items that several people looked at, they agree on {agreed:,} (to drop or not)")
    if left:
        points = 100 * accuracy_half_width(len(left))
        paired = ", ".join(
            f"± {100 * difference_half_width(len(left), share):.1f} at {100 * share:g} %" for share in DISAGREEMENTS
        )
        lines += [
            f"a single accuracy is known to ± {points:.1f} points at most;",
            f"a difference of two models, by the share of items on which they disagree: {paired}",
        ]
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m degla.benchmark", description="A benchmark of your own photos.")
    commands = parser.add_subparsers(required=True, metavar="make|check|show|size")
    made = commands.add_parser("make", help="make one of held-out captions")
    made.add_argument("source", type=Path, help="captions with their images, in any form of docs/data.md")
    made.add_argument("--out", type=Path, required=True, help="the folder to make")
    made.add_argument(
        "--images", type=Path, help="folder of the images; by default `images` beside the captions, or their folder"
    )
    made.add_argument("--items", type=_positive, default=NUM_ITEMS, help=f"number of items ({NUM_ITEMS})")
    made.add_argument(
        "--exclude",
        type=Path,
        nargs="+",
        default=[],
        metavar="PLACE",
        help="images that a model was trained on: artifacts of train, filter or prepare, files of captions, folders of images, or"
        " lists of names",
    )
    made.add_argument("--target", type=float, default=TARGET, help=f"accuracy of a text-only classifier, 0.5 to 1 ({TARGET})")
    made.add_argument("--corpus", type=Path, help="captions for that classifier to learn from, where the source has few")
    made.add_argument("--precision", type=_points, help="print how many items an interval of ± this many points needs")
    made.add_argument("--name", default="", help="of the card; by default the folder's")
    made.add_argument("--seed", type=int, default=0, help="another number draws other items")
    made.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as generate.attempts=[vllm]"
    )
    made.set_defaults(do=_make)
    checked = commands.add_parser("check", help="let people check the items, in a browser")
    checked.add_argument("folder", type=Path)
    checked.add_argument("--reviewer", nargs="+", required=True, metavar="NAME", help="who may decide; each gets a link")
    checked.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets everyone on the network in, for a phone")
    checked.add_argument("--port", type=int, default=0, help="0 takes one by the benchmark, the same at each start if it is free")
    checked.set_defaults(do=_check)
    shown = commands.add_parser("show", help="how far the check is, and how exact the benchmark")
    shown.add_argument("folder", type=Path)
    shown.set_defaults(do=_show)
    size = commands.add_parser("size", help="how many items a wanted precision needs")
    size.add_argument("--precision", type=_points, required=True, metavar="POINTS", help="half of a 95 %% interval, in points")
    size.set_defaults(do=_size)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = 0.0
    if not 0.05 <= points <= 50:
        raise argparse.ArgumentTypeError(f"{text!r}: expected points from 0.05 to 50")
    return points


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""

    def do() -> None:
        options = _parser().parse_args(arguments)
        options.do(options)

    return run_command("benchmark", do)


if __name__ == "__main__":
    sys.exit(main())
