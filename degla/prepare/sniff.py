"""`python -m degla.prepare sniff PATH... [--images FOLDER...] [-o OPTION=VALUE...]`: what is recognised in files of captions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from degla.config import validate
from degla.overrides import apply_overrides
from degla.sources.options import SourceOptions
from degla.sources.sniff import sniff


def command(arguments: Sequence[str]) -> None:
    """`sniff ...` of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m degla.prepare sniff",
        description="Say what is recognised in files of captions, and print the settings that read them (docs/data.md).",
    )
    parser.add_argument("path", nargs="+", help="a file, a folder, or a pattern such as part-*.parquet or {00000..00041}.tar")
    parser.add_argument("--images", nargs="+", default=[], metavar="FOLDER", help="where the images are; else near the file")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="OPTION=VALUE", help="such as header=false")
    given = parser.parse_args(arguments)
    options = validate(SourceOptions, apply_overrides(SourceOptions, {}, given.override), "options")
    print(sniff(given.path, options, given.images))
