"""Tokens: the Python pattern and its SQL twin agree, and spans point at the tokens."""

import json
import random

import pytest

from degla.database import connect
from degla.judge.judge import Judge
from degla.text.tokens import is_title_case, spans, tokenize

ODD = ["", " ", "...", "猫 on a mat 🙂", "it's 3.50, 1,000 or 10:30", "t-shirt's", "'Stop' sign", "a_b"]
ODD += ["O’Neil’s café", "-a--b-", "I'll n't"]


def sql_tokens(texts):
    with connect(threads=1) as database:
        Judge(database)
        return [row[0] for row in database.rows("select toks(unnest(?::varchar[]))", [texts])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man's t-shirt, 3.50!", ["A", "man", "'s", "t-shirt", ",", "3.50", "!"]),
        ("it isn't", ["it", "isn", "'t"]),
        ("'Stop' sign...", ["'", "Stop", "'", "sign", "..."]),
        ("", []),
    ],
)
def test_words_numbers_and_marks_are_tokens(text, expected):
    assert tokenize(text) == expected


def test_python_and_duckdb_make_the_same_tokens_of_odd_texts():
    rng = random.Random(0)
    alphabet = "ab Z9.,:'’-_/()é猫🙂\""
    texts = ODD + ["".join(rng.choices(alphabet, k=12)) for _ in range(100)]
    assert sql_tokens(texts) == [[token.lower() for token in tokenize(text)] for text in texts]


def test_python_and_duckdb_make_the_same_tokens_of_coco(shared_data):
    path = shared_data("coco_captions_val2017/captions_val2017.json")
    texts = [entry["caption"] for entry in json.loads(path.read_bytes())["annotations"]]
    assert sql_tokens(texts) == [[token.lower() for token in tokenize(text)] for text in texts]


@pytest.mark.parametrize("text", [*ODD, "A dog's bowl, on the floor."])
def test_spans_cut_the_tokens_out_of_the_text(text):
    assert [text[start:end] for start, end in spans(text)] == tokenize(text)


def test_title_case_needs_most_words_capital():
    assert is_title_case(["A", "Man", "On", "A", "Horse"])
    assert not is_title_case(["A", "man", "at", "Sutter", "Street"])
