"""Exports: what was kept comes out whole, comes back the same by import, and says what it is."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from caption_tables import LINEAGE, captions_table
from huggingface_hub import DatasetCard

from degla.artifacts import Artifact, Building
from degla.errors import DataError, MissingInputError
from degla.filter import FilterConfig, export
from degla.filter.export import export_dataset, export_degla, find_artifact
from degla.generate import GenerateConfig
from degla.generate.config import Import
from degla.generate.imports import read_imports
from degla.negative_types import NEGATIVE_TYPES
from degla.prepare import PrepareConfig
from degla.schemas import CAPTIONS, TRAINING, write_table
from degla.sources.source import open_source

SMALL = Path(__file__).resolve().parent.parent / "small.yaml"
RULES = [
    {"name": "finished", "types": list(NEGATIVE_TYPES), "why": "a text that was broken off is no sentence", "version": 1},
    {"name": "same_words", "types": ["reshuffle"], "why": "a reshuffle keeps every word", "version": 1},
]
ORIGINS = [
    {"generator": "rules", "type": "swap_nouns", "model_sha": "lexicon00", "prompt_sha": None},
    {"generator": "vllm:big", "type": "replace_nouns", "model_sha": "weights00", "prompt_sha": "prompt00"},
    {"generator": "unused", "type": "reshuffle", "model_sha": "nobody", "prompt_sha": None},
]


def rows(count, negatives=lambda number: number % 7):
    """Captions with 0 to 6 negatives; image ids of both kinds."""
    for number in range(count):
        kinds = [("swap_nouns", "rules"), ("replace_nouns", "vllm:big")]
        texts = [
            {"text": f"a “{k}” dög on mat {number}", "type": kinds[k % 2][0], "generator": kinds[k % 2][1], **LINEAGE}
            for k in range(negatives(number))
        ]
        image = str(number // 2) if number % 10 else f"COCO_{number:06d}"
        yield {"caption_id": number, "image_id": image, "caption": f"a dog on mat {number}", "negatives": texts}


def finished(root, stage, config, inputs, files):
    folder = root / stage / f"{stage}0"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content)) if name.endswith(".json") else write_table(
            folder / name, content, TRAINING
        )
    return Building(folder, config, inputs, {}, f"{stage}0").finish({}, list(files))


def filter_artifact(root, table_rows, licence="annotations CC BY 4.0; images their own") -> Artifact:
    card = {
        "name": "mats",
        "description": "Dogs on\nmats.",
        "source": "https://mats",
        "licence": licence,
        "revision": "7",
        "citation": "M",
    }
    finished(root, "prepare", PrepareConfig(), {}, {"card.json": card})
    finished(root, "generate", GenerateConfig(), {}, {"generation.json": {"types": {}, "origins": ORIGINS}})
    table = pa.Table.from_pylist(list(table_rows), TRAINING)
    blind = [{"type": "replace_nouns", "generator": "rules", "pairs": 1234, "blind_accuracy": 0.8123}]
    files = {"training.parquet": table, "summary.json": {"rules": RULES, "audit": {"rows": blind}}}
    return finished(root, "filter", FilterConfig(), {"prepare": "prepare0", "generate": "generate0"}, files)


def test_captions_with_four_negatives_are_written_and_the_others_named(tmp_path):
    artifact = filter_artifact(tmp_path, rows(70))
    done = export_degla(artifact, tmp_path / "out" / "d.json")
    entries = json.loads((tmp_path / "out" / "d.json").read_text(encoding="utf-8"))
    expected = [row for row in rows(70) if len(row["negatives"]) >= 4]
    assert [entry["original"] for entry in entries] == [row["caption"] for row in expected]
    assert [entry["enhanced"] for entry in entries] == [[each["text"] for each in row["negatives"]] for row in expected]
    assert {type(entry["image_id"]) for entry in entries} == {int, str}
    assert [str(entry["image_id"]) for entry in entries] == [row["image_id"] for row in expected]
    left = [json.loads(line) for line in (tmp_path / "out" / "d.json.left_out.jsonl").read_text().splitlines()]
    assert left[0] == {"caption_id": 0, "image_id": "COCO_000000", "negatives": 0}
    assert Counter(each["negatives"] for each in left) == {0: 10, 1: 10, 2: 10, 3: 10}
    assert (done.captions, done.left_out, done.negatives) == (30, 40, 10 * (4 + 5 + 6))


def test_what_is_exported_comes_back_the_same_by_import(tmp_path):
    table_rows = list(rows(70))
    export_degla(filter_artifact(tmp_path, table_rows), tmp_path / "d.json")
    captions = captions_table([row["caption"] for row in table_rows], [row["image_id"] for row in table_rows])
    write_table(tmp_path / "captions.parquet", captions, CAPTIONS)
    summary = read_imports(
        [Import(path=str(tmp_path / "d.json"), format="degla")], tmp_path / "captions.parquet", tmp_path / "in"
    )
    assert summary.unmatched == 0
    found: dict[int, list[str]] = {}
    for row in pq.read_table(tmp_path / "in" / "rewrites").to_pylist():
        found.setdefault(row["caption_id"], []).append(row["text"])
    expected = {
        row["caption_id"]: [each["text"] for each in row["negatives"]] for row in table_rows if len(row["negatives"]) >= 4
    }
    assert found == expected


@pytest.mark.parametrize("form", ["degla", "hf", "artifact"])
def test_what_is_exported_is_recognised_with_its_types_and_generators(form, tmp_path):
    artifact = filter_artifact(tmp_path, rows(30))
    out = tmp_path / "out.json" if form == "degla" else tmp_path / "out" if form == "hf" else artifact.path
    if form != "artifact":
        (export_degla if form == "degla" else export_dataset)(artifact, out)
    found = [(caption, negative.text) for _, caption, negative in open_source(out).pairs()]
    kept = [row for row in rows(30) if form != "degla" or len(row["negatives"]) >= 4]
    assert found == [(row["caption"], each["text"]) for row in kept for each in row["negatives"]]
    if form != "degla":
        first = next(open_source(out).pairs())[2]
        assert (first.type, first.generator) == ("swap_nouns", "rules")


def test_an_image_id_is_a_number_only_where_it_is_written_as_one():
    assert [export._number_or_name(name) for name in ("57870", "0", "007", "1.jpg", "", "²", "٣")] == [
        57870, 0, "007", "1.jpg", "", "²", "٣",
    ]  # fmt: skip


def test_no_caption_with_four_negatives_is_an_error_and_leaves_nothing(tmp_path):
    artifact = filter_artifact(tmp_path, rows(5, negatives=lambda number: 3))
    with pytest.raises(DataError, match=r"none of the 5 captions has 4 negatives.*max_per_type"):
        export_degla(artifact, tmp_path / "out" / "d.json")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_dataset_folder_holds_every_caption_in_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_SHARD_ROWS", 30)
    monkeypatch.setattr(export, "_BATCH_ROWS", 16)
    artifact = filter_artifact(tmp_path, rows(70))
    done = export_dataset(artifact, tmp_path / "set")
    shards = sorted((tmp_path / "set" / "data").iterdir())
    assert [path.name for path in shards] == [f"train-0000{k}-of-00003.parquet" for k in range(3)]
    tables = [pq.read_table(path) for path in shards]
    assert [table.num_rows for table in tables] == [30, 30, 10]
    assert pa.concat_tables(tables).to_pylist() == list(rows(70))
    assert (done.captions, done.negatives, done.without_negatives) == (70, 10 * 21, 10)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["README.md", "data"]


def test_the_card_is_one_that_the_hub_reads_and_its_files_are_there(tmp_path):
    export_dataset(filter_artifact(tmp_path, rows(70)), tmp_path / "set")
    card = DatasetCard.load(tmp_path / "set" / "README.md")
    data = card.data.to_dict()
    assert (data["license"], data["license_details"]) == ("other", "annotations CC BY 4.0; images their own")
    assert (data["language"], data["size_categories"], data["pretty_name"]) == (["en"], ["n<1K"], "mats with DeGLA negatives")
    (config,) = data["configs"]
    (files,) = config["data_files"]
    assert (config["config_name"], files["split"]) == ("default", "train")
    assert len(list((tmp_path / "set").glob(files["path"]))) == 1
    text = card.text
    assert "70 captions with 210 negatives" in text
    assert "10 captions have none" in text
    assert "| `swap_nouns` | 120 | 0 | 120 |" in text
    assert "| `replace_nouns` | 0 | 90 | 90 |" in text
    assert "| `vllm:big` | `replace_nouns` | `weights00` | `prompt00` |" in text
    assert "unused" not in text
    assert "| `same_words` | `reshuffle` | a reshuffle keeps every word |" in text
    assert "Captions: `mats`, revision 7. Dogs on mats." in text
    assert "Licence of the source: annotations CC BY 4.0; images their own" in text
    assert "Known limits" in text
    assert "| `replace_nouns` | `rules` | 1,234 | 81.2 % |" in text
    assert "filter artifact filter0" in text


def test_a_licence_that_the_hub_knows_is_given_by_its_name(tmp_path):
    export_dataset(filter_artifact(tmp_path, rows(3), licence="CC BY 4.0"), tmp_path / "set")
    front = yaml.safe_load((tmp_path / "set" / "README.md").read_text().split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert "license_details" not in front


def test_without_the_artifacts_behind_it_the_card_says_what_it_does_not_know(tmp_path):
    artifact = filter_artifact(tmp_path, rows(3))
    for stage in ("prepare", "generate"):
        (tmp_path / stage).rename(tmp_path / f"gone-{stage}")
    export_dataset(artifact, tmp_path / "set")
    text = (tmp_path / "set" / "README.md").read_text()
    assert "add source and licence by hand" in text
    assert "license_details: 'unknown: see the source'" in text


def test_an_export_takes_an_empty_folder_and_nothing_else(tmp_path):
    artifact = filter_artifact(tmp_path, rows(7))
    (tmp_path / "set").mkdir()
    export_dataset(artifact, tmp_path / "set")
    before = (tmp_path / "set" / "README.md").read_bytes()
    with pytest.raises(DataError, match="exists already and is not empty"):
        export_dataset(artifact, tmp_path / "set")
    assert (tmp_path / "set" / "README.md").read_bytes() == before
    (tmp_path / "d.json").write_text("mine")
    with pytest.raises(DataError, match=r"d\.json exists already"):
        export_degla(artifact, tmp_path / "d.json")
    assert (tmp_path / "d.json").read_text() == "mine"


def test_an_export_that_dies_leaves_nothing(tmp_path, monkeypatch):
    artifact = filter_artifact(tmp_path, rows(7))
    monkeypatch.setattr(export, "dataset_card", lambda facts: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_dataset(artifact, tmp_path / "out" / "set")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_no_finished_filter_artifact_is_named(tmp_path):
    artifact = filter_artifact(tmp_path, rows(3))
    assert find_artifact(str(artifact.path)).fingerprint == artifact.fingerprint
    with pytest.raises(MissingInputError, match="is an artifact of prepare"):
        find_artifact(str(tmp_path / "prepare" / "prepare0"))
    with pytest.raises(MissingInputError, match="holds no finished artifact"):
        find_artifact(str(tmp_path))
    with pytest.raises(MissingInputError, match="no experiment 'nothing'"):
        find_artifact("nothing")
    with pytest.raises(MissingInputError, match=r"not finished.*python -m degla\.filter"):
        find_artifact(str(SMALL))


@pytest.mark.slow
def test_the_command_exports_what_an_experiment_kept(tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)

    for stage in ("prepare", "generate", "filter"):
        assert run(f"degla.{stage}", str(SMALL)).returncode == 0, stage
    degla = run("degla.filter", "export", str(SMALL), "--format", "degla", "--out", str(tmp_path / "d.json"))
    assert degla.returncode == 0, degla.stderr
    entries = json.loads((tmp_path / "d.json").read_text())
    assert entries
    assert f"{len(entries):,} captions with" in degla.stdout
    assert "with fewer than 4 negatives were left out" in degla.stdout
    assert run("degla.filter", "export", str(SMALL), "--format", "hf", "--out", str(tmp_path / "set")).returncode == 0
    kept = sum(len(each["negatives"]) for each in pq.read_table(tmp_path / "set" / "data").to_pylist())
    assert f"with {kept:,} negatives" in (tmp_path / "set" / "README.md").read_text()
    again = run("degla.filter", "export", str(SMALL), "--format", "hf", "--out", str(tmp_path / "set"))
    assert (again.returncode, "filter export: error:" in again.stderr) == (2, True)
