"""`python -m degla.report compare [NAME=]RUN ...`: compare runs, models and published scores.

python -m degla.report compare                                             the last finished runs
python -m degla.report compare demo artifacts/evaluate/0123456789abcdef --published negclip clip_vit_b_32:vl_compo
python -m degla.report compare ours=artifacts/report/0123456789abcdef theirs.parquet --format md csv json latex --out comparison
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from degla.catalog.published import published_file
from degla.errors import ConfigError
from degla.home import artifact_root
from degla.report.compare.comparison import compare
from degla.report.compare.files import FORMS, write
from degla.report.compare.latest import LAST, last_runs
from degla.report.compare.published import published_rows
from degla.report.compare.runs import Run, named, read_run


def run(argv: Sequence[str], find: Callable[[str], Path]) -> None:
    """Print or write a comparison.

    Args:
        argv: the arguments after `compare`.
        find: from the name of an experiment to its evaluation.

    Raises:
        InputError: an argument or a file is wrong, or nothing can be compared.
    """
    options = parser().parse_args(argv)
    if len(options.format) > 1 and options.out is None:
        raise ConfigError("several formats need a folder: --out DIR")
    if options.run and options.last:
        raise ConfigError("--last is for a comparison without RUN")
    found = [find_run(each, find) for each in options.run]
    if options.last or not (options.run or options.published):
        found = last_runs(artifact_root(), options.last or LAST)
    runs = named(found, tuple(options.models))
    published = {row.label: row for name in options.published for row in published_rows(name)}
    made = compare(runs, list(published.values()), options.baseline)
    if options.out is None:
        print(FORMS[options.format[0]][1](made), end="")
        return
    for path in write(made, options.out, options.format):
        print(path)


def parser() -> argparse.ArgumentParser:
    """Of the arguments after `compare`."""
    made = argparse.ArgumentParser(
        prog="python -m degla.report compare", description="Compare runs, models and published scores."
    )
    made.add_argument(
        "run",
        nargs="*",
        metavar="[NAME=]RUN",
        help="an experiment, an artifact of evaluate or report, a file of outcomes, or a table of scores; without any, the"
        " last finished runs",
    )
    made.add_argument("--last", type=int, metavar="N", help=f"how many, without RUN ({LAST})")
    made.add_argument("--published", nargs="+", default=[], metavar="NAME", help=f"rows of {published_file()}, or NAME:SOURCE")
    made.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="keep these models of the runs (after); all")
    made.add_argument("--baseline", default="", metavar="MODEL", help="compare the others with this one; the first")
    made.add_argument("--format", nargs="+", choices=list(FORMS), default=["md"], help="what to print, or to write (md)")
    made.add_argument("--out", type=Path, help="folder to write to; prints if there is none")
    return made


def find_run(text: str, find: Callable[[str], Path]) -> Run:
    """A run by its path, or by the name of an experiment, with the name that stands before it, if any.

    Args:
        text: as `[NAME=]RUN`.
        find: from the name of an experiment to its evaluation.

    Raises:
        InputError: there is no such run, or it is damaged.
    """
    name, separator, place = text.partition("=")
    if not separator or Path(text).exists():
        name, place = "", text
    path = Path(place)
    if path.exists() and path.suffix not in (".yaml", ".yml"):
        return read_run(path, name)
    if "/" in place and path.suffix not in (".yaml", ".yml"):
        return read_run(path)  # which says that it does not exist
    return read_run(find(place), name or path.stem)
