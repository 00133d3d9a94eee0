"""`python -m degla.outcomes`: export the outcomes of an evaluation, compare two models, or show every convention.

python -m degla.outcomes export artifacts/evaluate/0123456789abcdef --to outcomes --as parquet
python -m degla.outcomes compare artifacts/evaluate/0123456789abcdef theirs.parquet --models after theirs
python -m degla.outcomes crosswalk artifacts/evaluate/0123456789abcdef
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from degla.artifacts import MANIFEST
from degla.errors import ConfigError, DataError
from degla.experiments.cli import run_command
from degla.outcomes import crosswalk
from degla.outcomes.compare import as_markdown, changes, corrected, side_by_side
from degla.outcomes.export import FORMS, export
from degla.outcomes.outcome import outcomes_of
from degla.text_files import nearest_key


def main(argv: Sequence[str] | None = None) -> int:
    """Do it; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command("outcomes", lambda: _COMMANDS[options.command](options))


def _export(options: argparse.Namespace) -> None:
    outcomes = outcomes_of(options.source)
    manifest = options.source / MANIFEST
    date = json.loads(manifest.read_text())["started"] if manifest.is_file() else datetime.now(UTC).isoformat(timespec="seconds")
    for path in export(outcomes, options.to, options.form, date):
        print(path)


def _compare(options: argparse.Namespace) -> None:
    outcomes = [each for path in options.source for each in outcomes_of(path)]
    models = list(dict.fromkeys(each.model for each in outcomes))
    if options.models is None and len(models) != 2:
        raise ConfigError(f"compare takes two models; name them: --models A B. There are: {', '.join(models)}")
    first, second = (nearest_key(models, name, "the outcomes") for name in options.models or models)
    found = side_by_side([each for each in outcomes if each.model in (first, second)])
    made = corrected(changes(found, first, second))
    if not made:
        raise DataError(f"{first} and {second} have no benchmark in common")
    print(as_markdown(made, found.notes, first, second))


def _crosswalk(options: argparse.Namespace) -> None:
    print(crosswalk.as_markdown(crosswalk.crosswalk([each for path in options.source for each in outcomes_of(path)])))


_COMMANDS = {"export": _export, "compare": _compare, "crosswalk": _crosswalk}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m degla.outcomes", description="Outcomes: export, compare, crosswalk.")
    commands = parser.add_subparsers(dest="command", required=True)
    exported = commands.add_parser("export", help="write the outcomes of an evaluation in a form that others read")
    exported.add_argument("source", type=Path, help="a finished evaluation, or a file of outcomes")
    exported.add_argument("--to", type=Path, required=True, help="folder to write to")
    exported.add_argument("--as", dest="form", choices=list(FORMS), default="parquet", help="form of the files (parquet)")
    compared = commands.add_parser("compare", help="two models on the items that both were scored on")
    compared.add_argument("source", type=Path, nargs="+", help="finished evaluations or files of outcomes")
    compared.add_argument("--models", nargs=2, metavar=("A", "B"), help="their names; needed if there are more than two")
    crossed = commands.add_parser("crosswalk", help="each model under every convention in use: averages, ties, who uses them")
    crossed.add_argument("source", type=Path, nargs="+", help="finished evaluations or files of outcomes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
