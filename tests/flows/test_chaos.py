"""`make chaos`, short: two kills while the first two stages run under a real server; and what is drawn from a seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from launched import ROOT

from benchmarks.chaos import draw
from benchmarks.equal_artifacts import differences
from degla.experiments.experiment import STAGES


def test_a_seed_draws_the_same_kills_of_every_kind_and_stage() -> None:
    rounds = draw(30, 7, STAGES, engine=True)
    assert rounds == draw(30, 7, STAGES, engine=True) != draw(30, 8, STAGES, engine=True)
    kills = [kill for each in rounds for kill in each]
    assert len(kills) == 30
    kinds = Counter(kill.kind for kill in kills)
    assert set(kinds) == {"server", "serving", "flow", "supervisor", "child", "worker", "engine", "launcher", "rank"}
    assert max(kinds.values()) - min(kinds.values()) <= 1
    assert {kill.stage for kill in kills} == set(STAGES)
    assert {kill.kind for each in draw(20, 7, STAGES[:2], engine=False) for kill in each} == set(kinds) - {
        "engine",
        "launcher",
        "rank",
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_kills_end_with_the_same_bytes_and_a_changed_byte_is_found(tmp_path: Path) -> None:
    small, quick = ["-o", "prepare.options={num_scenes: 40}"], {**os.environ, "DEGLA_RETRY_SECONDS": "0.5"}
    command = [sys.executable, "-m", "benchmarks.chaos", "--kills", "2", "--seed", "5", "--keep", str(tmp_path), *small]
    result = subprocess.run(
        [*command, "--stages", "prepare", "generate"], cwd=ROOT, env=quick, capture_output=True, text=True, timeout=580
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^chaos kills=2 seed=5 equal=True problems=0 ", result.stdout, re.MULTILINE), result.stdout

    stages = STAGES[:2]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed-1"
    (rows,) = killed.glob("generate/*/rewrites/generated.parquet")
    content = bytearray(rows.read_bytes())
    content[100] ^= 1
    rows.write_bytes(content)
    found = differences(undisturbed, killed, stages)
    assert len(found) == 2
    assert "was changed after it was made" in found[0]
    assert found[1].endswith("rewrites/generated.parquet differs")
