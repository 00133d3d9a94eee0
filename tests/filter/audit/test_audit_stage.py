"""The audit inside the filter stage: in the summary of every run; refinement rejects rows by name, and the gate stops."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact
from text_pairs import drawn_rows

from degla.artifacts import MANIFEST, Artifact, Building
from degla.errors import ConfigError, DataError
from degla.experiments.experiment import Experiment
from degla.filter import FilterConfig
from degla.filter.audit.accuracy import audit
from degla.filter.audit.command import read_target
from degla.filter.rules import BLIND_BALANCE
from degla.filter.stage import filter_rewrites
from degla.generate import GenerateConfig
from degla.judge.rules import Rule
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import REWRITES, write_table

pytestmark = pytest.mark.slow

NUM_ROWS = 600
KEEP_ALL = Rule("any", NEGATIVE_TYPES, "true", "test", "form")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Captions with a negative each, of two types; the swaps can be told. Every tenth rewrite has no text."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = [replace(row, type="swap_nouns") for row in drawn_rows(NUM_ROWS // 2, 0, told=0.8)]
    rows += [replace(row, type="replace_nouns", image=f"other-{row.image}") for row in drawn_rows(NUM_ROWS // 2, 1, told=0)]
    prepared = prepare_artifact(folder / "prepare", captions_table([row.caption for row in rows], [row.image for row in rows]))
    shared = {"candidate": 0, "attempt": 1, "seed": 7, "model_sha": "0"}
    table = [
        {"caption_id": k, "type": row.type, "text": row.text if k % 10 else None, "status": "ok" if k % 10 else "abstained"}
        | {"generator": row.generator, **shared}
        for k, row in enumerate(rows)
    ]
    name = "rewrites/part-00000.parquet"
    write_table(folder / "generate" / name, pa.Table.from_pylist(table, schema=REWRITES), REWRITES)
    generated = Building(folder / "generate", GenerateConfig(), {}, {}, "1" * 16).finish({}, [name])
    return {"prepare": prepared, "generate": generated}


def filtered(inputs, folder: Path, chunk_rows: int = 10_000, threads: int = 0, **audit) -> Artifact:
    config = FilterConfig(audit=audit, threads=threads)
    return filter_rewrites(config, inputs, folder, rules=[KEEP_ALL], set_rules=[], chunk_rows=chunk_rows)


def summary(artifact: Artifact) -> dict:
    return json.loads(artifact.file("summary.json").read_text())


def test_every_run_says_how_well_its_negatives_are_told(inputs, tmp_path):
    artifact = filtered(inputs, tmp_path / "filter")
    audited = summary(artifact)["audit"]
    assert audited["refined"] is None
    rows = {(row["type"], row["generator"]): row for row in audited["rows"]}
    assert list(rows)[0] == ("all", "all")
    assert set(rows) >= {("swap_nouns", "rules"), ("replace_nouns", "rules")}
    assert rows["all", "all"]["pairs"] == artifact.counts["kept"] == NUM_ROWS * 9 // 10
    assert artifact.counts["blind_accuracy"] == rows["all", "all"]["blind_accuracy"]
    assert rows["swap_nouns", "rules"]["low"] > 0.7
    assert rows["replace_nouns", "rules"]["low"] < 0.6
    assert audited["rows"] == [row.as_json() for row in audit(read_target(str(artifact.path)))]


def test_refinement_rejects_by_name_and_says_what_it_dropped(inputs, tmp_path):
    plain, refined = filtered(inputs, tmp_path / "plain"), filtered(inputs, tmp_path / "refined", refine=0.6)
    rejected = pq.read_table(refined.file("rejected.parquet")).to_pylist()
    assert {row["rule"] for row in rejected} == {BLIND_BALANCE.name}
    dropped = Counter(row["type"] for row in rejected)
    changes = {change["type"]: change for change in summary(refined)["audit"]["refined"]}
    assert {kind: change["dropped"] for kind, change in changes.items()} == dropped
    assert changes["swap_nouns"]["before"] > 0.7
    assert changes["swap_nouns"]["after"] <= 0.6
    assert refined.counts["kept"] + len(rejected) == plain.counts["kept"]
    kept = sum(len(each) for each in pq.read_table(refined.file("training.parquet"))["negatives"].to_pylist())
    assert kept == refined.counts["kept"] == next(row["pairs"] for row in summary(refined)["audit"]["rows"])
    assert BLIND_BALANCE.name in [rule["name"] for rule in summary(refined)["rules"]]
    assert BLIND_BALANCE.name not in [rule["name"] for rule in summary(plain)["rules"]]


def test_threads_and_chunks_do_not_change_a_byte(inputs, tmp_path):
    one = filtered(inputs, tmp_path / "one", threads=1, refine=0.6)
    other = filtered(inputs, tmp_path / "other", chunk_rows=300, threads=2, refine=0.6)
    assert one.manifest.files == other.manifest.files


def test_the_gate_stops_before_there_is_an_artifact_and_leaves_the_report(inputs, tmp_path):
    with pytest.raises(DataError, match=r"swap_nouns by rules: .* text-only classifier .*max_blind_accuracy=0\.7.*report\.md"):
        filtered(inputs, tmp_path / "filter", max_blind_accuracy=0.7)
    assert not (tmp_path / "filter" / MANIFEST).exists()
    assert "540 of 540 texts were kept" in (tmp_path / "filter" / "report.md").read_text()
    filtered(inputs, tmp_path / "refined", max_blind_accuracy=0.7, refine=0.6)


def test_a_target_that_is_no_share_is_refused_with_its_key():
    for wrong in ("true", "1", "0.4"):
        with pytest.raises(ConfigError, match=r"filter\.audit\.refine"):
            Experiment(name="x").with_overrides([f"filter.audit.refine={wrong}"])
