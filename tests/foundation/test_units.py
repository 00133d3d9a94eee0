"""Units: a part that exists is done; any number of workers share them, killed at any time, and every unit is made."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from degla.schemas import SCENES, write_table
from degla.units import Claims, Unit, Units, cut, join


def six(folder: Path) -> Units:
    return Units(folder, "part-{number}", cut(6, 1))


def numbers(units) -> list[int]:
    return [unit.number for unit in units]


def finish(units: Units, claims: Claims, unit: Unit) -> None:
    units.path(unit).write_text("done")
    claims.release(unit)


def claiming(folder: Path, units: Units | None = None, **settings: float) -> Claims:
    return Claims(units or six(folder), folder / "claims", **settings)


def test_units_cover_the_items_once_and_the_last_takes_what_is_left():
    for total in (0, 1, 6, 7, 8):
        units = cut(total, 3)
        assert [item for unit in units for item in range(unit.start, unit.stop)] == list(range(total))
        assert numbers(units) == list(range(len(units)))
        assert all(unit.stop - unit.start == 3 for unit in units[:-1])


def test_parts_that_exist_are_done_and_half_written_ones_are_not(tmp_path):
    units = Units(tmp_path / "parts", "{start:02d}-{stop:02d}.txt", cut(7, 3))
    assert units.missing() == list(units)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "03-06.txt").touch()
    (tmp_path / "parts" / ".tmp-1-00-03.txt").touch()
    assert numbers(units.missing()) == [0, 2]
    assert (units.num_done(), units.total) == (3, 7)
    units.remove()
    units.remove()
    assert not (tmp_path / "parts").exists()


def test_units_can_be_added_while_the_work_is_read(tmp_path):
    units = Units(tmp_path, "{number}.txt")
    assert units.total == 0
    assert [units.add(size) for size in (3, 2)] == [Unit(0, 0, 3), Unit(1, 3, 5)]
    assert units.paths() == [tmp_path / "0.txt", tmp_path / "1.txt"]


def test_parts_are_joined_in_the_order_of_the_units(tmp_path):
    units = Units(tmp_path, "{number}.parquet", cut(12, 1))
    for unit in reversed(list(units)):
        write_table(units.path(unit), pa.table({"image_id": [str(unit.number)], "scene": ["{}"]}), SCENES)
    join(units.paths(), tmp_path / "whole", SCENES)
    assert pq.read_table(tmp_path / "whole")["image_id"].to_pylist() == [str(number) for number in range(12)]


def test_two_workers_share_the_units_and_none_is_made_twice(tmp_path):
    with claiming(tmp_path) as first, claiming(tmp_path) as second:
        mine, other = first.free(), second.free()
        taken = [next(mine), next(other), next(mine), next(other)]
        assert len(set(taken)) == 4
        assert sorted(taken + list(mine)) == list(six(tmp_path))
        assert list(other) == []


def test_units_that_are_done_are_not_claimed(tmp_path):
    (tmp_path / "part-2").write_text("done")
    with claiming(tmp_path) as claims:
        assert numbers(claims.free()) == [0, 1, 3, 4, 5]


def test_claims_are_gone_when_a_worker_ends_and_free_for_the_next(tmp_path):
    for _ in range(2):
        with claiming(tmp_path) as claims:
            assert next(claims.free()).number == 0


def test_a_killed_workers_claim_counts_for_nothing(tmp_path):
    code = "import sys, os; from pathlib import Path; from degla.units import Claims, Units, cut; folder = Path(sys.argv[1]);"
    code += "claims = Claims(Units(folder, 'part-{number}', cut(6, 1)), folder / 'claims'); claims.__enter__();"
    code += "next(claims.free()); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "claims" / "00000").exists()
    with claiming(tmp_path) as claims:
        assert next(claims.free()).number == 0


def test_a_killed_worker_that_nobody_collected_counts_for_nothing(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    with claiming(tmp_path) as claims:
        (tmp_path / "claims" / "00000").write_text(f"{socket.gethostname()} {child.pid}")
        assert next(claims.free()).number == 0
    child.wait()


def test_a_claim_of_another_machine_counts_until_it_gives_no_sign_of_life(tmp_path):
    with claiming(tmp_path, stale_after=100) as claims:
        claim = tmp_path / "claims" / "00000"
        claim.write_text("elsewhere 1")
        assert next(claims.free()).number == 1
        os.utime(claim, (time.time() - 101, time.time() - 101))
        assert next(claims.free()).number == 0


def test_a_living_process_that_lost_its_claim_to_silence_is_no_obstacle(tmp_path):
    with claiming(tmp_path, stale_after=100) as claims:
        claim = tmp_path / "claims" / "00000"
        claim.write_text(f"{socket.gethostname()} 1")  # a number that came back as another process
        os.utime(claim, (time.time() - 101, time.time() - 101))
        assert next(claims.free()).number == 0


def test_an_unreadable_claim_is_given_time(tmp_path):
    with claiming(tmp_path, stale_after=100) as claims:
        (tmp_path / "claims" / "00000").touch()  # its owner is about to write its name
        assert next(claims.free()).number == 1


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOENT])  # ENOENT: released just before the touch
def test_claims_stay_alive_when_a_touch_fails(tmp_path, monkeypatch, caplog, number):
    failed, touch = threading.Event(), os.utime

    def fails_once(path):
        if not failed.is_set():
            failed.set()
            raise OSError(number, os.strerror(number))
        touch(path)

    monkeypatch.setattr(os, "utime", fails_once)
    with caplog.at_level(logging.WARNING), claiming(tmp_path, touch_every=0.01) as claims:
        file = tmp_path / "claims" / f"{next(claims.free()).number:05d}"
        assert failed.wait(5)
        assert touched(file, touch)
    assert ("cannot touch the claim" in caplog.text) == (number != errno.ENOENT)


def test_claims_stay_alive_when_one_of_them_is_taken_over(tmp_path):
    with claiming(tmp_path, touch_every=0.01) as claims:
        free = claims.free()
        lost, kept = (tmp_path / "claims" / f"{next(free).number:05d}" for _ in range(2))
        lost.unlink()  # by a worker that thought this one dead
        assert all(touched(kept, os.utime) for _ in range(3))
        assert not lost.exists()


def touched(file: Path, touch, seconds: float = 5.0) -> bool:
    """Whether a claim that is made old becomes new again."""
    touch(file, (0, 0))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if file.stat().st_mtime > 0:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.slow
@pytest.mark.timeout(30)
def test_who_has_nothing_to_do_waits_for_the_others(tmp_path):
    one, two = (Units(tmp_path, "part-{number}", cut(total, 1)) for total in (1, 2))
    with claiming(tmp_path, one) as busy, claiming(tmp_path, one) as idle:
        unit = next(busy.free())
        assert list(idle.free()) == []
        threading.Timer(1.5, lambda: finish(one, busy, unit)).start()
        assert idle.wait() is False
    with claiming(tmp_path, two) as busy, claiming(tmp_path, two) as idle:
        unit = next(busy.free())
        assert unit.number == 1
        threading.Timer(1.5, lambda: busy.release(unit)).start()
        assert idle.wait() is True
        assert list(idle.free()) == [unit]
