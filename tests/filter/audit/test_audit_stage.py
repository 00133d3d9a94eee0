"""The audit inside the filter stage: in the summary of every run; limits and targets reject rows by name, and the gate stops."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact
from text_pairs import drawn_rows, read_target

from degla.artifacts import MANIFEST, Artifact, Building
from degla.config import validate
from degla.errors import ConfigError, DataError
from degla.experiments.experiment import Experiment
from degla.filter import FilterConfig
from degla.filter.audit.accuracy import audit
from degla.filter.rules import BLIND_BALANCE
from degla.filter.stage import filter_rewrites
from degla.generate import GenerateConfig
from degla.judge.rules import Rule
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import REWRITES, write_table

pytestmark = pytest.mark.slow

NUM_ROWS = 600
PART = "rewrites/part-00000.parquet"
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
    write_table(folder / "generate" / PART, pa.Table.from_pylist(table, schema=REWRITES), REWRITES)
    generated = Building(folder / "generate", GenerateConfig(), {}, {}, "1" * 16).finish({}, [PART])
    return {"prepare": prepared, "generate": generated}


def filtered(inputs, folder: Path, chunk_rows: int = 10_000, threads: int = 0, max_lm_gap=None, **audit) -> Artifact:
    config = FilterConfig(audit=audit, threads=threads, max_lm_gap=max_lm_gap)
    return filter_rewrites(config, inputs, folder, rules=[KEEP_ALL], set_rules=[], chunk_rows=chunk_rows)


def summary(artifact: Artifact) -> dict:
    return json.loads(artifact.file("summary.json").read_text())


def test_every_run_says_how_well_its_negatives_are_told(inputs, tmp_path):
    artifact = filtered(inputs, tmp_path / "filter")
    audited = summary(artifact)["audit"]
    assert audited["balanced"] is None
    rows = {(row["type"], row["generator"]): row for row in audited["rows"]}
    assert list(rows)[0] == ("all", "all")
    assert set(rows) >= {("swap_nouns", "rules"), ("replace_nouns", "rules")}
    assert rows["all", "all"]["pairs"] == artifact.counts["kept"] == NUM_ROWS * 9 // 10
    assert artifact.counts["blind_accuracy"] == rows["all", "all"]["blind_accuracy"]
    assert rows["swap_nouns", "rules"]["low"] > 0.7
    assert rows["replace_nouns", "rules"]["low"] < 0.6
    assert audited["rows"] == [row.as_json() for row in audit(read_target(str(artifact.path)))]


def test_the_target_rejects_by_name_and_says_what_it_dropped(inputs, tmp_path):
    plain, balanced = filtered(inputs, tmp_path / "plain"), filtered(inputs, tmp_path / "balanced", target=0.55)
    rejected = pq.read_table(balanced.file("rejected.parquet")).to_pylist()
    assert {row["rule"] for row in rejected} == {BLIND_BALANCE.name}
    dropped = Counter(row["type"] for row in rejected)
    changes = {change["type"]: change for change in summary(balanced)["audit"]["balanced"]}
    assert {kind: change["dropped"] for kind, change in changes.items()} == dropped
    assert changes["swap_nouns"]["before"] > 0.7
    assert changes["swap_nouns"]["after"] <= 0.63
    assert balanced.counts["blind_accuracy"] <= 0.58
    assert balanced.counts["kept"] + len(rejected) == plain.counts["kept"]
    kept = sum(len(each) for each in pq.read_table(balanced.file("training.parquet"))["negatives"].to_pylist())
    assert kept == balanced.counts["kept"] == next(row["pairs"] for row in summary(balanced)["audit"]["rows"])
    assert BLIND_BALANCE.name in [rule["name"] for rule in summary(balanced)["rules"]]
    assert BLIND_BALANCE.name not in [rule["name"] for rule in summary(plain)["rules"]]


def test_a_limit_rejects_by_name_what_is_less_likely_than_its_caption(inputs, tmp_path):
    plain, limited = filtered(inputs, tmp_path / "plain"), filtered(inputs, tmp_path / "limited", max_lm_gap={"swap_nouns": 2})
    rejected = pq.read_table(limited.file("rejected.parquet")).to_pylist()
    assert {(row["rule"], row["type"]) for row in rejected} == {("plausible", "swap_nouns")}
    assert limited.counts["kept"] + len(rejected) == plain.counts["kept"]
    told, told_before = (
        {row["type"]: row["blind_accuracy"] for row in summary(made)["audit"]["rows"]}["swap_nouns"] for made in (limited, plain)
    )
    assert told < told_before - 0.1
    (rule,) = (rule for rule in summary(limited)["rules"] if rule["name"] == "plausible")
    assert rule["types"] == ["swap_nouns"]
    assert {point["type"] for point in summary(limited)["audit"]["trade_off"]} == {"all", "swap_nouns", "replace_nouns"}


def test_the_gap_of_the_row_decides_where_there_is_one(inputs, tmp_path):
    def scored(gap: float) -> dict[str, Artifact]:
        rows = pq.read_table(inputs["generate"].path / PART).to_pylist()
        rows = [row | {"lm_gap": gap if row["caption_id"] == 1 else None} for row in rows]
        folder = tmp_path / f"generate-{gap}"
        write_table(folder / PART, pa.Table.from_pylist(rows, schema=REWRITES), REWRITES)
        return inputs | {"generate": Building(folder, GenerateConfig(), {}, {}, "2" * 16).finish({}, [PART])}

    rejected = [
        {row["caption_id"]: row for row in pq.read_table(made.file("rejected.parquet")).to_pylist()}
        for made in (filtered(scored(gap), tmp_path / f"{gap}", max_lm_gap=3) for gap in (2.9, 3.1))
    ]
    assert rejected[1].keys() - rejected[0].keys() == {1}
    assert rejected[1][1]["lm_gap"] == 3.1
    assert rejected[0].keys() <= rejected[1].keys()


def test_threads_and_chunks_do_not_change_a_byte(inputs, tmp_path):
    one = filtered(inputs, tmp_path / "one", threads=1, target=0.55)
    other = filtered(inputs, tmp_path / "other", chunk_rows=300, threads=2, target=0.55)
    assert one.manifest.files == other.manifest.files


def test_the_gate_stops_before_there_is_an_artifact_and_leaves_the_report(inputs, tmp_path):
    with pytest.raises(DataError, match=r"swap_nouns by rules: .* text-only classifier .*max_blind_accuracy=0\.7.*report\.md"):
        filtered(inputs, tmp_path / "filter", max_blind_accuracy=0.7)
    assert not (tmp_path / "filter" / MANIFEST).exists()
    assert "540 of 540 texts were kept" in (tmp_path / "filter" / "report.md").read_text()
    filtered(inputs, tmp_path / "balanced", max_blind_accuracy=0.7, target=0.55)


def test_a_target_that_is_no_share_is_refused_with_its_key():
    for wrong in ("true", "1", "0.4"):
        with pytest.raises(ConfigError, match=r"filter\.audit\.target"):
            Experiment(name="x").with_overrides([f"filter.audit.target={wrong}"])


def test_the_setting_of_old_is_refused_with_its_new_name():
    with pytest.raises(ConfigError, match=r"'filter\.audit\.refine' is no setting any more: set target"):
        Experiment(name="x").with_overrides(["filter.audit.refine=0.6"])
    with pytest.raises(ConfigError, match=r"'audit\.refine' is no setting any more: set target"):
        validate(FilterConfig, {"audit": {"refine": 0.6}}, "a file")


def test_a_limit_is_a_number_or_one_for_each_type():
    limits = Experiment(name="x").with_overrides(["filter.max_lm_gap=4"]).filter.lm_gap_limits()
    assert limits == dict.fromkeys(NEGATIVE_TYPES, 4.0)
    one = Experiment(name="x").with_overrides(["filter.max_lm_gap.swap_nouns=4", "filter.max_lm_gap.reshuffle=3"])
    assert one.filter.lm_gap_limits() == {"swap_nouns": 4.0, "reshuffle": 3.0}
    assert FilterConfig().lm_gap_limits() == {}
    for wrong in ("few", "{swap_noun: 3}"):
        with pytest.raises(ConfigError, match=r"filter\.max_lm_gap"):
            Experiment(name="x").with_overrides([f"filter.max_lm_gap={wrong}"])
