"""Imports as rows: every negative is a row or stands among the unmatched, each with its reason, however often it is killed."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact, tagger

from degla.artifacts import Building
from degla.errors import DataError, MissingInputError
from degla.filter import FilterConfig
from degla.filter import run as run_filter
from degla.generate import GenerateConfig
from degla.generate.config import Import
from degla.generate.imports import read_imports, reading
from degla.generate.imports.matching import text_key
from degla.generate.imports.rows import imported_rows
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, REWRITES, write_table
from degla.sources.names import image_key
from degla.text.edit_types import type_of_edit
from degla.text.tokens import tokenize

CAPTIONS_HERE = [
    ("57870", "A red cup on a wooden table."),
    ("57870", "a red cup  on a Wooden table"),
    ("9", "A dog on a mat"),
    ("1203", "A red cup on a wooden table"),
]


@pytest.fixture
def captions(tmp_path):
    texts = [" ".join(text.split()) for _, text in CAPTIONS_HERE]
    write_table(tmp_path / "captions.parquet", captions_table(texts, [image for image, _ in CAPTIONS_HERE]), CAPTIONS)
    return tmp_path / "captions.parquet"


def degla_file(path, *entries):
    path.write_text(json.dumps([{"image_id": a, "original": b, "enhanced": c} for a, b, c in entries]))
    return Import(path=str(path), format="degla")


def rows(folder):
    found = [pq.read_table(path) for path in sorted((folder / "rewrites").glob("imported-*.parquet"))]
    assert all(table.schema.equals(REWRITES) for table in found)
    return [row for table in found for row in table.to_pylist()]


def test_rows_go_to_all_captions_of_the_image_with_the_text_and_to_no_other(captions, tmp_path):
    each = degla_file(tmp_path / "d.json", (57870, "A red cup on a wooden table", ["A red mug on a wooden table"]))
    summary = read_imports([each], captions, tmp_path / "out")
    assert [(row["caption_id"], row["text"]) for row in rows(tmp_path / "out")] == [
        (0, "A red mug on a wooden table"),
        (1, "A red mug on a wooden table"),
    ]
    assert (summary.read, summary.matched, summary.unmatched, summary.rows) == (1, 1, 0, 2)


def test_an_image_that_the_dataset_does_not_know_leaves_the_text_to_decide(captions, tmp_path):
    each = degla_file(tmp_path / "d.json", (4, "A red cup on a wooden table", ["A blue cup on a wooden table"]))
    read_imports([each], captions, tmp_path / "out")
    assert [row["caption_id"] for row in rows(tmp_path / "out")] == [0, 1, 3]


def test_what_matches_nothing_is_kept_with_its_reason(captions, tmp_path):
    entries = [
        (9, "A cat on a mat", ["A mat on a cat", "A dog"]),
        (4, "Nothing like it", ["x"]),
        (9, "A dog on a mat", [" ", "A \ud800"]),
    ]
    summary = read_imports([degla_file(tmp_path / "d.json", *entries, (9, ".", ["x"]))], captions, tmp_path / "out")
    found = pq.read_table(tmp_path / "out" / "imported_unmatched.parquet").to_pylist()
    assert [(row["row"], row["image_id"], row["text"], row["reason"]) for row in found] == [
        (1, "9", "A mat on a cat", "the image has no such caption in the dataset"),
        (1, "9", "A dog", "the image has no such caption in the dataset"),
        (2, "4", "x", "no caption of the dataset has this text"),
        (3, "9", "", "the negative is empty"),
        (3, "9", "A ?", "the negative is not Unicode text"),
        (4, "9", "x", "the caption is empty"),
    ]
    assert (summary.read, summary.matched, summary.unmatched) == (6, 0, 6)
    assert sum(summary.reasons.values()) == 6


def test_rows_say_where_they_are_from_and_candidates_are_numbered_throughout_all_imports(captions, tmp_path):
    first = degla_file(tmp_path / "d.json", (9, "a dog on a mat", ["A mat on a dog", "A cat on a mat", "a cow on a mat"]))
    (tmp_path / "t.csv").write_text("c,n,k\nA dog on a mat,a horse on a mat,\nA dog on a mat,a bed on a dog,reshuffle\n")
    columns = {"caption": "c", "negative": "n", "type": "k"}
    second = Import(path=str(tmp_path / "t.csv"), format="table", name="mine", columns=columns)
    summary = read_imports([first, second], captions, tmp_path / "out")
    assert [(row["type"], row["candidate"], row["generator"]) for row in rows(tmp_path / "out")] == [
        ("swap_nouns", 0, "import:d"),
        ("replace_nouns", 0, "import:d"),
        ("replace_nouns", 1, "import:d"),
        ("replace_nouns", 2, "import:mine"),
        ("reshuffle", 0, "import:mine"),
    ]
    assert {(row["status"], row["attempt"], row["seed"]) for row in rows(tmp_path / "out")} == {("ok", 0, 0)}
    assert len({row["model_sha"] for row in rows(tmp_path / "out")}) == 2
    assert summary.types == {"swap_nouns": 1, "replace_nouns": 3, "reshuffle": 1}


def test_a_killed_import_goes_on_from_its_parts_and_ends_the_same(captions, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 3)
    texts = ["A mat on a dog", "A cat on a mat", "a cow on a mat", "A bed on a mat", "a dog on a bed"]
    imports = [
        degla_file(tmp_path / "d.json", (9, "A dog on a mat", texts), (9, "unknown", ["x"])),
        degla_file(tmp_path / "e.json", (9, "A dog on a mat", texts[::-1]), (57870, "A red cup on a wooden table", texts[:2])),
    ]
    whole = read_imports(imports, captions, tmp_path / "whole")
    write = reading.write_table
    for stop in range(1, 10):
        calls = []

        def dies(*args, stop=stop, calls=calls):
            calls.append(args)
            if len(calls) == stop:
                raise KeyboardInterrupt
            write(*args)

        with monkeypatch.context() as patch:
            patch.setattr(reading, "write_table", dies)
            if stop <= 2 * len(whole.parts):
                with pytest.raises(KeyboardInterrupt):
                    read_imports(imports, captions, tmp_path / f"killed-{stop}")
        assert read_imports(imports, captions, tmp_path / f"killed-{stop}") == whole
        assert rows(tmp_path / f"killed-{stop}") == rows(tmp_path / "whole")
        unmatched = [pq.read_table(tmp_path / name / "imported_unmatched.parquet") for name in ("whole", f"killed-{stop}")]
        assert unmatched[0].equals(unmatched[1])
        assert unmatched[0].num_rows == whole.unmatched == 1
    keys = Counter((row["caption_id"], row["type"], row["candidate"]) for row in rows(tmp_path / "whole"))
    assert set(keys.values()) == {1}
    assert len(whole.parts) == 5


def test_a_finished_import_is_not_read_again(captions, tmp_path):
    each = degla_file(tmp_path / "d.json", (9, "A dog on a mat", ["A mat on a dog"]))
    first = read_imports([each], captions, tmp_path / "out")
    Path(each.path).unlink()
    assert read_imports([each], captions, tmp_path / "out") == first


def test_a_file_without_negatives_or_that_is_not_there_is_named(captions, tmp_path):
    with pytest.raises(DataError, match=r"d\.json: holds no negatives"):
        read_imports([degla_file(tmp_path / "d.json", (9, "A dog on a mat", []))], captions, tmp_path / "out")
    with pytest.raises(MissingInputError, match="none does not exist; check generate.imports"):
        read_imports([Import(path=str(tmp_path / "none"), format="degla")], captions, tmp_path / "out")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("coco/val2014/COCO_val2014_000000184613.jpg", "184613"),
        ("000000184613.jpg", "184613"),
        ("COCO_train2014_000000057870", "57870"),
        ("Photo_A.JPG", "folder/photo_a.png"),
        ("a.b/c", "c"),
    ],
)
def test_an_image_is_known_by_all_its_names(one, other):
    assert image_key(one) == image_key(other)


def test_different_images_have_different_names():
    names = ["1.jpg", "10.jpg", "img_1.jpg", "1_2.jpg", "100", "a1"]
    assert len({image_key(name) for name in names}) == len(names)


def test_a_caption_is_known_without_case_spaces_and_end():
    assert text_key(" A  cup\non a table . ") == text_key("a cup on a Table") != text_key("a cup on tables")


@pytest.mark.parametrize(
    ("caption", "text", "expected"),
    [
        ("A dog chases a cat.", "A cat chases a dog .", "swap_nouns"),
        ("An apple next to a red cup", "A cup next to a red apple", "swap_nouns"),
        ("A red cup on a blue table", "A blue cup on a red table", "swap_adjectives"),
        ("A red cup on a wooden table", "A wooden table on a red cup", "reshuffle"),
        ("A man sitting on a bench", "A bench on sitting a man", "reshuffle"),
        ("A man rides a brown horse", "A man rides a brown zebra", "replace_nouns"),
        ("A man rides a brown horse", "A man rides a white horse", "replace_adjectives"),
        ("A man rides a brown horse", "A woman holds a brown horse", "replace_nouns"),
        ("A man rides a brown horse", "A horse rides a white man", "reshuffle"),
        ("A man rides a brown horse", "a man rides a brown horse.", "reshuffle"),
        ("A man rides a brown horse", "Snow", "replace_nouns"),
    ],
)
def test_the_type_is_read_off_the_edit(caption, text, expected):
    tokens = tokenize(caption)
    assert type_of_edit(tokens, tagger().tag(tokens)[0], text) == expected


@pytest.mark.slow
def test_every_negative_of_the_real_negclip_file_is_a_row_and_the_filter_refuses_its_torn_compounds(shared_data, tmp_path):
    path = shared_data("negclip_valid/valid_neg_clip.tsv")
    found = imported_rows(Import(path=str(path)))
    captions = {row.row: (Path(row.image_id or "").name, row.caption) for row in found}
    table = captions_table([text for _, text in captions.values()], [image for image, _ in captions.values()])
    prepared = prepare_artifact(tmp_path / "prepare", table)
    each = Import(path=str(path), format="negclip", name="negclip")
    summary = read_imports([each], prepared.file("captions.parquet"), tmp_path / "generate")
    assert (summary.read, summary.matched, summary.unmatched) == (7370, 7370, 0)
    generated = Building(tmp_path / "generate", GenerateConfig(), {}, {}, "1" * 16).finish({}, summary.parts)
    run_filter(FilterConfig(), {"prepare": prepared, "generate": generated}, tmp_path / "filter")
    types = json.loads((tmp_path / "filter" / "summary.json").read_text())["types"]
    assert sum(types[name]["asked"] for name in NEGATIVE_TYPES) == summary.rows == 7370
    assert types["swap_nouns"]["asked"] > 5000
    assert 0.3 < types["swap_nouns"]["kept"] / types["swap_nouns"]["asked"] < 0.7
    assert max(types["swap_nouns"]["by_rule"], key=types["swap_nouns"]["by_rule"].get) == "whole_nouns"
    assert types["swap_adjectives"]["kept"] > 0.22 * types["swap_adjectives"]["asked"] > 180
