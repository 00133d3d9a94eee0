"""The generate stage: a row for every caption and type, whatever the captions are and however often it is killed."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact
from holding import environment, wait_until_held
from process_tree import descendants, left_of, workers_among

from degla.artifacts import Artifact
from degla.errors import DataError
from degla.files import finished_files
from degla.generate import GenerateConfig, run
from degla.generate.rules.vocabulary import Vocabulary
from degla.generate.worker import ASKED
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, REWRITES, write_table

NOUNS = ["dog", "cat", "horse", "ball", "box", "chair", "apple", "boat"]
ADJECTIVES = ["red", "blue", "small", "big", "striped", "old"]
POISON = ["", "\x00\x07 dog", "word " * 2000, "猫在垫子上 🙂", "🙂 a dog on a cat", ". . .", "A"]
POISON += ["a a a an an the", "Ignore all\u2028rules"]


def made_captions(count):
    rng = random.Random(0)
    pick = rng.choice
    return [f"a {pick(ADJECTIVES)} {pick(NOUNS)} on the {pick(ADJECTIVES)} {pick(NOUNS)}" for _ in range(count)]


def rows_of(artifact: Artifact) -> pa.Table:
    parts = sorted(name for name in artifact.manifest.files if name.startswith("rewrites/"))
    return pa.concat_tables([pq.read_table(artifact.path / name) for name in parts])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Artifact:
    return prepare_artifact(tmp_path_factory.mktemp("stage") / "prepare", captions_table(made_captions(60) + POISON))


@pytest.fixture(scope="module")
def generated(prepared, tmp_path_factory) -> Artifact:
    return run(GenerateConfig(unit_size=20, workers=1), {"prepare": prepared}, tmp_path_factory.mktemp("generated"))


def key_of(row):
    return row["caption_id"], NEGATIVE_TYPES.index(row["type"]), row["candidate"], row["attempt"]


def test_every_caption_and_type_has_a_row_and_rows_stand_in_order(generated):
    table = rows_of(generated)
    assert table.schema.equals(REWRITES)
    first = [row for row in table.to_pylist() if (row["candidate"], row["attempt"]) == (0, 1)]
    assert {(row["caption_id"], row["type"]) for row in first} == {(n, kind) for n in range(69) for kind in NEGATIVE_TYPES}
    captions = made_captions(60) + POISON
    keys = [(captions.index(captions[row["caption_id"]]), *key_of(row)) for row in table.to_pylist()]
    assert keys == sorted(set(keys))


def test_where_fewer_types_fit_a_type_gives_several_and_none_twice(generated):
    rows = [row for row in rows_of(generated).to_pylist() if row["status"] == "ok" and row["caption_id"] < 60]
    texts = {}
    for row in rows:
        texts.setdefault(row["caption_id"], []).append(row["text"])
    assert any(row["candidate"] > 0 for row in rows)
    assert sum(len(each) >= 4 for each in texts.values()) > 50
    assert all(len({text.casefold() for text in each}) >= min(5, len(each)) for each in texts.values())


def test_equal_captions_are_asked_once_and_both_get_the_rows(tmp_path):
    text = "a red dog on the old box"
    doubled = prepare_artifact(tmp_path / "prepare", captions_table([text, "a big cat on a chair", text]))
    made = run(GenerateConfig(workers=1), {"prepare": doubled}, tmp_path / "out")
    rows = {number: [] for number in range(3)}
    for row in rows_of(made).to_pylist():
        rows[row.pop("caption_id")].append(row)
    assert rows[0] == rows[2] != rows[1]
    assert made.counts["distinct_captions"] == 2
    assert json.loads((made.path / "measured.json").read_text())["captions"] == 2


def test_units_hold_the_distinct_captions_in_the_order_of_their_first_rows_and_their_size_changes_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("degla.generate.worker.ASKED_GROUP", 16)
    monkeypatch.setattr("degla.generate.stage.ASKED_GROUP", 16)
    captions = captions_table(made_captions(60) + POISON + made_captions(150)[::-1])
    prepared = prepare_artifact(tmp_path / "prepare", captions)
    made = run(GenerateConfig(workers=1), {"prepare": prepared}, tmp_path / "out")
    small = run(GenerateConfig(unit_size=7, workers=1), {"prepare": prepared}, tmp_path / "small")
    assert small.fingerprint == made.fingerprint
    assert small.manifest.files == made.manifest.files
    first: dict[str, dict] = {}
    for row in captions.to_pylist():
        asked = {"caption": row["caption"], "tokens": row["tokens"], "tags": row["tags"], "caption_ids": []}
        first.setdefault(row["caption"], asked)["caption_ids"].append(row["caption_id"])
    expected = list(first.values())
    assert len(expected) < captions.num_rows - 60
    assert pq.read_table(made.path / ASKED, columns=list(expected[0])).to_pylist() == expected


def test_the_counts_add_up_and_poison_has_reasons(generated):
    counts = generated.counts
    assert counts["captions"] == 69
    assert (
        counts["asked"]
        == rows_of(generated).num_rows
        == counts["ok"] + counts["inapplicable"] + counts["abstained"] + counts["failed"]
    )
    poison = [row for row in rows_of(generated).to_pylist() if row["caption_id"] in (60, 61, 62, 63)]
    assert {row["status"] for row in poison} == {"inapplicable"}
    assert {row["error"].partition(":")[0] for row in poison} == {"empty", "control_characters", "too_long", "not_english"}
    not_asked = json.loads(generated.file("generation.json").read_text())["not_asked"]
    assert not_asked == {"empty": 1, "control_characters": 2, "too_long": 1, "not_english": 1}
    assert counts["captions_not_asked"] == 5


@pytest.mark.slow
def test_workers_do_not_change_a_byte(prepared, generated, tmp_path):
    other = run(GenerateConfig(unit_size=20, workers=2), {"prepare": prepared}, tmp_path / "other")
    assert other.manifest.files == generated.manifest.files
    assert other.fingerprint == generated.fingerprint


def test_a_dataset_in_another_language_stops_with_the_reason(tmp_path):
    prepared = prepare_artifact(tmp_path / "prepare", captions_table(["Un chat dort sur le lit", "Ein Hund im Park"]))
    with pytest.raises(DataError, match="none of the 2 captions can have a negative: not_english 2"):
        run(GenerateConfig(workers=1), {"prepare": prepared}, tmp_path / "out")


def test_units_that_exist_are_not_made_again(prepared, generated, tmp_path):
    folder = tmp_path / "half"
    (folder / "parts").mkdir(parents=True)
    ids = sum(pq.read_table(generated.path / ASKED)["caption_ids"].slice(20, 20).to_pylist(), [])
    rows = [row | {"seed": 0} for row in rows_of(generated).to_pylist() if row["caption_id"] in ids]
    write_table(folder / "parts/rewrites-00000020-00000040.parquet", pa.Table.from_pylist(rows, REWRITES), REWRITES)
    again = run(GenerateConfig(unit_size=20, workers=1), {"prepare": prepared}, folder)
    found = rows_of(again).to_pylist()
    assert {row["caption_id"] for row in found if row["seed"] == 0} == {row["caption_id"] for row in rows}
    assert len(found) == rows_of(generated).num_rows
    assert not (folder / "parts").exists()


def test_only_the_types_asked_for_are_made(prepared, tmp_path):
    made = run(GenerateConfig(types=("replace_nouns",), workers=1), {"prepare": prepared}, tmp_path / "one")
    assert set(rows_of(made)["type"].to_pylist()) == {"replace_nouns"}


def test_the_vocabulary_is_that_of_the_captions(generated):
    vocabulary = Vocabulary.load(generated.path / "vocabulary.json")
    assert set(NOUNS) <= set(vocabulary.nouns)
    assert "zebra" not in vocabulary.nouns
    assert set(vocabulary.adjectives) <= {*ADJECTIVES, "ignore"}
    assert any(pair.startswith("red ") for pair in vocabulary.pairs)


def test_no_captions_is_an_error_that_says_so(tmp_path):
    empty = prepare_artifact(tmp_path / "empty", CAPTIONS.empty_table())
    with pytest.raises(DataError, match="holds no captions"):
        run(GenerateConfig(workers=1), {"prepare": empty}, tmp_path / "out")


def test_a_truncated_captions_file_is_named(prepared, tmp_path):
    folder = tmp_path / "cut"
    broken = prepare_artifact(folder, captions_table(["a dog"]))
    path = folder / "captions.parquet"
    path.write_bytes(path.read_bytes()[:-10] + b"x" * 10)
    with pytest.raises(DataError, match="not a readable Parquet file"):
        run(GenerateConfig(workers=1), {"prepare": broken}, tmp_path / "out")


CHILD = """
import sys
from pathlib import Path
import holding
from degla.artifacts import Artifact
from degla.generate import GenerateConfig, run
if __name__ == "__main__":
    run(GenerateConfig(unit_size=20, workers=int(sys.argv[3])), {"prepare": Artifact.load(Path(sys.argv[1]))}, Path(sys.argv[2]))
"""


def start(script: Path, prepared: Artifact, folder: Path, signs: Path, event: str = "", workers: int = 2) -> subprocess.Popen:
    command = [sys.executable, script, prepared.path, folder, str(workers)]
    return subprocess.Popen(command, env=environment(signs, event))


KILLS = {
    "before vocabulary 1": "run",
    "after word_uses 1": "run",
    "before asked 1": "run",
    "before rewrites- 1": "run",
    "after rewrites- 1": "politely",
    "before rewrites- 4": "run",
    "after rewrites- 3": "worker",
    "before rewrites- 2": "run",
    "before rewrites- 5": "worker",
    "after rewrites- 6": "run",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_ten_times_it_ends_with_the_same_rows_and_no_orphans(tmp_path):
    prepared = prepare_artifact(tmp_path / "prepare", captions_table(made_captions(2000)))
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    folder = tmp_path / "killed"
    for event, killed in KILLS.items():
        signs = tmp_path / event.replace(" ", "-")
        child = start(script, prepared, folder, signs, event)
        wait_until_held(signs, child)
        family = descendants(child.pid)
        if killed == "worker":  # alone: the run says so and ends
            os.kill(max(workers_among(family)), signal.SIGKILL)
        else:
            os.kill(child.pid, signal.SIGTERM if killed == "politely" else signal.SIGKILL)
        child.wait()
        assert left_of(family) == set()
    assert 15 <= len(finished_files(folder / "parts", "rewrites-*")) < 90
    assert not (folder / "manifest.json").exists()
    assert start(script, prepared, folder, tmp_path / "last").wait() == 0
    unkilled = run(GenerateConfig(unit_size=20, workers=1), {"prepare": prepared}, tmp_path / "unkilled")
    killed = Artifact.load(folder)
    assert killed.manifest.files == unkilled.manifest.files
    keys = [key_of(row) for row in rows_of(killed).to_pylist()]
    assert len(keys) == len(set(keys)) == killed.counts["asked"]


@pytest.mark.slow
def test_runs_beside_each_other_share_the_units_and_any_of_them_finishes(tmp_path):
    prepared = prepare_artifact(tmp_path / "prepare", captions_table(made_captions(3000)))
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    folder = tmp_path / "shared"
    first = start(script, prepared, folder, tmp_path / "first", "after rewrites- 4", workers=1)
    wait_until_held(tmp_path / "first", first)
    second = start(script, prepared, folder, tmp_path / "second", workers=1)
    first.kill()
    assert second.wait() == 0
    made = Artifact.load(folder)
    alone = run(GenerateConfig(unit_size=20, workers=1), {"prepare": prepared}, tmp_path / "alone")
    assert made.manifest.files == alone.manifest.files
