"""What a language model's answer means: the same for every back end."""

from types import SimpleNamespace

import pytest

from degla.generate.backend import Origin, Request
from degla.generate.language_models.answers import read_answer
from degla.generate.language_models.engine_backends import VllmBackend

CAPTION = "a cat on a mat"
ANSWERS = [
    ("a dog on a cat", ("ok", "a dog on a cat")),
    ("\n  Output: a dog on a cat\nInput: more", ("ok", "a dog on a cat")),
    ("Output:\na dog", ("ok", "a dog")),
    ("NONE of the dogs", ("ok", "NONE of the dogs")),
    ("NONE", ("abstained", None)),
    ("None", ("abstained", None)),
    ("Output: none.", ("abstained", None)),
    ("A  Cat on a mat.", ("abstained", None)),
    (" \n", ("failed", None)),
    ("Output:", ("failed", None)),
    ("a \ud800 dog", ("failed", None)),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS)
def test_the_first_line_that_says_something_is_the_answer(answer, expected):
    reading = read_answer(answer, CAPTION)
    assert (reading.status, reading.text) == expected


@pytest.mark.parametrize(("answer", "expected"), ANSWERS)
def test_the_engine_reads_an_answer_as_the_server_does(answer, expected):
    engine = SimpleNamespace(config=SimpleNamespace(max_num_seqs=1), origin=lambda name, negative_type: Origin(name, ""))
    request = Request(0, CAPTION, (), (), "swap_nouns", 0, 1, 0)
    row = VllmBackend(engine)._answer(SimpleNamespace(request=request), answer)
    assert (row.status, row.text) == expected
