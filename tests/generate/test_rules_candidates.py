"""The rules back end enumerates: distinct texts in one order, none of them taken, and one caption's crash is its own."""

import subprocess
import sys
from dataclasses import replace

import pytest
from rule_requests import candidates, requests, rules

from degla.negative_types import NEGATIVE_TYPES

CAPTIONS = [
    "A small brown dog on a red couch next to a lamp.",
    "Two young women riding black horses on a sandy beach",
    "An old man in a blue shirt holds a large pizza above a wooden table",
    "a teddy bear sits under a green umbrella in a small garden",
    "A tennis player with a white cap swings a racket at a yellow ball",
    "A kitchen with a metal sink, a purple stove and a wooden floor",
    "Some people are flying colorful kites over the ocean",
    "A city bus drives past a tall brick building",
]


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
@pytest.mark.parametrize("caption", CAPTIONS)
def test_candidates_are_distinct_and_fewer_are_the_first_of_more(caption, kind):
    found = candidates(caption, kind, limit=16)
    assert len({text.casefold() for text in found}) == len(found)
    assert caption not in found
    for limit in (1, 3, 7):
        assert candidates(caption, kind, limit=limit) == found[:limit]


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
def test_the_next_candidate_has_the_same_list_without_what_is_taken(kind):
    backend = rules()
    for first, second in zip(requests(CAPTIONS, [kind]), requests(CAPTIONS, [kind], candidate=1, attempt=2, seed=7), strict=True):
        found = backend.candidates(first, 16)
        taken = tuple(text.upper().rstrip(".") + " !" for text in found[:2])
        second = replace(second, taken=taken)
        assert backend.candidates(second, 14) == found[2:]


def test_nouns_of_all_places_come_before_more_words_for_one():
    first = candidates(CAPTIONS[0], "replace_nouns", limit=3)
    changed = [
        next(i for i, (a, b) in enumerate(zip(CAPTIONS[0].split(), text.split(), strict=False)) if a != b) for text in first
    ]
    assert len(set(changed)) == 3


def test_the_row_is_the_first_candidate():
    backend = rules()
    asked = list(requests(CAPTIONS))
    backend.submit(asked)
    rows = backend.collect()
    assert [row.request for row in rows] == asked
    assert backend.collect() == []
    for row in rows:
        assert [row.text] == (backend.candidates(row.request, 1) or [None])
        assert row.status == ("ok" if row.text else "abstained")
        assert row.origin == backend.origin(row.request.type)
    assert backend.usage.rows == len(asked)


def test_another_process_finds_the_same():
    code = (
        "import sys; sys.path[:0] = %r\nfrom test_rules_candidates import CAPTIONS, NEGATIVE_TYPES, candidates\n"
        "print([candidates(caption, kind) for caption in CAPTIONS for kind in NEGATIVE_TYPES])"
    )
    run = subprocess.run([sys.executable, "-c", code % sys.path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str([candidates(caption, kind) for caption in CAPTIONS for kind in NEGATIVE_TYPES])


def test_a_rule_that_crashes_fails_its_row_and_no_other():
    backend = rules()
    good, bad = requests(CAPTIONS[:2], ["replace_nouns"])
    bad = replace(bad, caption="Two")  # whose tokens are not its own
    backend.submit([bad, good, bad])
    first, second, third = backend.collect()
    assert (first.status, third.status) == ("failed", "failed")
    assert first.error.startswith("IndexError")
    assert second.status == "ok"


@pytest.mark.parametrize("caption", ["", ".", "dog " * 300, "一只狗", "the \x00 of", "an a an", "a a a dog"])
def test_odd_captions_do_no_harm(caption):
    backend = rules()
    backend.submit(list(requests([caption])))
    assert len(backend.collect()) == len(NEGATIVE_TYPES)


def test_texts_that_follow_are_the_next_ones():
    backend = rules()
    backend.submit(list(requests(CAPTIONS)))
    rows = [row for row in backend.collect() if row.text]
    assert any(row.following for row in rows)
    for row in rows:
        assert [row.text, *row.following] == backend.candidates(row.request, 3)
