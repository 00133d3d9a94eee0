"""Imports of every form: every negative of a good file, and a bad file named with its row and what to do."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import written

from degla.errors import ConfigError, DataError, MissingInputError
from degla.generate.config import Import
from degla.generate.imports.rows import ImportedRow, imported_rows

COLUMNS = {"image_id": "img", "caption": "cap", "negative": "neg", "type": "kind"}
DEGLA = [
    {"image_id": 57870, "original": "A cup on a table.", "enhanced": ["A table on a cup.", "A mug on a table."]},
    {"image_id": 9, "original": "A dog.", "enhanced": ["A cat."], "extra": [1, {"a": "]"}]},
]
TABLE = [("1.jpg", "a cup", "a mug", "replace_nouns"), ("2.jpg", "a dog", "a cat, or\ntwo", "")]
EXPECTED = [ImportedRow(1, "1.jpg", "a cup", "a mug", "replace_nouns"), ImportedRow(2, "2.jpg", "a dog", "a cat, or two", None)]


def imported(path, **settings):
    return list(imported_rows(Import(path=str(path), **settings)))


@pytest.mark.parametrize("form", ["degla", "", "table"])
def test_the_released_json_gives_a_row_for_each_text(tmp_path, form):
    assert imported(written(tmp_path / "degla.json", json.dumps(DEGLA, indent=1)), format=form) == [
        ImportedRow(1, "57870", "A cup on a table.", "A table on a cup."),
        ImportedRow(1, "57870", "A cup on a table.", "A mug on a table."),
        ImportedRow(2, "9", "A dog.", "A cat."),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected JSON"),
        (b"\x80\x00\xff", "expected JSON"),
        ("[1]", "expected JSON objects"),
        (json.dumps(DEGLA)[:-30], "entry 2: is not JSON, or breaks off"),
        ("[" * 200_000, "entry 1: is not JSON, or breaks off"),
        ('[{"image_id": 1, "orginal": "a", "enhanced": []}]', "has no 'original'; did you mean 'orginal'"),
        ('[{"image_id": 1.5, "original": "a", "enhanced": ["b"]}]', "entry 1: 'image_id' is 1.5, expected an image's name"),
        ('[{"image_id": 1, "original": "a", "enhanced": [2]}]', "entry 1: 'enhanced' is 2, expected a text"),
    ],
)
def test_a_json_of_another_form_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        imported(written(tmp_path / "bad.json", content), format="degla")


def negclip_file(path, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["", "title", "filepath", "neg_caption", "neg_image"])
        writer.writerows([number, *line, "[1]"] for number, line in enumerate(lines))
    return path


@pytest.mark.parametrize("form", ["negclip", ""])
def test_negclip_s_table_is_read_with_its_line_breaks_and_lists(tmp_path, form):
    lines = [("A cup\non a table.\n", "val/1.jpg", "['A table on a cup . \\n', \"A dog's cup\"]"), ("A dog", "val/2.jpg", "[]")]
    assert imported(negclip_file(tmp_path / "neg.tsv", lines), format=form) == [
        ImportedRow(1, "val/1.jpg", "A cup on a table.", "A table on a cup ."),
        ImportedRow(1, "val/1.jpg", "A cup on a table.", "A dog's cup"),
    ]


@pytest.mark.parametrize(
    "literal",
    ["__import__('os').system('touch hacked')", "['a'", "'a'", "[1]", "(" * 5000, "['a'] * 99", "{'a': 1}"],
)
def test_a_list_that_is_none_is_named_and_never_evaluated(tmp_path, literal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = negclip_file(tmp_path / "neg.tsv", [("a", "b", "['c']"), ("a", "b", literal)])
    with pytest.raises(DataError, match=r"line 3: 'neg_caption' is .*, expected a (list of texts|text)"):
        imported(path, format="negclip")
    assert not (tmp_path / "hacked").exists()


def test_the_real_negclip_file_is_read_whole(shared_data):
    found = imported(shared_data("negclip_valid/valid_neg_clip.tsv"))
    assert len(found) == 7370
    assert len({row.row for row in found}) == 4839
    assert all(row.text and row.caption and row.image_id for row in found)


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_delimited_table_is_read_by_its_columns(tmp_path, delimiter):
    with (tmp_path / "t.txt").open("w", newline="") as file:
        rows = [(caption, 0, negative, image, kind) for image, caption, negative, kind in TABLE]
        csv.writer(file, delimiter=delimiter).writerows([("cap", "x", "neg", "img", "kind"), *rows])
    assert imported(tmp_path / "t.txt", format="table", columns=COLUMNS) == EXPECTED


def test_a_parquet_table_is_read_by_its_columns_and_lists_are_spread(tmp_path):
    columns = dict(zip(("img", "cap", "neg", "kind"), map(list, zip(*TABLE, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert imported(tmp_path / "t.parquet", format="table", columns=COLUMNS) == EXPECTED
    pq.write_table(pa.table({"id": [5, None], "cap": ["a cup", "a dog"], "neg": [["a", "b"], ["c"]]}), tmp_path / "l.parquet")
    found = imported(tmp_path / "l.parquet", columns={"image_id": "id", "caption": "cap", "negative": "neg"})
    assert found == [ImportedRow(1, "5", "a cup", "a"), ImportedRow(1, "5", "a cup", "b"), ImportedRow(2, None, "a dog", "c")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "img,caps,neg,kind\n", "has no 'cap'; did you mean 'caps'"),
        ("t.csv", "img,cap,neg,kind\n1,a,b,\n1,a\n", "line 3: 2 fields, the first row has 4"),
        ("t.csv", "img,cap,neg,kind\n1,a,b,swap_noun\n", r"line 2: unknown negative type 'swap_noun'; did you mean 'swap_nouns'"),
        ("t.csv", "img,cap,neg,kind\n1,a,b,verbs\n", "line 2: unknown negative type 'verbs'; expected one of"),
        ("t.csv", b"img,cap,neg,kind\n1,\xff\xfe,b,\n", "line 2: byte 0xff is not UTF-8"),
        ("t.parquet", b"PAR1 rubbish", "not a readable Parquet file"),
    ],
)
def test_a_bad_table_is_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        imported(written(tmp_path / name, content), columns=COLUMNS)


def test_a_column_of_numbers_with_a_point_is_no_text(tmp_path):
    pq.write_table(pa.table({"image": ["x"], "cap": ["a"], "neg": [0.5]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="row 1: 'neg' is 0.5, expected a text"):
        imported(tmp_path / "t.parquet", columns={"caption": "cap", "negative": "neg"})


def test_negatives_beside_several_captions_are_of_none_of_them(tmp_path):
    path = written(tmp_path / "n.csv", "image,caption_1,caption_2,negative\na.jpg,A dog,A brown dog,A cat\n")
    with pytest.raises(DataError, match="line 2: 2 captions beside its negatives; which one are they made from"):
        imported(path)
    assert imported(path, columns={"caption": "caption_1"}) == [ImportedRow(1, "a.jpg", "A dog", "A cat")]


def test_an_option_that_is_none_is_named(tmp_path):
    path = written(tmp_path / "n.csv", "image;caption;negative\na.jpg;A dog;A cat\n")
    assert imported(path, options={"separator": ";"}) == [ImportedRow(1, "a.jpg", "A dog", "A cat")]
    with pytest.raises(ConfigError, match="generate.imports, .*unknown key 'separater'; did you mean 'separator'"):
        imported(path, options={"separater": ";"})
    with pytest.raises(MissingInputError, match="does not exist; check generate.imports"):
        imported(tmp_path / "none.csv")
