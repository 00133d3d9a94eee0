"""The targets of `python -m degla.filter audit`: anyone's file gives the pairs that it holds, and what it is not is named."""

from __future__ import annotations

import csv
import json

import pytest
from text_pairs import drawn_rows, read_target

from degla.errors import DataError, MissingInputError
from degla.filter.audit.accuracy import audit
from degla.filter.audit.targets import read_corpus

pytestmark = pytest.mark.slow

ROWS = drawn_rows(120)
IMAGES = [f"COCO_val2014_{k // 2:012d}.jpg" for k in range(len(ROWS))]


def write_csv(path, header, rows, delimiter=","):
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


@pytest.fixture
def files(tmp_path):
    """The same pairs in every form."""
    sugarcrepe = {
        str(k): {"filename": image, "caption": row.caption, "negative_caption": row.text}
        for k, (image, row) in enumerate(zip(IMAGES, ROWS, strict=True))
    }
    (tmp_path / "sugarcrepe.json").write_text(json.dumps(sugarcrepe))
    degla = [{"image_id": k // 2, "original": row.caption, "enhanced": [row.text]} for k, row in enumerate(ROWS)]
    (tmp_path / "degla.json").write_text(json.dumps(degla))
    negclip = [[row.caption, image, repr([row.text])] for image, row in zip(IMAGES, ROWS, strict=True)]
    write_csv(tmp_path / "negclip.tsv", ["title", "filepath", "neg_caption"], negclip, "\t")
    table = [[image, row.caption, "swap_nouns", row.text, "me"] for image, row in zip(IMAGES, ROWS, strict=True)]
    write_csv(tmp_path / "table.csv", ["image", "caption", "type", "rewrite", "generator"], table)
    return tmp_path


def test_each_form_gives_the_same_pairs_and_the_figures_of_the_audit(files):
    figures = set()
    for name in ("sugarcrepe.json", "degla.json", "negclip.tsv", "table.csv"):
        pairs = read_target(str(files / name))
        assert (len(pairs), len(pairs.images)) == (120, 60)
        figures.add(tuple(tuple(row.as_json().values())[2:] for row in audit(pairs) if "all" not in (row.type, row.generator)))
    assert len(figures) == 1
    assert [row.type for row in audit(read_target(str(files / "table.csv"))) if row.generator == "me"] == ["swap_nouns"]


def test_a_caption_with_several_negatives_is_learnt_once_and_needs_no_image_in_a_csv(tmp_path):
    rows = [["a dog", "x", "a cat"], ["a dog", "x", "a cow"], ["a red car", "y", "a red bus"]]
    pairs = read_target(str(write_csv(tmp_path / "a.csv", ["caption", "type", "rewrite"], rows)))
    assert (len(pairs), len(pairs.captions), len(pairs.images)) == (3, 2, 2)


def test_a_corpus_takes_the_place_of_the_files_own_captions(files):
    corpus = [{"image_id": 7, "id": 1, "caption": "A dog near a bench."}, {"image_id": 8, "id": 2, "caption": "A cow."}]
    (files / "corpus.json").write_text(json.dumps({"annotations": corpus}))
    write_csv(files / "corpus.csv", ["image", "caption"], [["7.jpg", "A dog near a bench."], ["8.jpg", "A cow."]])
    assert read_corpus(files / "corpus.json") == read_corpus(files / "corpus.csv")
    pairs = read_target(str(files / "sugarcrepe.json"), files / "corpus.json")
    assert pairs.is_read.sum() == 2
    assert len(pairs.images) == 60
    assert pairs.is_read.tolist()[-2:] == [True, True]
    with pytest.raises(MissingInputError, match=r"corpus\.txt does not exist"):
        read_corpus(files / "corpus.txt")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "a key: is not JSON, or breaks off"),
        ("a.json", '{"0": {"caption": 3, "filename": "b", "negative_caption": "c"}}', "0: 'caption' is 3, expected a text"),
        ("a.json", "[3]", "expected JSON objects with an image and a caption"),
        ("a.tsv", "title\tfilepath\tneg_caption\na\tb\t['c\n", "line 2: 'neg_caption' is .*, expected a list of texts"),
        ("a.tsv", "title\tfilepath\tneg_caption\na\tb\n", "1 broken line.*line 2: 2 fields, the first row has 3"),
        ("a.csv", "caption,type,rewrite\na,b,c,d\n", "1 broken line.*line 2: 4 fields, the first row has 3"),
        ("a.csv", "image,caption\na.jpg,a dog\n", "holds no negatives"),
    ],
)
def test_a_file_in_another_form_is_named_with_the_place_where_it_breaks(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}[:,] {said}"):
        read_target(str(tmp_path / name))


def test_a_file_without_pairs_is_named_and_so_is_one_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no caption to train the text-only classifier"):
        read_target(str(write_csv(tmp_path / "a.csv", ["caption", "type", "rewrite"], [])))
    with pytest.raises(MissingInputError):
        read_target(str(tmp_path / "b.csv"))
