"""The labelled set of the filter: what a program can check of the files themselves, with a tokeniser of this file's own.

Knows nothing of the filter's rules, on purpose: the labels must not be fitted to them. Failures name the file and a line
number, never a text, because nobody who writes rules may read `untouched.csv`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from degla.negative_types import NEGATIVE_TYPES

LABELLED = Path(__file__).resolve().parent / "labelled"
PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
COLUMNS = ["caption", "other_captions", "type", "rewrite", "verdict", "family", "why"]
FAMILIES = {"form", "edit", "meaning", "redundancy"}
PER_CELL = {"open": range(28, 36), "untouched": range(13, 19)}  # rows of one type and one verdict
Row = dict[str, str]


def read(name: str) -> list[Row]:
    with (LABELLED / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        assert reader.fieldnames == COLUMNS
        return list(reader)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, `an` written `a`; an inner hyphen or apostrophe belongs to its word."""
    return ["a" if word == "an" else word for word in re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", text.lower())]


def normalised(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def texts(row: Row) -> list[str]:
    return [row["caption"], row["rewrite"], *filter(None, row["other_captions"].split("|"))]


def lines_where(rows: list[Row], wrong: list[bool]) -> list[int]:
    """Places of rows in the file, the header being row 1 (no text holds a line break)."""
    return [place for place, (_, is_wrong) in enumerate(zip(rows, wrong, strict=True), start=2) if is_wrong]


ROWS = {name: read(name) for name in PER_CELL}
BOTH = pytest.mark.parametrize("name", list(PER_CELL))


@BOTH
def test_every_field_is_filled_and_known(name: str) -> None:
    rows = ROWS[name]
    wrong = [
        not all(row[column].strip() == row[column] != "" for column in ("caption", "type", "rewrite", "verdict", "why"))
        or row["type"] not in NEGATIVE_TYPES
        or row["verdict"] not in ("keep", "reject")
        or (row["family"] in FAMILIES) != (row["verdict"] == "reject")
        or (row["family"] != "") != (row["verdict"] == "reject")
        or "\n" in "".join(row.values())
        for row in rows
    ]
    assert lines_where(rows, wrong) == []


@BOTH
def test_other_captions_are_up_to_four_texts_and_none_is_the_caption(name: str) -> None:
    rows = ROWS[name]
    others = [row["other_captions"].split("|") if row["other_captions"] else [] for row in rows]
    wrong = [
        len(texts_of) > 4 or any(text.strip() != text or text in ("", row["caption"]) for text in texts_of)
        for row, texts_of in zip(rows, others, strict=True)
    ]
    assert lines_where(rows, wrong) == []
    assert sum(len(texts_of) >= 2 for texts_of in others) > len(rows) / 2


@BOTH
def test_types_and_verdicts_are_balanced(name: str) -> None:
    counts = Counter((row["type"], row["verdict"]) for row in ROWS[name])
    cells = [(kind, verdict) for kind in NEGATIVE_TYPES for verdict in ("keep", "reject")]
    assert {cell: counts[cell] for cell in cells if counts[cell] not in PER_CELL[name]} == {}
    rejects = [row["family"] for row in ROWS[name] if row["verdict"] == "reject"]
    assert 0.5 < rejects.count("meaning") / len(rejects) < 0.75
    assert set(rejects) == FAMILIES


def test_a_third_of_the_rows_is_untouched() -> None:
    sizes = {name: len(rows) for name, rows in ROWS.items()}
    assert sum(sizes.values()) >= 400
    assert sizes["untouched"] / sum(sizes.values()) == pytest.approx(1 / 3, abs=0.03)


@BOTH
def test_no_row_occurs_twice(name: str) -> None:
    counts = Counter((row["caption"], row["type"], row["rewrite"]) for row in ROWS[name])
    assert max(counts.values()) == 1


def test_the_files_share_no_text() -> None:
    open_texts, untouched_texts = ({normalised(text) for row in ROWS[name] for text in texts(row)} for name in PER_CELL)
    shared = len(open_texts & untouched_texts)  # a number, so that a failure prints no text
    assert shared == 0


@BOTH
def test_kept_swaps_and_reshuffles_have_the_caption_s_words(name: str) -> None:
    rows = ROWS[name]
    moving = ("reshuffle", "swap_nouns", "swap_adjectives")
    wrong = [
        row["verdict"] == "keep"
        and row["type"] in moving
        and (sorted(words(row["rewrite"])) != sorted(words(row["caption"])) or words(row["rewrite"]) == words(row["caption"]))
        for row in rows
    ]
    assert lines_where(rows, wrong) == []


@BOTH
def test_kept_replacements_change_one_place_only(name: str) -> None:
    """At most two words out and two words in, between the longest common start and the longest common end."""
    rows = ROWS[name]
    wrong = [
        row["verdict"] == "keep"
        and row["type"].startswith("replace")
        and not all(1 <= count <= 2 for count in replaced(words(row["caption"]), words(row["rewrite"])))
        for row in rows
    ]
    assert lines_where(rows, wrong) == []


def replaced(before: list[str], after: list[str]) -> tuple[int, int]:
    """How many words were taken out and how many were put in."""
    shorter = min(len(before), len(after))
    start = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    end = next((place for place in range(shorter - start) if before[-1 - place] != after[-1 - place]), shorter - start)
    return len(before) - start - end, len(after) - start - end


@BOTH
def test_no_text_is_one_of_the_prompts(name: str) -> None:
    prompts = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(PROMPTS.glob("*.yaml"))]
    items = [item for prompt in prompts for item in prompt["exemplars"]]
    known = {normalised(item[side]) for item in items for side in ("input", "output")}
    assert len(items) == 250
    rows = ROWS[name]
    assert lines_where(rows, [any(normalised(text) in known for text in texts(row)) for row in rows]) == []


def test_the_paper_s_own_figure_is_in_the_open_file() -> None:
    """Two of the five rewrites of DeGLA's figure are no negatives (arXiv 2504.16801)."""
    figure = {row["type"]: row["verdict"] for row in ROWS["open"] if row["caption"].startswith("The quick brown fox jumps over")}
    assert figure == {
        "reshuffle": "reject",
        "swap_nouns": "keep",
        "swap_adjectives": "keep",
        "replace_nouns": "keep",
        "replace_adjectives": "reject",
    }
