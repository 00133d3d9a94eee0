"""`python -m degla.catalog get NAME`: download a card's files. `python -m degla.catalog list`: the cards and what they lack."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from degla.catalog import Card, card_names, load_card
from degla.catalog.fetch import get, is_there
from degla.errors import MissingInputError
from degla.experiments.cli import run_command
from degla.home import data_root


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; returns the exit code: 2 if files must be downloaded manually."""
    options = _parser().parse_args(argv)
    return run_command("catalog", (lambda: _get(options.name)) if options.command == "get" else _list)


def _get(name: str) -> None:
    card = load_card(name)
    print(f"{card.name}: {card.description.strip()}\nsource: {card.source}\nlicence: {card.licence.strip()}", flush=True)
    steps = get(card, print)
    for step in steps:
        print(step.sentence(), flush=True)
    needed = [step for step in steps if not step.optional]
    if needed:
        raise MissingInputError(
            f"{card.name} is not complete: {len(needed)} of its files must be downloaded manually; the steps are above"
        )
    print(f"{card.name} is in place below {data_root()}", flush=True)


def _list() -> None:
    for name in card_names():
        card = load_card(name)
        print(f"{name:<24} {card.kind:<10} {_state(card)}")


def _state(card: Card) -> str:
    lacking = [role for role, entry in card.files.items() if not is_there(entry)]
    return f"lacks {', '.join(lacking)}" if lacking else "there" if card.files else "needs no files"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m degla.catalog", description="Datasets and benchmarks, and their files.")
    commands = parser.add_subparsers(dest="command", required=True)
    getter = commands.add_parser("get", help="download the files of a card into DEGLA_DATA")
    getter.add_argument("name", help="a card of data_catalog/")
    commands.add_parser("list", help="the cards, and which of their files are missing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
