"""The whole pipeline on a small preset, stage by stage as a user runs it without Prefect: `python -m degla.<stage>`."""

import json
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest

from benchmarks.equal_artifacts import differences
from degla.artifacts import Artifact
from degla.experiments.experiment import STAGES, load_experiment
from degla.experiments.plan import plan
from degla.experiments.plan import run_stage as run_planned
from degla.report.scorecard import Scorecard
from degla.schemas import CAPTIONS, REJECTED, REWRITES, TRAINING, read_table

SMALL = str(Path(__file__).with_name("small.yaml"))


def run_stage(stage, *arguments):
    command = [sys.executable, "-m", f"degla.{stage}", SMALL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_pipeline_makes_a_scorecard_from_nothing_and_makes_nothing_twice(own_artifact_root, tmp_path):
    early = run_stage("filter")
    assert early.returncode == 2
    assert f"python -m degla.prepare {SMALL}" in early.stderr
    for stage in STAGES:
        made = run_stage(stage)
        assert made.returncode == 0, made.stdout + made.stderr
        assert f"{stage}: done in" in made.stdout

    plans = plan(load_experiment(SMALL))
    artifacts = {stage: Artifact.load(plans[stage].path) for stage in STAGES}
    for stage, artifact in artifacts.items():
        artifact.verify()
        assert artifact.manifest.inputs == {name: artifacts[name].fingerprint for name in plans[stage].config.needs}

    check_rows(artifacts)
    check_model(artifacts["train"])
    check_scorecard(artifacts["report"])

    before = {path: path.stat().st_mtime_ns for path in own_artifact_root.rglob("manifest.json")}
    again = run_stage("report")
    assert "report: reused" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in own_artifact_root.rglob("manifest.json")} == before
    check_bytes(own_artifact_root, tmp_path / "another" / "place")


def check_bytes(made, root):
    """Made again in another place, with its work cut in another way, every file is the same."""
    cut = ["prepare.unit_size=7", "prepare.workers=1", "generate.unit_size=11", "train.checkpoint_every=5", "filter.threads=1"]
    plans = plan(load_experiment(SMALL, [f"root={root}", *cut]))
    for stage in STAGES:
        run_planned(plans[stage], "")
    assert differences(made, root, STAGES) == []


def check_rows(artifacts):
    """Every caption and type has rows, and each is kept, rejected with a rule, or has no text with a reason."""
    captions = read_table(artifacts["prepare"].file("captions.parquet"), CAPTIONS, ["caption_id"]).num_rows
    assert captions == 180
    parts = [name for name in artifacts["generate"].manifest.files if name.startswith("rewrites/")]
    rows = [row for name in parts for row in read_table(artifacts["generate"].file(name), REWRITES).to_pylist()]
    keys = {(row["caption_id"], row["type"], row["candidate"], row["attempt"]) for row in rows}
    assert len(rows) == len(keys) >= 5 * captions
    texts = {(row["caption_id"], row["type"], row["text"]) for row in rows if row["status"] == "ok"}
    assert all(row["error"] for row in rows if row["status"] != "ok")

    training = read_table(artifacts["filter"].file("training.parquet"), TRAINING).to_pylist()
    assert [row["caption_id"] for row in training] == list(range(captions))
    kept = {(row["caption_id"], negative["type"], negative["text"]) for row in training for negative in row["negatives"]}
    rejected = read_table(artifacts["filter"].file("rejected.parquet"), REJECTED).to_pylist()
    refused = {(row["caption_id"], row["type"], row["text"]) for row in rejected}
    assert kept | refused == texts
    assert not kept & refused
    assert all(row["rule"] for row in rejected)


def check_model(train):
    """The model folder loads with plain open_clip, and training moved it."""
    folder = f"local-dir:{train.path / 'model'}"
    model, preprocess = open_clip.create_model_from_pretrained(folder)
    tokens = open_clip.get_tokenizer(folder)(["a red ball"])
    assert model.encode_text(tokens).shape == (1, 96)
    assert preprocess is not None
    records = [json.loads(line) for line in train.file("metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 3, 6, 9, 12]
    assert records[0]["train/loss/distill"] < records[-1]["train/loss/distill"]


def check_scorecard(report):
    card = Scorecard.model_validate_json(report.file("scorecard.json").read_text())
    assert [score.name for score in card.headline_scores()] == ["swaps"]
    assert card.headline_scores()[0].items == 40
    judged = sum(row["kept_false"] + row["kept_true"] + row["kept_unreadable"] for row in card.truth)
    assert judged == sum(item.kept for item in card.yields)
    assert sum(row["kept_true"] for row in card.truth) <= 0.02 * judged, "the filter lets false negatives through"
    assert "swaps" in report.file("scores.txt").read_text()
