"""Progress: a time left is told once it can be trusted, and not before."""

from __future__ import annotations

import pytest

from degla.progress import Pace, Progress, duration


def told(done_at, total, seconds, every=2.0):
    """(second, seconds left) for each look at work of which `done_at(second)` items are done."""
    pace, found = Pace(), []
    for number in range(int(seconds / every)):
        now = number * every
        pace.see(1000 + now, done_at(now))
        found.append((now, pace.seconds_left(total - done_at(now))))
    return found


def test_steady_work_is_told_rightly_after_ten_seconds():
    looks = told(lambda now: int(50 * now), 18_000, 300)
    assert all(left is None for now, left in looks if now < 10)
    assert all(left == pytest.approx(360 - now, rel=0.1) for now, left in looks if now >= 12)


def test_a_slow_start_promises_nothing_and_then_what_is_true():
    """Work of 40 s whose workers take 10 s to start: extrapolated from the start, 280 of 18,000 are 10 minutes."""
    looks = told(lambda now: 0 if now < 8 else 280 if now < 10 else int(280 + 590 * (now - 10)), 18_000, 40)
    assert all(left is None or left == pytest.approx(40 - now, abs=5) for now, left in looks)
    assert any(left is not None for now, left in looks if now < 34)


def test_what_was_done_before_is_no_part_of_the_pace():
    looks = told(lambda now: 5000 + int(10 * now), 6000, 60)
    assert looks[-1][1] == pytest.approx(100 - looks[-1][0], rel=0.15)


@pytest.mark.parametrize("done_at", [lambda now: 0, lambda now: 1 if now > 5 else 0, lambda now: int(now**3)])
def test_nothing_one_lump_or_what_gets_faster_and_faster_tells_nothing(done_at):
    assert {left for _, left in told(done_at, 10**6, 30)} == {None}


def test_long_work_is_told_by_its_last_half():
    """It slows down to a half after an hour: two hours later only the present pace counts."""
    looks = told(lambda now: int(100 * min(now, 3600) + 50 * max(0, now - 3600)), 2_000_000, 6 * 3600)
    now, left = looks[-1]
    assert left == pytest.approx((2_000_000 - 360_000) / 50 + 3600 - now, rel=0.1)


def test_the_line_for_people_promises_no_end_at_once(tmp_path, caplog):
    progress = Progress(tmp_path, "tagging", 10, "captions", interval=0)
    with caplog.at_level("INFO", logger="degla"):
        for _ in range(10):
            progress.advance()
    assert not [line for line in caplog.messages if "left" in line]
    assert caplog.messages[-1].startswith("tagging: 10/10 captions (100 %)")


def test_durations_are_no_more_exact_than_estimates():
    assert [duration(each) for each in (0.4, 89, 95, 3000, 5400, 90_000)] == ["0 s", "89 s", "2 min", "50 min", "1.5 h", "25.0 h"]


def test_the_end_is_told_once(tmp_path, caplog):
    caplog.set_level("INFO")
    progress = Progress(tmp_path, "tagging", 3, "captions", interval=60)
    for done in (1, 3, 3, 3):
        progress.to(done)
    assert sum("3/3" in line for line in caplog.messages) == 1
