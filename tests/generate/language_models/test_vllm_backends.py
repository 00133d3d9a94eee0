"""How an engine's answers become rows: what a random model never says, from an engine that answers as it is told to."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from degla.generate.backend import Origin, Request
from degla.generate.config import Sampling
from degla.generate.language_models.engine_backends import CANDIDATES, ChoiceBackend, VllmBackend
from degla.generate.language_models.prompt_tokens import PromptTokens, load_tokenizer
from degla.generate.language_models.prompts import Exemplar, Prompt

CAPTION = "A dog on a mat."
PROMPT = Prompt(type="swap_nouns", version=1, rule="Change it.", exemplars=(Exemplar(input="a cat", output="a dog"),))


class ToldEngine:
    """Answers every row with the same text; keeps what it was asked."""

    def __init__(self, tokenizer, text="", finish="stop"):
        self.config, self.sampling = SimpleNamespace(max_num_seqs=4), Sampling(max_tokens=64)
        self.prompts = {"swap_nouns": PromptTokens.of(PROMPT, tokenizer)}
        self.text, self.finish = text, finish
        self.rows, self.asked, self.closed = [], [], 0

    def origin(self, name, negative_type):
        return Origin(f"{name}:told", "model", self.prompts[negative_type].sha)

    def params(self, seed, temperature, max_tokens, choices=()):
        self.asked.append(SimpleNamespace(seed=seed, temperature=temperature, max_tokens=max_tokens, choices=choices))
        return self.asked[-1]

    def submit(self, row):
        self.rows.append(row)

    def step(self):
        row = self.rows.pop()
        answer = SimpleNamespace(text=self.text, finish_reason=self.finish, token_ids=(1, 2, 3, 4), cumulative_logprob=-2.0)
        output = SimpleNamespace(outputs=[answer], prompt_token_ids=[0] * 100, num_cached_tokens=80)
        row.deliver(row, ValueError("too long") if self.finish == "refused" else output)

    def close(self):
        self.closed += 1


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(str(tiny_model))


def request(caption=CAPTION, attempt=1, caption_id=7):
    return Request(caption_id, caption, (), (), "swap_nouns", 0, attempt, 11)


def row_for(tokenizer, text, finish="stop", caption=CAPTION):
    backend = VllmBackend(ToldEngine(tokenizer, text, finish))
    backend.submit([request(caption)])
    (row,) = backend.collect()
    return row


def test_a_line_of_text_is_the_rewrite(tokenizer):
    row = row_for(tokenizer, " A mat on a dog. ")
    assert (row.status, row.text, row.finish, row.error) == ("ok", "A mat on a dog.", "stop", None)
    assert math.isclose(row.mean_logprob, -0.5)
    assert row.origin.generator == "vllm:told"


@pytest.mark.parametrize("text", ["NONE", " NONE.", "NONE "])
def test_none_is_an_abstention(tokenizer, text):
    row = row_for(tokenizer, text)
    assert (row.status, row.text, row.finish) == ("abstained", None, "stop")
    assert row.error == "the model answered NONE"


def test_none_as_a_part_of_a_sentence_is_a_text(tokenizer):
    assert row_for(tokenizer, "NONE of the dogs").status == "ok"


@pytest.mark.parametrize("caption", [CAPTION, "  A dog\non a mat. "])
def test_the_caption_repeated_is_a_repetition(tokenizer, caption):
    assert row_for(tokenizer, CAPTION, caption=caption).status == "repeated"


def test_an_empty_line_is_a_failure(tokenizer):
    row = row_for(tokenizer, "  ")
    assert (row.status, row.text) == ("failed", None)
    assert "empty" in row.error


def test_a_text_that_reached_its_limit_is_handed_on_and_marked(tokenizer):
    row = row_for(tokenizer, "A mat on", "length")
    assert (row.status, row.text, row.finish) == ("ok", "A mat on", "length")


@pytest.mark.parametrize("finish", ["abort", "error", "refused"])
def test_what_the_engine_gives_up_or_refuses_is_a_failure_in_words(tokenizer, finish):
    row = row_for(tokenizer, "half a", finish)
    assert (row.status, row.text) == ("failed", None)
    assert {"refused": "too long"}.get(finish, finish) in row.error


def test_the_first_attempt_is_cooler_than_later_ones_and_answers_are_bounded_by_the_caption(tokenizer):
    engine = ToldEngine(tokenizer, "x")
    VllmBackend(engine).submit([request(attempt=1), request(attempt=2), request(attempt=3), request("word " * 90)])
    assert [each.temperature for each in engine.asked] == [0.7, 1.0, 1.0, 0.7]
    length = len(tokenizer.encode(f" {CAPTION}", add_special_tokens=False))
    assert engine.asked[0].max_tokens == 2 * length + 8
    assert engine.asked[3].max_tokens == 64


def test_a_bad_caption_is_a_row_before_the_engine_sees_it(tokenizer):
    engine = ToldEngine(tokenizer, "x")
    backend = VllmBackend(engine)
    backend.submit([request("", caption_id=1), request(caption_id=2), request("\ud800", caption_id=3)])
    assert len(engine.rows) == 1
    rows = backend.collect() + backend.collect()
    assert {row.request.caption_id: row.status for row in rows} == {1: "failed", 2: "ok", 3: "failed"}
    assert backend.collect() == []


def test_usage_counts_tokens_by_type_and_time_only_while_rows_are_open(tokenizer):
    backend = VllmBackend(ToldEngine(tokenizer, "x"))
    assert backend.collect() == []
    assert backend.usage.seconds == 0
    backend.submit([request(), request()])
    assert len(backend.collect() + backend.collect()) == 2
    usage = backend.usage
    assert (usage.rows, usage.prompt_tokens, usage.output_tokens) == (2, 200, 8)
    assert (usage.cached_tokens, usage.prompt_tokens_by_type) == ({"swap_nouns": 160}, {"swap_nouns": 200})
    assert 0 < usage.seconds < 5


class Rules:
    def __init__(self, *texts):
        self.texts, self.limits = list(texts), []

    def candidates(self, request, limit):
        self.limits.append(limit)
        return self.texts


def picked(tokenizer, text, *candidates, finish="stop"):
    engine = ToldEngine(tokenizer, text, finish)
    backend = ChoiceBackend(engine, Rules(*candidates))
    backend.submit([request(attempt=2)])
    (row,) = backend.collect()
    return row, engine


def test_the_model_is_offered_the_rules_texts_with_room_for_the_longest(tokenizer):
    row, engine = picked(tokenizer, " A mat on a dog.", "A mat on a dog.", "A cat on a mat — ñ.")
    assert (row.status, row.text, row.origin.generator) == ("ok", "A mat on a dog.", "choice:told")
    assert engine.asked[0].choices == (" A mat on a dog.", " A cat on a mat — ñ.")
    assert engine.asked[0].max_tokens > len(" A cat on a mat — ñ.".encode())
    assert engine.asked[0].temperature == 0.7  # whatever the attempt


def test_what_was_not_offered_is_a_failure(tokenizer):
    row, _ = picked(tokenizer, " A mat on", "A mat on a dog.", "A cat.", finish="length")
    assert (row.status, row.text, row.finish) == ("failed", None, "length")
    assert "A mat on" in row.error


def test_without_a_candidate_the_row_abstains_and_one_alone_is_taken_without_asking(tokenizer):
    none, engine = picked(tokenizer, "x")
    assert (none.status, none.text, engine.asked) == ("abstained", None, [])
    one, engine = picked(tokenizer, "x", "A mat on a dog.")
    assert (one.status, one.text, one.mean_logprob, engine.asked) == ("ok", "A mat on a dog.", None, [])


def test_a_limited_number_of_candidates_is_asked_for(tokenizer):
    rules = Rules("a", "b")
    ChoiceBackend(ToldEngine(tokenizer), rules).submit([request()])
    assert rules.limits == [CANDIDATES] == [16]
