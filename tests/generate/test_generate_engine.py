"""The generate stage with the real engine on a tiny model: whole runs, and runs that are killed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact
from holding import environment, wait_until_held
from process_tree import descendants, left_of

from degla.artifacts import Artifact
from degla.files import finished_files

pytest.importorskip("vllm", reason="vLLM is not installed")

CHILD = """
import sys
from pathlib import Path
import holding
from degla.artifacts import Artifact
from degla.generate import GenerateConfig, run
config = GenerateConfig(
    unit_size=4, attempts=sys.argv[3].split(","), engine={"model": "tiny-random-llama", "max_num_seqs": 32},
    sampling={"max_tokens": 8},
)
if __name__ == "__main__":
    run(config, {"prepare": Artifact.load(Path(sys.argv[1]))}, Path(sys.argv[2]))
"""
NOUNS, ADJECTIVES = ["dog", "cat", "horse", "ball", "box", "chair"], ["red", "blue", "small", "big", "old"]


def made_captions(count):
    rng = random.Random(0)
    pick = rng.choice
    return [f"a {pick(ADJECTIVES)} {pick(NOUNS)} on the {pick(ADJECTIVES)} {pick(NOUNS)} number {k}" for k in range(count)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Artifact:
    return prepare_artifact(tmp_path_factory.mktemp("engine") / "prepare", captions_table(made_captions(20)))


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("script") / "child.py"
    path.write_text(CHILD)
    return path


@pytest.fixture(scope="module")
def start(script, prepared, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")  # one for all, so that the tiny model is made once

    def begin(folder: Path, attempts: str, signs: Path = Path(), event: str = "") -> subprocess.Popen:
        command = [sys.executable, str(script), str(prepared.path), str(folder), attempts]
        return subprocess.Popen(command, env=environment(signs, event) | {"DEGLA_HOME": str(home)})

    return begin


def rows_of(artifact: Artifact) -> list[dict]:
    parts = sorted(name for name in artifact.manifest.files if name.startswith("rewrites/"))
    return pa.concat_tables([pq.read_table(artifact.path / name) for name in parts]).to_pylist()


@pytest.fixture(scope="module")
def unkilled(start, tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("unkilled")
    assert start(folder, "vllm,choice").wait() == 0
    return Artifact.load(folder)


@pytest.mark.slow
def test_what_the_model_writes_badly_is_chosen_among_the_rules_rewrites(unkilled):
    rows = rows_of(unkilled)
    asked = Counter((row["candidate"] > 0, row["attempt"], row["generator"].split(":")[0]) for row in rows)
    assert {key[1:] for key in asked if not key[0]} == {(1, "vllm"), (2, "choice")}
    assert {key[2] for key in asked if key[0]} == {"choice"}  # what writes noise is not asked for another one
    assert asked[False, 1, "vllm"] >= asked[False, 2, "choice"] > 20 * 3
    chosen = [row for row in rows if row["generator"].startswith("choice") and row["status"] == "ok"]
    assert {row["caption_id"] for row in chosen} == set(range(20))
    assert all(row["text"] and row["model_sha"] and row["mean_logprob"] < 0 for row in chosen)
    assert all(abs(row["lm_gap"]) < 100 and row["prompt_sha"] is None for row in chosen)
    assert all(row["prompt_sha"] for row in rows if row["generator"].startswith("vllm"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_four_times_it_ends_with_the_same_rows_and_no_orphans(start, unkilled, tmp_path):
    folder = tmp_path / "killed"
    for event in ("before asked 1", "after rewrites- 1", "before rewrites- 2", "after rewrites- 1"):
        signs = tmp_path / f"{len(list(tmp_path.iterdir()))} {event}"
        child = start(folder, "vllm,choice", signs, event)
        wait_until_held(signs, child, 300)
        family = descendants(child.pid)
        child.kill()
        child.wait()
        assert left_of(family) == set()
    assert len(finished_files(folder / "parts", "rewrites-*")) == 3
    assert start(folder, "vllm,choice").wait() == 0
    killed = Artifact.load(folder)
    found, wanted = rows_of(killed), rows_of(unkilled)
    # sums of float32 depend on the batch in their last bits, so a log-probability is the same only nearly
    for name, near in (("mean_logprob", 1e-5), ("lm_gap", 1e-3)):
        logprobs = [[row.pop(name) or 0.0 for row in rows] for rows in (found, wanted)]
        assert logprobs[0] == pytest.approx(logprobs[1], abs=near)
    assert found == wanted
    keys = [(row["caption_id"], row["type"], row["candidate"], row["attempt"]) for row in rows_of(killed)]
    assert len(keys) == len(set(keys)) == killed.counts["asked"]
