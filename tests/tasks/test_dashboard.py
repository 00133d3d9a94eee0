"""What the dashboard shows: words for progress, and which files are tables."""

from __future__ import annotations

from degla.progress import ProgressRecord
from tasks.dashboard import as_table, describe


def record(done: int, note: str = "") -> ProgressRecord:
    return ProgressRecord("tagging captions", done, 10_000, "captions", note)


def test_progress_says_how_far_and_how_long() -> None:
    text = describe(record(6000), first=record(2000), seconds=20)
    assert text == "tagging captions: 6,000 of 10,000 captions (60 %), about 20 s left"


def test_long_remainders_are_in_minutes() -> None:
    assert describe(record(3000), record(2000), 60).endswith("about 7 min left")


def test_no_remainder_is_promised_before_the_first_gain_or_at_the_end() -> None:
    assert "left" not in describe(record(2000), record(2000), 5)
    assert "left" not in describe(record(10_000), record(2000), 5)


def test_the_stages_note_is_kept() -> None:
    assert describe(record(2000, "loss 0.31"), record(2000), 5).endswith("(20 %), loss 0.31")


def test_rows_and_named_rows_are_tables() -> None:
    assert as_table([{"type": "reshuffle", "kept": 3}]) == [{"type": "reshuffle", "kept": 3}]
    assert as_table({"reshuffle": {"kept": 3}}) == [{"": "reshuffle", "kept": 3}]


def test_nested_empty_and_huge_values_are_not() -> None:
    assert as_table([{"type": {"name": "x"}}]) is None
    assert as_table([]) is None
    assert as_table({"a": 1}) is None
    assert as_table([{"n": n} for n in range(5000)]) is None
