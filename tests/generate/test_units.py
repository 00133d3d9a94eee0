"""The chunk list: any number of workers, killed at any time, and every unit is made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from degla.generate.units import Units

PARTS = [f"part-{number}" for number in range(6)]


def finish(units, unit):
    units.path(unit).write_text("done")
    units.release(unit)


def test_two_workers_share_the_units_and_none_is_made_twice(tmp_path):
    with Units(tmp_path, PARTS) as first, Units(tmp_path, PARTS) as second:
        mine, other = first.claim_free(), second.claim_free()
        taken = [next(mine), next(other), next(mine), next(other)]
        assert len(set(taken)) == 4
        assert sorted(taken + list(mine)) == list(range(6))
        assert list(other) == []


def test_parts_that_exist_are_done(tmp_path):
    (tmp_path / PARTS[2]).write_text("done")
    with Units(tmp_path, PARTS) as units:
        assert list(units.claim_free()) == [0, 1, 3, 4, 5]


def test_claims_are_gone_when_a_worker_ends_and_free_for_the_next(tmp_path):
    with Units(tmp_path, PARTS) as units:
        assert next(units.claim_free()) == 0
    with Units(tmp_path, PARTS) as units:
        assert next(units.claim_free()) == 0


def test_a_killed_workers_claim_counts_for_nothing(tmp_path):
    code = "import sys,os;from pathlib import Path;from degla.generate.units import Units;"
    code += f"u=Units(Path(sys.argv[1]),{PARTS!r});u.__enter__();next(u.claim_free());os.kill(os.getpid(),9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "claims" / "00000").exists()
    with Units(tmp_path, PARTS) as units:
        assert next(units.claim_free()) == 0


def test_a_claim_of_another_machine_counts_until_it_gives_no_sign_of_life(tmp_path):
    with Units(tmp_path, PARTS, stale_after=100) as units:
        claim = tmp_path / "claims" / "00000"
        claim.write_text("elsewhere 1")
        assert next(units.claim_free()) == 1
        os.utime(claim, (time.time() - 101, time.time() - 101))
        assert next(units.claim_free()) == 0


def test_a_living_process_that_lost_its_claim_to_silence_is_no_obstacle(tmp_path):
    with Units(tmp_path, PARTS, stale_after=100) as units:
        claim = tmp_path / "claims" / "00000"
        claim.write_text(f"{socket.gethostname()} 1")  # a number that came back as another process
        os.utime(claim, (time.time() - 101, time.time() - 101))
        assert next(units.claim_free()) == 0


@pytest.mark.slow
@pytest.mark.timeout(30)
def test_who_has_nothing_to_do_waits_for_the_others(tmp_path):
    with Units(tmp_path, PARTS[:1]) as busy, Units(tmp_path, PARTS[:1]) as idle:
        assert next(busy.claim_free()) == 0
        assert list(idle.claim_free()) == []
        threading.Timer(1.5, lambda: finish(busy, 0)).start()
        assert idle.wait() is False
    with Units(tmp_path, PARTS[:2]) as busy, Units(tmp_path, PARTS[:2]) as idle:
        assert next(busy.claim_free()) == 1
        threading.Timer(1.5, lambda: busy.release(1)).start()
        assert idle.wait() is True
        assert list(idle.claim_free()) == [1]


def test_an_unreadable_claim_is_given_time(tmp_path):
    with Units(tmp_path, PARTS, stale_after=100) as units:
        Path(tmp_path / "claims" / "00000").touch()  # its owner is about to write its name
        assert next(units.claim_free()) == 1
