"""Explain: rows of a CSV file are judged one by one, written with verdict and rule, and bad files are named."""

import csv
import subprocess
import sys

import pytest

from degla.errors import DataError, MissingInputError
from degla.filter.explain import Question, command, explain, read_questions

ROWS = [
    ("A man rides a horse.", "swap_nouns", "A horse rides a man.", "", "keep", ""),
    ("a cat and a dog", "swap_nouns", "a dog and a cat", "", "reject", "not_symmetric"),
    (
        "An apple on a plate, near a cup",
        "replace_nouns",
        "A banana on a plate, near a cup",
        "some bananas|fruit",
        "reject",
        "noun_not_in_image",
    ),
    ("An apple on a plate", "replace_nouns", "", "", "reject", "length"),
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(
            [("id", "caption", "type", "rewrite", "other_captions"), *((i, *row[:4]) for i, row in enumerate(ROWS))]
        )
    return path


def test_each_row_gets_its_verdict_and_rule(file, tmp_path, capsys):
    command([str(file), "--out", str(tmp_path / "judged.csv")])
    with (tmp_path / "judged.csv").open(newline="", encoding="utf-8") as lines:
        judged = list(csv.DictReader(lines))
    assert [(row["id"], row["verdict"], row["rule"]) for row in judged] == [(str(i), *row[4:]) for i, row in enumerate(ROWS)]
    printed = capsys.readouterr().out
    assert "4 rows: 1 kept, 3 rejected" in printed
    assert "not_symmetric: what 'and'" in printed


@pytest.mark.slow
def test_a_row_does_not_depend_on_the_rows_beside_it(file):
    _, questions = read_questions(file)
    assert explain(questions) == [explain([question])[0] for question in questions]
    assert explain([*questions, *questions]) == 2 * explain(questions)


def test_no_rows_are_no_error(file, tmp_path):
    file.write_text("caption,type,rewrite\n")
    command([str(file), "--out", str(tmp_path / "judged.csv")])
    assert (tmp_path / "judged.csv").read_text().strip() == "caption,type,rewrite,verdict,rule"


def test_only_three_columns_are_needed(file):
    file.write_text("type,rewrite,caption\nswap_nouns,a horse rides a man,a man rides a horse\n")
    assert read_questions(file)[1] == [Question("a man rides a horse", "swap_nouns", "a horse rides a man")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("caption,rewrite\na,b\n", "column type is missing; found caption, rewrite"),
        ("caption,type,rewrite\na cat,swap,a dog\n", "line 2: unknown negative type 'swap'; expected one of reshuffle"),
        ("caption,type,rewrite\n,swap_nouns,a dog\n", "line 2: the caption is empty"),
        ("caption,type,rewrite\na cat,swap_nouns,a dog,on a mat\n", "line 2: 4 fields, the first row has 3"),
    ],
)
def test_a_bad_file_is_named_with_its_line(file, text, message):
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_questions(file)


def test_what_is_no_text_and_what_is_not_there(file, tmp_path):
    file.write_bytes(b"caption,type,rewrite\n\xff\xfe,swap_nouns,x\n")
    with pytest.raises(DataError, match="line 2: byte 0xff is not UTF-8"):
        read_questions(file)
    with pytest.raises(MissingInputError, match=r"nothing\.csv does not exist"):
        read_questions(tmp_path / "nothing.csv")


def test_the_command_line_says_what_is_wrong_and_exits_with_two(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "degla.filter", "explain", str(tmp_path / "no.csv")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no.csv does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_caption_says_the_exchanged_order_only_in_whole_words():
    def rule(other):
        return explain([Question("a dog chasing a man", "swap_nouns", "a man chasing a dog", (other,))])[0]

    assert rule("a woman chasing a dog") is None
    assert rule("a man chasing a doghouse") is None
    assert rule("a tall man chasing a dog") == "not_said_exchanged"
