"""What people are told while rewrites are made: from rows, as captions are finished late and together."""

from __future__ import annotations

import json

import pytest

from degla.generate.watcher import Watcher, add_up, captions_worth, describe, measured_rates
from degla.generate.worker import WORKERS
from degla.progress import read_progress
from degla.units import Units, cut


def statistics(**tally):
    counts = {"captions": 0, "begun": 0, "answered": 0, "answered_of_captions": 0, "rows": {}, "usable": {}, "refused": {}}
    engine = {"rows": tally.get("answered", 0), "seconds": 30.0, "prompt_tokens": 0, "cached_tokens": 0, "output_tokens": 600}
    return engine | {"tally": counts | tally}


def test_rows_of_captions_that_are_not_finished_are_progress():
    total = add_up([statistics(begun=64, answered=128)])
    assert captions_worth(total, most_rows=8) == 16
    assert describe(total).startswith("128 rows of 64 captions; 4.3 rows/s a worker")


def test_what_a_caption_takes_is_taken_from_finished_ones_where_there_are_some():
    total = add_up([statistics(captions=30, begun=50, answered=200, answered_of_captions=150)])
    assert captions_worth(total, most_rows=20) == 10
    few = add_up([statistics(captions=3, begun=23, answered=55, answered_of_captions=15)])
    assert captions_worth(few, most_rows=20) == 2


def test_no_more_is_counted_than_was_begun():
    assert captions_worth(add_up([statistics(captions=20, begun=22, answered=500, answered_of_captions=100)]), 20) == 2


def test_the_hours_left_come_from_the_rows_left():
    """200 rows in 30 s, five a caption, 1,000 captions: 4,800 rows at 6.7 a second."""
    total = add_up([statistics(captions=20, begun=64, answered=200, answered_of_captions=100)])
    assert "6.7 rows/s and 20 output tokens/s" in measured_rates(total, 1000)
    assert measured_rates(total, 1000).endswith("about 4,800 rows left, 12 min of engine time")


@pytest.mark.parametrize("told", [0, 3])
def test_progress_moves_before_the_first_caption_is_done(tmp_path, told):
    (tmp_path / WORKERS).mkdir()
    with Watcher(tmp_path, Units(tmp_path / "rewrites", "part-{number}", cut(100, 10)), most_rows=8):
        worker = statistics(begun=10 * told, answered=24 * told)
        (tmp_path / WORKERS / "one.json").write_text(json.dumps(worker))
    assert read_progress(tmp_path).done == 3 * told


def test_the_whole_is_done_when_all_parts_are_there_and_not_before(tmp_path):
    (tmp_path / WORKERS).mkdir()
    with Watcher(tmp_path, Units(tmp_path / "rewrites", "part-{number}", cut(100, 10)), most_rows=8):
        (tmp_path / WORKERS / "one.json").write_text(json.dumps(statistics(begun=100, answered=800)))
    assert read_progress(tmp_path).done == 99
