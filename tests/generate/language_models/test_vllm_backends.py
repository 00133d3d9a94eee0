"""How an engine's answers become rows: what a random model never says, from an engine that answers as it is told to."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from degla.generate.backend import Origin, Request
from degla.generate.config import Sampling
from degla.generate.language_models.engine_backends import CANDIDATES, ChoiceBackend, VllmBackend
from degla.generate.language_models.prompt_tokens import PromptTokens, cleaned, load_tokenizer
from degla.generate.language_models.prompts import Exemplar, Prompt

CAPTION = "A dog on a mat."
PROMPT = Prompt(type="swap_nouns", version=1, rule="Change it.", exemplars=(Exemplar(input="a cat", output="a dog"),))


class ToldEngine:
    """Answers every row with the same text, and scores every letter of a text alike; keeps what it was asked."""

    scoring, text_start = object(), [7, 7]

    def __init__(self, tokenizer, text="", finish="stop", logprobs=()):
        self.config, self.sampling = SimpleNamespace(max_num_seqs=4), Sampling(max_tokens=64)
        self.prompts = {"swap_nouns": PromptTokens.of(PROMPT, tokenizer)}
        self.exemplars = {"swap_nouns": ["a dog"]}
        self.logprobs = dict(logprobs)
        self.text, self.finish = text, finish
        self.rows, self.asked, self.closed = [], [], 0

    def origin(self, name, prompt):
        return Origin(f"{name}:told", "model", prompt and self.prompts[prompt].sha)

    def params(self, seed, temperature, max_tokens):
        self.asked.append(SimpleNamespace(seed=seed, temperature=temperature, max_tokens=max_tokens))
        return self.asked[-1]

    def text_ids(self, text):
        return [ord(letter) for letter in cleaned(text)]

    def submit(self, row):
        self.rows.append(row)

    def step(self):
        row = self.rows.pop()
        if row.params is self.scoring:
            text = "".join(map(chr, row.ids))
            each = (self.logprobs.get(text, -len(text)) or 0) / len(text)
            scored = [None, {7: None}, *({number: SimpleNamespace(logprob=each)} for number in row.ids)]
            refused = ValueError("too long") if text in self.logprobs and self.logprobs[text] is None else None
            row.deliver(row, refused or SimpleNamespace(prompt_logprobs=scored))
            return
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


def test_an_exemplar_copied_is_told_apart(tokenizer):
    assert row_for(tokenizer, "A dog.").status == "copied"


def test_an_empty_line_is_a_failure(tokenizer):
    row = row_for(tokenizer, "  ")
    assert (row.status, row.text) == ("failed", None)
    assert "empty" in row.error


def test_a_text_that_reached_its_limit_is_handed_on_and_marked(tokenizer):
    row = row_for(tokenizer, "A mat on", "length")
    assert (row.status, row.text, row.finish) == ("ok", "A mat on", "length")


@pytest.mark.parametrize(("finish", "status"), [("abort", "failed"), ("error", "failed"), ("refused", "inapplicable")])
def test_what_the_engine_gives_up_or_refuses_is_a_row_in_words(tokenizer, finish, status):
    row = row_for(tokenizer, "half a", finish)
    assert (row.status, row.text) == (status, None)
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
    assert {row.request.caption_id: row.status for row in rows} == {1: "inapplicable", 2: "ok", 3: "inapplicable"}
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
        return [text for text in self.texts if text not in request.taken][:limit]


def choice(tokenizer, logprobs, *candidates):
    engine = ToldEngine(tokenizer, logprobs=logprobs)
    return ChoiceBackend(engine, Rules(*candidates)), engine


def only_row(backend, *requests):
    backend.submit(requests)
    (row,) = backend.collect()
    return row


TEXTS = ("A mat on a dog.", "A cat on a mat.", "A dog on a cat.")
LOGPROBS = {CAPTION: -20.0, TEXTS[0]: -30.0, TEXTS[1]: -25.0, TEXTS[2]: -25.0}


def test_the_likeliest_text_is_taken_and_of_equal_ones_the_rules_first(tokenizer):
    backend, engine = choice(tokenizer, LOGPROBS, *TEXTS)
    row = only_row(backend, request())
    assert (row.status, row.text, row.origin.generator) == ("ok", TEXTS[1], "choice:told")
    assert math.isclose(row.mean_logprob, -25 / len(TEXTS[1]))
    assert math.isclose(row.lm_gap, 5.0)
    assert engine.asked == []  # nothing is sampled


def test_a_longer_text_is_not_preferred_for_its_mean(tokenizer):
    long = "A dog on a mat that is not on a cat."
    row = only_row(choice(tokenizer, {"A cat.": -9.0, long: -20.0}, long, "A cat.")[0], request())
    assert row.text == "A cat."
    assert -20.0 / len(long) > -9.0 / len("A cat.")  # by the mean it would be the other one


def test_the_next_texts_follow_by_likelihood_and_nothing_is_scored_twice(tokenizer):
    backend, engine = choice(tokenizer, LOGPROBS, *TEXTS)
    texts = []
    for attempt in (1, 2, 3, 4):
        row = only_row(backend, replace(request(attempt=attempt), taken=tuple(texts)))
        texts += [row.text] if row.text else []
        assert engine.rows == []
    assert texts == [TEXTS[1], TEXTS[2], TEXTS[0]]
    assert (row.status, row.error) == ("abstained", "the rules have no rewrite to choose from")


def test_rounding_in_the_engine_does_not_turn_the_choice(tokenizer):
    row = only_row(choice(tokenizer, {TEXTS[0]: -25.00001, TEXTS[1]: -25.0}, *TEXTS[:2])[0], request())
    assert row.text == TEXTS[0]


def test_one_candidate_alone_is_scored_too(tokenizer):
    row = only_row(choice(tokenizer, LOGPROBS, TEXTS[0])[0], request())
    assert (row.text, row.lm_gap) == (TEXTS[0], pytest.approx(10.0))


@pytest.mark.parametrize("caption", [CAPTION, ""])
def test_what_cannot_be_scored_is_a_row_in_words(tokenizer, caption):
    row = only_row(choice(tokenizer, {TEXTS[0]: None}, *TEXTS)[0], request(caption))
    assert (row.status, row.text) == ("inapplicable", None)
    assert "cannot be scored" in row.error


def test_what_the_model_writes_is_compared_with_its_caption(tokenizer):
    backend = VllmBackend(ToldEngine(tokenizer, "A mat on a dog.", logprobs=LOGPROBS))
    assert only_row(backend, request()).lm_gap == pytest.approx(10.0)
    assert only_row(VllmBackend(ToldEngine(tokenizer, "NONE")), request()).lm_gap is None


def test_a_limited_number_of_candidates_is_asked_for(tokenizer):
    rules = Rules("a", "b")
    ChoiceBackend(ToldEngine(tokenizer), rules).submit([request()])
    assert rules.limits == [CANDIDATES] == [16]
