"""Imports in the whole stage: alone, or beside what is generated, and then through the filter."""

import json

import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact

from degla.filter import FilterConfig
from degla.filter import run as run_filter
from degla.generate import GenerateConfig, run
from degla.generate.config import Import

CAPTIONS = ["A small dog on a red couch", "an orange hat left of a blue cup", "A woman holds a green umbrella in the rain"]
ENHANCED = [
    "A small cat on a red couch",
    "A red couch on a small dog",
    "A small dog on a blue couch",
    "A red dog on a small couch",
]


@pytest.mark.parametrize("attempts", [(), ("rules",)])
def test_imported_rows_pass_the_filter_like_any_other_and_stay_marked(tmp_path, attempts):
    entries = [
        {"image_id": 1, "original": CAPTIONS[0], "enhanced": ENHANCED},
        {"image_id": 9, "original": "?", "enhanced": ["x"]},
    ]
    (tmp_path / "d.json").write_text(json.dumps(entries))
    imports = (Import(path=str(tmp_path / "d.json"), format="degla", name="others"),)
    inputs = {"prepare": prepare_artifact(tmp_path / "prepare", captions_table(CAPTIONS, ["1", "2", "3"]))}
    config = GenerateConfig(attempts=attempts, imports=imports, vocabulary="lexicon", workers=1)
    inputs["generate"] = run(config, inputs, tmp_path / "generate")
    assert pq.read_table(inputs["generate"].file("imported_unmatched.parquet"))["text"].to_pylist() == ["x"]
    assert json.loads(inputs["generate"].file("imported.json").read_text())["matched"] == 4
    training = pq.read_table(run_filter(FilterConfig(), inputs, tmp_path / "filter").file("training.parquet")).to_pylist()
    marked = {each["text"] for row in training for each in row["negatives"] if each["generator"] == "import:others"}
    assert marked == set(ENHANCED)
    others = sum(each["generator"] == "rules" for row in training for each in row["negatives"])
    assert (others > 5) == bool(attempts)
