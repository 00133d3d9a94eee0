"""`python -m degla.filter audit FILE... [--corpus FILE] [--out DIR]`: the report card of anyone's negatives.

Reads a filter artifact (its folder, or the experiment's name), and files of negatives in any form of `docs/data.md`. Type and
generator are read from the columns of these names, if there are any.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from degla.artifacts import check_writable
from degla.files import write_text_atomic
from degla.filter.audit.card_text import card_lines, card_markdown, section_lines, side_by_side
from degla.filter.audit.report_card import make_card
from degla.filter.audit.targets import read_corpus

PAGE, VALUES = "report_card.md", "report_card.json"


def command(arguments: Sequence[str]) -> None:
    """`audit ...` of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m degla.filter audit",
        description="Report card of negatives: whether they are of their type, which rules refuse them, how well a text-only"
        " classifier tells them, how many may be true, and what they share with benchmarks.",
    )
    parser.add_argument("target", nargs="+", help="a filter artifact, an experiment, or a file of negatives")
    parser.add_argument(
        "--corpus", type=Path, help="a file of captions: to train the classifier on, and for what else is said of the images"
    )
    parser.add_argument("--out", type=Path, help=f"a folder for {PAGE} and {VALUES}")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="of an experiment")
    options = parser.parse_args(arguments)
    if options.out:
        check_writable(options.out)
    corpus = None if options.corpus is None else read_corpus(options.corpus)
    cards = []
    for target in options.target:
        card = make_card(target, options.override, corpus)
        cards.append(card)
        print("\n".join([f"{target}: {'=' * 8}", *card_lines(card)]), flush=True)
        if options.out:  # after each, so that a later file that cannot be read costs none of them
            write_text_atomic(options.out / PAGE, card_markdown(cards))
            write_text_atomic(options.out / VALUES, json.dumps(cards, ensure_ascii=False, indent=1) + "\n")
    if len(cards) > 1:
        print("\n".join(section_lines("Side by side, %", *side_by_side(cards))))
    if options.out:
        print(f"written: {options.out / PAGE}, {options.out / VALUES}")
