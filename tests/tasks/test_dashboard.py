"""What the dashboard shows: words for progress, and the tables."""

from __future__ import annotations

import socket
from pathlib import Path

from degla.progress import ProgressRecord
from tasks.dashboard import describe, generation_rows, page_link, score_rows


def record(done: int, note: str = "") -> ProgressRecord:
    return ProgressRecord("tagging captions", done, 10_000, "captions", note)


def test_progress_says_how_far_and_how_long_where_that_can_be_told() -> None:
    assert describe(record(6000), 20) == "tagging captions: 6,000 of 10,000 captions (60 %), about 20 s left"
    assert describe(record(6000), None) == "tagging captions: 6,000 of 10,000 captions (60 %)"
    assert "left" not in describe(record(10_000), 0)


def test_the_stages_note_is_kept() -> None:
    assert describe(record(2000, "loss 0.31"), None).endswith("(20 %), loss 0.31")


def test_a_types_row_says_who_wrote_its_texts_and_why_others_are_missing() -> None:
    counts = {
        "rows": 30,
        "by_status": {"ok": 20, "abstained": 10},
        "by_generator": {"vllm:m": 18, "rules": 12},
        "by_attempt": {"1": 18, "2": 12},
    }
    assert generation_rows({"reshuffle": counts}) == [
        {
            "type": "reshuffle",
            "rows": 30,
            "texts": 20,
            "without text": "abstained 10",
            "by generator": "vllm:m 18, rules 12",
            "by attempt": "1 18, 2 12",
        }
    ]


def test_scores_are_in_per_cent_with_their_interval() -> None:
    row = {"metric": "a/accuracy", "model": "after", "value": 0.98, "low": 0.9641, "high": 0.9891, "items": 500}
    assert score_rows([row]) == [
        {"metric": "a/accuracy", "model": "after", "score, %": 98.0, "interval": "96.4 to 98.9", "items": 500}
    ]


def test_a_page_is_named_by_link_by_path_and_for_another_machine(tmp_path: Path) -> None:
    page = tmp_path / "a run" / "page.html"
    page.parent.mkdir()
    page.write_text("x" * 1_240_000)
    text = page_link(page)
    assert f"[page.html]({page.as_uri()}), 1.2 MB" in text
    assert " " not in page.as_uri()
    assert f"\n{page}\n" in text
    assert f"scp {socket.gethostname()}:'{page}' .\n" in text
