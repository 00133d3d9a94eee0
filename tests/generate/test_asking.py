"""Asking: who is asked what and when, with scripted back ends in place of real ones."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest

from degla.generate.asking import Asking, Caption
from degla.generate.backend import Origin, Rewrite, Usage
from degla.generate.config import GenerateConfig
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import RewriteStatus

TAGS = ("AT0", "AJ0", "NN1", "PRP", "AT0", "AJ0", "NN1")


def caption(number, text=None):
    text = text or f"a red dog on the old box{number}"
    return Caption((number,), text, tuple(text.split()), TAGS)


class Scripted:
    """Answers by a function of the request, in any order, some rows at a time."""

    def __init__(self, answer, name="scripted", capacity=1, enumerates=False, shuffled=0, least=None):
        self.capacity, self.least, self.enumerates, self.usage = capacity, least or capacity, enumerates, Usage()
        self._answer, self._name, self._open = answer, name, []
        self._random = random.Random(shuffled) if shuffled else None
        self.most_open = 0
        self.asked = []

    def origin(self, negative_type):
        return Origin(self._name, "0")

    def submit(self, requests):
        self._open += requests
        self.asked += requests
        self.most_open = max(self.most_open, len(self._open))

    def collect(self):
        if self._random:
            self._random.shuffle(self._open)
        count = self._random.randint(1, len(self._open)) if self._random else len(self._open)
        now, self._open = self._open[:count], self._open[count:]
        return [self._row(request) for request in now]

    def _row(self, request):
        answer = self._answer(request)
        if answer in get_args(RewriteStatus):
            return Rewrite(request, self.origin(request.type), answer)
        return Rewrite(request, self.origin(request.type), "ok", answer)

    def close(self):
        self._open = []


def text_of(request):
    return f"{request.caption} {request.type} {request.candidate} {request.attempt}"


def ask(config, chain, captions, verdicts=lambda rows: [None] * len(rows)):
    asking = Asking(config, chain, verdicts)
    return {each.caption_ids[0]: rows for each, rows in asking.answered(iter(captions))}, asking


def keys(rows):
    return [(row.request.type, row.request.candidate, row.request.attempt, row.status) for row in rows]


def test_every_type_is_asked_once_and_five_are_enough():
    rows, _ = ask(GenerateConfig(), [Scripted(text_of)], [caption(0)])
    assert len(rows[0]) == 5
    assert {row.request.candidate for row in rows[0]} == {0}


def test_a_type_that_gives_is_asked_for_what_others_lack_and_no_more_than_allowed():
    def only_nouns(request):
        return text_of(request) if request.type == "replace_nouns" else "abstained"

    rows, _ = ask(GenerateConfig(max_per_type=3), [Scripted(only_nouns)], [caption(0)])
    nouns = [row.request.candidate for row in rows[0] if row.request.type == "replace_nouns"]
    assert nouns == [0, 1, 2]
    assert len(rows[0]) == 4 + 3


def test_a_type_that_runs_dry_is_not_asked_again():
    def twice(request):
        return text_of(request) if request.type == "swap_nouns" and request.candidate < 2 else "abstained"

    rows, _ = ask(GenerateConfig(max_per_type=9), [Scripted(twice, enumerates=True)], [caption(0)])
    assert [key for key in keys(rows[0]) if key[0] == "swap_nouns"] == [
        ("swap_nouns", 0, 1, "ok"),
        ("swap_nouns", 1, 1, "ok"),
        ("swap_nouns", 2, 1, "abstained"),
    ]


def test_what_the_caption_cannot_have_is_a_row_that_nobody_was_asked_for():
    backend = Scripted(text_of)
    plain = Caption((7,), "a dog on the box", ("a", "dog", "on", "the", "box"), ("AT0", "NN1", "PRP", "AT0", "NN1"))
    rows, _ = ask(GenerateConfig(max_per_type=1), [backend], [plain])
    assert {(key[0], key[3]) for key in keys(rows[7])} >= {
        ("swap_adjectives", "inapplicable"),
        ("replace_adjectives", "inapplicable"),
    }
    assert {request.type for request in backend.asked} == {"reshuffle", "swap_nouns", "replace_nouns"}


def test_a_refused_text_goes_along_the_attempts_and_every_attempt_is_a_row():
    first = Scripted(text_of, "llm")
    last = Scripted(text_of, "rules")
    config = GenerateConfig(types=("swap_nouns",), attempts=("openai", "openai", "rules"), max_per_type=1, server={"model": "m"})
    rows, asking = ask(config, [first, first, last], [caption(0)], lambda rows: ["two_exchanged"] * len(rows))
    assert keys(rows[0]) == [("swap_nouns", 0, attempt, "ok") for attempt in (1, 2, 3)]
    assert [row.origin.generator for row in rows[0]] == ["llm", "llm", "rules"]
    assert len({row.request.seed for row in rows[0]}) == 3
    assert asking.tally.refused == {"two_exchanged": 3}


def test_a_refused_text_of_who_enumerates_is_followed_by_the_next():
    def next_text(request):
        return next((text for text in ("bad 0", "bad 1", "good", "more") if text not in request.taken), "abstained")

    def verdicts(rows):
        return ["a_rule" if row.text.startswith("bad") else None for row in rows]

    config = GenerateConfig(types=("swap_nouns",), attempts=("rules", "openai"), per_caption=2, server={"model": "m"})
    last = Scripted(text_of, "llm")
    rows, asking = ask(config, [Scripted(next_text, "rules", enumerates=True), last], [caption(0)], verdicts)
    assert [row.text for row in rows[0]] == ["bad 0", "bad 1", "good", "more"]
    assert keys(rows[0]) == [("swap_nouns", 0, attempt, "ok") for attempt in (1, 2, 3)] + [("swap_nouns", 1, 1, "ok")]
    assert asking.tally.refused == {"a_rule": 2}
    assert last.asked == []


def test_who_enumerates_nothing_but_refused_texts_is_left_for_the_next_in_the_chain():
    rules = Scripted(lambda request: f"{request.type} {len(request.taken)}", "rules", enumerates=True)
    config = GenerateConfig(types=("swap_nouns",), attempts=("rules", "openai"), per_caption=1, server={"model": "m"})
    rows, _ = ask(
        config,
        [rules, Scripted(text_of, "llm")],
        [caption(0)],
        lambda rows: ["a_rule" if row.origin.generator == "rules" else None for row in rows],
    )
    assert [row.origin.generator for row in rows[0]] == ["rules"] * 8 + ["llm"]
    assert [row.request.turn for row in rows[0]] == [0] * 8 + [1]


@pytest.mark.parametrize("useless", ["abstained", "repeated", "copied", "failed"])
def test_after_a_useless_answer_the_hotter_attempt_the_choice_and_the_rules_follow(useless):
    llm, choice, rules = (Scripted(lambda request: useless, name) for name in ("llm", "choice", "rules"))
    choice.enumerates = rules.enumerates = True
    config = GenerateConfig(types=("swap_nouns",), attempts=("vllm", "vllm", "choice", "rules"), engine={"model": "m"})
    rows, _ = ask(config, [llm, llm, choice, rules], [caption(0)])
    assert [(row.request.attempt, row.request.turn) for row in rows[0]] == [(1, 0), (2, 1), (3, 2)]  # the rules know no more


def test_a_caption_that_cannot_be_sent_is_not_sent_again():
    llm, rules = Scripted(lambda request: "inapplicable", "llm"), Scripted(text_of, "rules", enumerates=True)
    config = GenerateConfig(types=("swap_nouns",), attempts=("openai", "openai", "rules"), per_caption=2, server={"model": "m"})
    rows, _ = ask(config, [llm, llm, rules], [caption(0)])
    assert keys(rows[0]) == [
        ("swap_nouns", 0, 1, "inapplicable"),
        ("swap_nouns", 0, 2, "ok"),
        ("swap_nouns", 1, 1, "ok"),
    ]
    assert len(llm.asked) == 1


def test_who_gave_nothing_usable_of_a_type_is_not_asked_for_another_one_of_it():
    def only_nouns(request):
        return text_of(request) if request.type == "replace_nouns" and request.candidate != 1 else "refused"

    llm, rules = Scripted(only_nouns, "llm"), Scripted(text_of, "rules", enumerates=True)
    config = GenerateConfig(
        types=("replace_nouns", "swap_nouns"), attempts=("openai", "openai", "rules"), per_caption=6, server={"model": "m"}
    )
    rows, _ = ask(config, [llm, llm, rules], [caption(0)], lambda rows: ["a_rule" if r.text == "refused" else None for r in rows])
    asked = [(row.request.type, row.request.candidate, row.origin.generator) for row in rows[0]]
    assert Counter(asked) == Counter(
        {
            ("replace_nouns", 0, "llm"): 1,
            ("replace_nouns", 1, "llm"): 2,
            ("replace_nouns", 1, "rules"): 1,
            ("replace_nouns", 2, "llm"): 1,
            ("swap_nouns", 0, "llm"): 2,
            ("swap_nouns", 0, "rules"): 1,
            ("swap_nouns", 1, "rules"): 1,
            ("swap_nouns", 2, "rules"): 1,
        }
    )


def test_a_type_that_is_only_refused_is_given_up():
    llm = Scripted(text_of, "llm")
    config = GenerateConfig(types=("swap_nouns",), attempts=("openai", "openai"), server={"model": "m"})
    rows, _ = ask(config, [llm, llm], [caption(0)], lambda rows: ["a_rule"] * len(rows))
    assert keys(rows[0]) == [("swap_nouns", 0, 1, "ok"), ("swap_nouns", 0, 2, "ok")]


def test_the_same_text_again_is_no_rewrite():
    same = Scripted(lambda request: "A red box on the old dog.")
    config = GenerateConfig(types=("swap_nouns", "reshuffle"), attempts=("rules",), max_per_type=2)
    rows, asking = ask(config, [same], [caption(0)])
    assert sum(asking.tally.usable.values()) == 1
    assert len(rows[0]) == 3  # the type that gave it is asked once more
    assert all(row.request.taken for row in rows[0] if row.request.candidate)


@pytest.mark.parametrize("shuffled", [0, 1, 2])
def test_what_one_type_gave_is_not_asked_of_another_that_may_say_the_same(shuffled):
    def first_not_taken(request):
        moved = request.type in ("reshuffle", "swap_nouns")
        texts = [f"{request.caption} moved {k}" if moved else text_of(request) for k in range(3)]
        return next((text for text in texts if text not in request.taken), "abstained")

    backend = Scripted(first_not_taken, capacity=10, shuffled=shuffled)
    rows, asking = ask(GenerateConfig(max_per_type=2, per_caption=9), [backend], [caption(number) for number in range(20)])
    for number, own in rows.items():
        texts = [row.text for row in own if row.status == "ok"]
        assert len(texts) == len(set(texts)) == 3 + 6, number
        assert sorted(own[k].request.type for k in range(4)) == sorted(set(NEGATIVE_TYPES) - {"swap_nouns"})
        assert (own[4].request.type, own[4].request.candidate, len(own[4].request.taken)) == ("swap_nouns", 0, 4)


@pytest.mark.parametrize("shuffled", [1, 2, 3])
def test_the_rows_do_not_depend_on_the_order_of_answers_nor_on_what_is_asked_beside(shuffled):
    def answer(request):
        draw = random.Random(request.seed).random()
        return "failed" if draw < 0.2 else "abstained" if draw < 0.4 else text_of(request) if draw < 0.9 else "the same"

    def judge(rows):
        return ["a_rule" if random.Random(row.request.seed + 1).random() < 0.3 else None for row in rows]

    config = GenerateConfig(attempts=("openai", "openai", "rules"), server={"model": "m"})
    captions = [caption(number) for number in range(200)]
    plain = Scripted(answer)
    wanted, _ = ask(config, [plain, plain, Scripted(answer)], captions, judge)
    mixed = Scripted(answer, capacity=100, shuffled=shuffled)
    found, _ = ask(config, [mixed, mixed, Scripted(answer, shuffled=shuffled)], captions, judge)
    assert found == wanted
    assert mixed.most_open > 50


def test_no_more_captions_are_taken_than_there_is_room_for():
    taken = []

    def captions():
        for number in range(50):
            taken.append(number)
            yield caption(number)

    backend = Scripted(text_of, capacity=10)
    asking = Asking(GenerateConfig(), [backend], lambda rows: [None] * len(rows))
    next(asking.answered(captions()))
    assert len(taken) <= 10  # as many rows wait for the judge as are open
    assert backend.most_open < 10 + 4


def test_a_language_model_has_as_many_rows_in_flight_as_it_answers_in_five_seconds(monkeypatch):
    """A slow one with room for 4,000 rows must not begin all captions at once: a kill would lose them all."""
    clock = [0.0]
    monkeypatch.setattr("degla.generate.asking.time.monotonic", lambda: clock[0])
    config = GenerateConfig(attempts=("openai",), server={"model": "m"})

    def begun_before_the_first_is_done(seconds_a_row, capacity=4000):
        backend = Scripted(text_of, capacity=capacity, least=32)
        collect = backend.collect

        def collect_slowly():
            rows, backend._open = backend._open[:32], backend._open[32:]
            clock[0] += seconds_a_row * len(rows)
            backend._open, rest = rows, backend._open
            found = collect()
            backend._open += rest
            return found

        backend.collect = collect_slowly
        asking = Asking(config, [backend], lambda rows: [None] * len(rows))
        next(asking.answered(caption(number) for number in range(3000)))
        return asking.tally.begun

    assert begun_before_the_first_is_done(1.0) < 64
    assert begun_before_the_first_is_done(0.01) > 100
    assert begun_before_the_first_is_done(0.0001) > 700


def test_who_watches_is_told_of_rows_before_a_caption_has_all_of_its_own():
    seen = []
    backend = Scripted(text_of, capacity=100, shuffled=1)
    asking = Asking(GenerateConfig(), [backend], lambda rows: [None] * len(rows))
    for _ in asking.answered((caption(number) for number in range(20)), lambda: seen.append(vars(asking.tally).copy())):
        pass
    assert seen[0]["captions"] == 0 < seen[0]["answered"]
    assert (seen[-1]["begun"], seen[-1]["answered"]) == (20, 100)
    assert asking.tally.answered == asking.tally.answered_of_captions == 100


def test_texts_that_follow_are_judged_with_the_first_and_never_again():
    texts = ("bad 0", "bad 1", "good", "more", "last")

    class Foreseeing(Scripted):
        def _row(self, request):
            row = super()._row(request)
            place = texts.index(row.text) if row.text in texts else len(texts)
            return replace(row, following=texts[place + 1 : 4] if place < 4 else ())

    def next_text(request):
        return next((text for text in texts if text not in request.taken), "abstained")

    calls = []

    def verdicts(rows):
        calls.append([row.text for row in rows])
        return ["a_rule" if row.text.startswith("bad") else None for row in rows]

    config = GenerateConfig(types=("swap_nouns",), attempts=("rules",), per_caption=3, max_per_type=3)
    plain, _ = ask(config, [Scripted(next_text, "rules", enumerates=True)], [caption(0)], verdicts)
    assert len(calls) == 5
    calls.clear()
    rows, _ = ask(config, [Foreseeing(next_text, "rules", enumerates=True)], [caption(0)], verdicts)
    assert calls == [["bad 0", "bad 1", "good", "more"], ["last"]]
    assert [replace(row, following=()) for row in rows[0]] == plain[0]
