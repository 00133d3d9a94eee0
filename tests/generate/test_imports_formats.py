"""Import formats: every negative of a good file, and a bad file named with its row and what to do."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from degla.errors import ConfigError, DataError
from degla.generate.imports.table import read_table_rows
from degla.released import rows
from degla.released.degla import read_degla
from degla.released.negclip import read_negclip
from degla.released.rows import ImportedRow, stream_json_list

COLUMNS = {"image_id": "img", "caption": "cap", "negative": "neg", "type": "kind"}
DEGLA = [
    {"image_id": 57870, "original": "A cup on a table.", "enhanced": ["A table on a cup.", "A mug on a table."]},
    {"image_id": 9, "original": "A dog.", "enhanced": ["A cat."], "extra": [1, {"a": "]"}]},
]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_released_json_gives_a_row_for_each_text(tmp_path):
    path = written(tmp_path / "degla.json", json.dumps(DEGLA, indent=1))
    assert list(read_degla(path)) == [
        ImportedRow(1, "57870", "A cup on a table.", "A table on a cup."),
        ImportedRow(1, "57870", "A cup on a table.", "A mug on a table."),
        ImportedRow(2, "9", "A dog.", "A cat."),
    ]


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers() | st.lists(st.booleans()), max_size=3)))
def test_a_streamed_list_is_the_list_wherever_the_pieces_end(tmp_path_factory, entries):
    path = written(tmp_path_factory.mktemp("json") / "list.json", "\ufeff \n" + json.dumps(entries, ensure_ascii=False, indent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_PIECE", 7)
        assert [entry for _, entry in stream_json_list(path)] == entries


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a JSON list, but it is empty"),
        ('{"a": 1}', r"expected a JSON list, but it begins with '\{"),
        (b"\x80\x00\xff", "is not UTF-8 text"),
        ("[1]", "entry 1 is no object"),
        (json.dumps(DEGLA)[:-30], "entry 2 is not JSON, or breaks off"),
        ("[" * 200_000, "entry 1 is not JSON, or breaks off"),
        ('[{"image_id": 1, "orginal": "a", "enhanced": []}]', "entry 1 has no 'original'; did you mean 'orginal'"),
        ('[{"image_id": 1.5, "original": "a", "enhanced": []}]', "entry 1: `image_id` is 1.5, expected a number or a name"),
        ('[{"image_id": 1, "original": null, "enhanced": []}]', "entry 1: `original` is None, expected a text"),
        ('[{"image_id": 1, "original": "a", "enhanced": "b"}]', "entry 1: `enhanced` is b, expected a list of texts"),
        ('[{"image_id": 1, "original": "a", "enhanced": [2]}]', "entry 1: `enhanced` is"),
    ],
)
def test_a_json_of_another_form_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        list(read_degla(written(tmp_path / "bad.json", content)))


def test_an_entry_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_PIECE", 100)
    monkeypatch.setattr(rows, "_LONGEST_ENTRY", 1000)
    path = written(tmp_path / "endless.json", '[{"a": "' + "x" * 1_000_000)
    reads = []
    read = rows._read
    monkeypatch.setattr(rows, "_read", lambda *args: reads.append(1) or read(*args))
    with pytest.raises(DataError, match="entry 1 is not JSON, or breaks off"):
        list(read_degla(path))
    assert len(reads) < 20


def negclip_file(path, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["", "title", "filepath", "neg_caption", "neg_image"])
        writer.writerows([number, *line, "[1]"] for number, line in enumerate(lines))
    return path


def test_negclip_s_table_is_read_with_its_line_breaks_and_lists(tmp_path):
    lines = [("A cup\non a table.\n", "val/1.jpg", "['A table on a cup . \\n', \"A dog's cup\"]"), ("A dog", "val/2.jpg", "[]")]
    assert list(read_negclip(negclip_file(tmp_path / "neg.tsv", lines))) == [
        ImportedRow(1, "val/1.jpg", "A cup\non a table.\n", "A table on a cup . \n"),
        ImportedRow(1, "val/1.jpg", "A cup\non a table.\n", "A dog's cup"),
    ]


@pytest.mark.parametrize(
    "literal",
    ["__import__('os').system('touch hacked')", "['a'", "'a'", "[1]", "", "(" * 5000, "['a'] * 99", "{'a': 1}"],
)
def test_a_list_that_is_none_is_named_and_never_evaluated(tmp_path, literal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = negclip_file(tmp_path / "neg.tsv", [("a", "b", "['c']"), ("a", "b", literal)])
    with pytest.raises(DataError, match=r"row 2: `neg_caption` is .*, expected a list of texts"):
        list(read_negclip(path))
    assert not (tmp_path / "hacked").exists()


def test_the_real_negclip_file_is_read_whole(shared_data):
    found = list(read_negclip(shared_data("negclip_valid/valid_neg_clip.tsv")))
    assert len(found) == 7370
    assert found[-1].row <= 4839
    assert len({row.row for row in found}) == 4839
    assert all(row.text and row.caption and row.image_id for row in found)


TABLE = [("1.jpg", "a cup", "a mug", "replace_nouns"), ("2.jpg", "a dog", "a cat, or\ntwo", "")]
EXPECTED = [ImportedRow(1, "1.jpg", "a cup", "a mug", "replace_nouns"), ImportedRow(2, "2.jpg", "a dog", "a cat, or\ntwo", None)]


@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.tsv", "\t")])
def test_a_delimited_table_is_read_by_its_columns(tmp_path, name, delimiter):
    with (tmp_path / name).open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(
            [("cap", "x", "neg", "img", "kind")] + [(b, 0, c, a, d) for a, b, c, d in TABLE]
        )
    assert list(read_table_rows(tmp_path / name, COLUMNS)) == EXPECTED


def test_a_parquet_table_is_read_by_its_columns_and_lists_are_spread(tmp_path):
    columns = dict(zip(("img", "cap", "neg", "kind"), map(list, zip(*TABLE, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert list(read_table_rows(tmp_path / "t.parquet", COLUMNS)) == EXPECTED
    pq.write_table(pa.table({"id": [5, None], "cap": ["a cup", None], "neg": [["a", "b"], []]}), tmp_path / "l.parquet")
    found = list(read_table_rows(tmp_path / "l.parquet", {"image_id": "id", "caption": "cap", "negative": "neg"}))
    assert found == [ImportedRow(1, "5", "a cup", "a"), ImportedRow(1, "5", "a cup", "b")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty; expected a header line"),
        ("t.csv", "img,caps,neg,kind\n", "the header has no 'cap'; did you mean 'caps'"),
        ("t.csv", "img,cap,neg,kind\n1,a,b,\n1,a\n", r"row 2 \(line 3\) has 2 fields, the header has 4"),
        ("t.csv", "img,cap,neg,kind\n1,a,b,swap_noun\n", r"row 1: unknown negative type 'swap_noun'; did you mean 'swap_nouns'"),
        ("t.csv", "img,cap,neg,kind\n1,a,b,verbs\n", "row 1: unknown negative type 'verbs'; expected one of"),
        ("t.csv", b"img,cap,neg,kind\n1,\xff\xfe,b,\n", "is not UTF-8 text"),
        ("t.csv", f"img,cap,neg,kind\n1,{'a' * 200_000},b,\n", r"row 1 \(line 2\) is broken: field larger"),
        ("t.parquet", b"PAR1 rubbish", "not a readable Parquet file"),
    ],
)
def test_a_bad_table_is_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        list(read_table_rows(written(tmp_path / name, content), COLUMNS))


def test_a_parquet_column_of_numbers_with_a_point_is_no_text(tmp_path):
    pq.write_table(pa.table({"cap": ["a"], "neg": [0.5]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'neg' is double, expected text"):
        list(read_table_rows(tmp_path / "t.parquet", {"caption": "cap", "negative": "neg"}))


def test_settings_that_cannot_be_read_by_are_named(tmp_path):
    with pytest.raises(ConfigError, match="columns lacks 'negative'"):
        list(read_table_rows(tmp_path / "t.csv", {"caption": "cap"}))
    with pytest.raises(ConfigError, match=r"unknown ending '\.xlsx'"):
        list(read_table_rows(tmp_path / "t.xlsx", COLUMNS))
