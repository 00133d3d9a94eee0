"""The rules back end: what it makes of single captions, and what holds for all it makes of real ones."""

import json
import random
from collections import Counter

import pytest
from rule_requests import candidates, requests, rows, rules

from degla.generate.backend import Request
from degla.generate.rules.vocabulary import Vocabulary
from degla.text.agreement import as_in
from degla.text.tokens import tokenize


@pytest.mark.parametrize(
    ("kind", "caption", "expected"),
    [
        ("reshuffle", "A small dog on a red couch.", "A red couch on a small dog."),
        ("reshuffle", "a red ball is left of an orange car", "an orange car is left of a red ball"),
        ("reshuffle", "a ball is left of a car on the grass", "on the grass a car is left of a ball"),
        ("reshuffle", "a white hat and a large black star", "a large black hat and a white star"),
        ("reshuffle", "A young man riding a brown horse", "A brown horse riding a young man"),
        ("swap_nouns", "a red ball and an orange car", "a red car and an orange ball"),
        ("swap_nouns", "The cat chases the mouse.", "The mouse chases the cat."),
        ("swap_nouns", "A fire hydrant on a sidewalk", "A sidewalk on a fire hydrant"),
        ("swap_nouns", "two dogs on the couch", "the couch on two dogs"),
        ("swap_nouns", "Two dogs chase a cat", "A cat chases two dogs"),
        ("reshuffle", "There are three hats on a red chair", "There is a red chair on three hats"),
        ("swap_nouns", "A man holding his cap kicks a woman", "A woman holding her cap kicks a man"),
        ("swap_adjectives", "An orange cat on a white chair", "A white cat on an orange chair"),
        ("swap_adjectives", "a small red ball by a big box", "a big red ball by a small box"),
    ],
)
def test_it_exchanges_roles_nouns_and_adjectives(kind, caption, expected):
    assert candidates(caption, kind)[0] == expected


@pytest.mark.parametrize(
    ("kind", "caption"),
    [
        ("reshuffle", "a cat and a dog"),
        ("reshuffle", "A man is standing near a car."),
        ("swap_nouns", "a cat and a dog"),
        ("swap_nouns", "a red cat next to a red dog"),
        ("swap_nouns", "a big hat beside a box"),  # the box may be big as well
        ("swap_adjectives", "a red ball and a red box"),
        ("swap_adjectives", "a red ball next to a blue ball"),
        ("replace_nouns", "something is going on with the view"),
    ],
)
def test_it_abstains_where_nothing_else_would_be_said(kind, caption):
    (row,) = rows([caption], [kind])
    assert (row.status, row.text) == ("abstained", None)
    assert row.error


def test_words_are_put_in_as_often_as_the_captions_use_them():
    vocabulary = Vocabulary(nouns={"apple": 300, "orange": 100}, adjectives={})
    backend = rules(vocabulary)
    asked = requests([f"A banana on it {number}" for number in range(600)], ["replace_nouns"])
    first = Counter(tokenize(backend.candidates(request, 1)[0])[1] for request in asked)
    assert set(first) == {"apple", "orange"}
    assert first["apple"] / first.total() == pytest.approx(3 / 4, abs=0.06)


def test_a_replacement_stays_in_the_vocabulary_and_keeps_number_article_and_case():
    vocabulary = Vocabulary(nouns={"apples": 1, "apple": 1, "orange": 3}, adjectives={"old": 1}, pairs={"old dog": 1})
    assert set(candidates("A banana on it", "replace_nouns", vocabulary)) == {"An apple on it", "An orange on it"}
    assert candidates("Two bananas on it", "replace_nouns", vocabulary) == ["Two apples on it"]
    assert candidates("A young dog", "replace_adjectives", vocabulary) == ["An old dog"]
    assert candidates("A red dog", "replace_adjectives", vocabulary) == []


def test_an_adjective_that_captions_give_to_the_noun_is_preferred():
    counts = {"blue": 1, "green": 1, "brown": 9}
    said = {"unigrams": {"brown": 9, "horse": 9}, "bigrams": {"brown horse": 9}}
    vocabulary = Vocabulary(nouns={}, adjectives=counts, **said)
    assert candidates("a white horse", "replace_adjectives", vocabulary)[0] == "a brown horse"
    assert len(candidates("a white horse", "replace_adjectives", vocabulary)) == 3


def test_rows_do_not_depend_on_order_or_company():
    captions = ["A red dog on a blue couch", "a man rides a horse", "two cats near a tall tree"]
    together = list(requests(captions))
    shuffled = random.Random(3).sample(together, len(together))
    found = []
    for order in (together, shuffled):
        backend = rules()
        backend.submit(order)
        found.append(sorted(map(repr, backend.collect())))
    assert found[0] == found[1]


def folded(text):
    return Counter("a" if token == "an" else token for token in tokenize(text.lower()))


def test_on_real_captions_each_type_keeps_its_promise(shared_data):
    data = json.loads(shared_data("coco_captions_val2017/captions_val2017.json").read_bytes())
    captions = [" ".join(entry["caption"].split()) for entry in data["annotations"][:600]]
    num_texts = Counter()
    for row in rows(captions):
        if row.status != "ok":
            continue
        request: Request = row.request
        num_texts[request.type] += 1
        old, new = folded(request.caption), folded(row.text)
        if request.type.startswith("replace"):
            removed, added = (old - new).total(), (new - old).total()
            assert 1 <= removed <= 2, row.text
            assert 1 <= added <= 2, row.text
        else:
            words, tags = [token.lower() for token in request.tokens], request.tags
            as_written = " ".join(as_in(words, tags, [token.lower() for token in tokenize(row.text)]))
            assert old == folded(as_written), (request.caption, row.text)
            assert row.text != request.caption
        assert row.text[0].isupper() == request.caption[0].isupper()
    assert num_texts["reshuffle"] > 170
    assert num_texts["swap_nouns"] > 210
    assert num_texts["replace_nouns"] > 560
    assert num_texts["replace_adjectives"] > 170
    assert num_texts["swap_adjectives"] > 12
