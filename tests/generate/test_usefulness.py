"""Answers that are of no use stop a run, whichever back end gives them."""

from __future__ import annotations

import json

import pytest

from degla.errors import ConfigError
from degla.generate.backend import Origin, Request, Rewrite
from degla.generate.usefulness import FirstAnswers, any_useful


def row(status="ok", text="a cat", answer=None, error=None):
    request = Request(0, "a dog in the rain", (), (), "swap_nouns", 0, 1, 0)
    return Rewrite(request, Origin("who:m", ""), status, text if status == "ok" else None, error=error, answer=answer)


@pytest.mark.parametrize("name", ["rules", "choice", "vllm", "openai"])
def test_as_many_useless_answers_as_allowed_stop_any_back_end_and_three_are_shown(name):
    first = FirstAnswers(200)
    for _ in range(199):
        first.count(name, row(), "exchanged_nouns")
    with pytest.raises(ConfigError, match=rf"^{name}: none of the first 200 answers \(who:m\)") as stop:
        first.count(name, row(), "exchanged_nouns")
    assert str(stop.value).count("'a dog in the rain': 'a cat' (exchanged_nouns)") == 3


def test_what_says_nothing_usable_counts_too_and_is_shown_as_it_was_written():
    first = FirstAnswers(2)
    first.count("vllm", row("abstained", answer="NONE", error="the model answered NONE"), None)
    with pytest.raises(ConfigError, match=r"'NONE' \(the model answered NONE\)\n  .*: '' \(the model wrote nothing\)"):
        first.count("vllm", row("failed", answer="", error="the model wrote nothing"), None)


def test_one_usable_answer_ends_the_counting_of_its_back_end_alone():
    first = FirstAnswers(3)
    first.count("vllm", row(), None)
    for _ in range(10):
        first.count("vllm", row(), "a_rule")
    assert not first.none_is_useful_yet("vllm")
    assert first.none_is_useful_yet("choice")


def test_who_has_nothing_to_say_or_was_not_asked_has_not_answered():
    first = FirstAnswers(1)
    first.count("rules", row("abstained"), None)
    first.count("openai", row("inapplicable"), None)
    first.count("openai", row("failed", error="the server says 500"), None)


def test_none_stops_where_none_is_to_stop():
    first = FirstAnswers(0)
    for _ in range(500):
        first.count("vllm", row(), "a_rule")


def test_one_worker_that_tells_of_a_usable_rewrite_is_enough(tmp_path):
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    for file, usable in zip(files, ({"swap_nouns": 0}, {"reshuffle": 2}), strict=True):
        file.write_text(json.dumps({"tally": {"usable": usable}}))
    assert any_useful(files)
    assert not any_useful(files[:1])
    assert not any_useful([])
