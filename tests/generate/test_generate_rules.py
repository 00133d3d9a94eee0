"""The rules back end: what it makes of single captions, and what holds for all it makes of real ones."""

import json
import random
from collections import Counter

import pytest
from caption_tables import captions_table

from degla.generate.backend import Request, row_seed
from degla.generate.rules import RulesBackend
from degla.generate.vocabulary import Vocabulary
from degla.schemas import NEGATIVE_TYPES
from degla.text.lexicon import load_lexicon
from degla.text.tokens import tokenize


def requests(captions, types=NEGATIVE_TYPES, seed=0):
    for row in captions_table(captions).to_pylist():
        for kind in types:
            number = row["caption_id"]
            yield Request(
                number, row["caption"], tuple(row["tokens"]), tuple(row["tags"]), kind, 1, row_seed(seed, number, kind, 1)
            )


def rewrite(caption, kind, vocabulary=None, seed=0):
    backend = RulesBackend(load_lexicon(), vocabulary or Vocabulary())
    return next(backend.rewrite(requests([caption], [kind], seed)))


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
        ("swap_adjectives", "An orange cat on a white chair", "A white cat on an orange chair"),
        ("swap_adjectives", "a small red ball by a big box", "a big red ball by a small box"),
    ],
)
def test_it_exchanges_roles_nouns_and_adjectives(kind, caption, expected):
    assert rewrite(caption, kind).text == expected


@pytest.mark.parametrize(
    ("kind", "caption"),
    [
        ("reshuffle", "a cat and a dog"),
        ("reshuffle", "A man is standing near a car."),
        ("swap_nouns", "a cat and a dog"),
        ("swap_nouns", "a red cat next to a red dog"),
        ("swap_nouns", "a big hat beside a box"),  # the box may be big as well
        ("swap_nouns", "two dogs on a couch"),
        ("swap_adjectives", "a red ball and a red box"),
        ("swap_adjectives", "a red ball next to a blue ball"),
        ("replace_nouns", "something is going on with the view"),
    ],
)
def test_it_abstains_where_nothing_else_would_be_said(kind, caption):
    row = rewrite(caption, kind)
    assert (row.status, row.text) == ("abstained", None)
    assert row.error


@pytest.mark.parametrize(
    ("kind", "caption", "reason"),
    [
        ("reshuffle", "A dog is sleeping", "needs 2 nouns, the caption has 1"),
        ("swap_adjectives", "A red dog sleeps", "needs 2 adjectives"),
        ("replace_nouns", "", "empty"),
        ("replace_nouns", "dog " * 2000, "longer than"),
        ("replace_nouns", "a dog\x00\x07", "control"),
        ("replace_nouns", "一只狗在沙发上 dog", "English letters"),
    ],
)
def test_what_cannot_be_asked_is_inapplicable_with_its_reason(kind, caption, reason):
    row = rewrite(caption, kind)
    assert row.status == "inapplicable"
    assert reason in row.error


def test_a_replacement_stays_in_the_vocabulary_and_keeps_number_article_and_case():
    vocabulary = Vocabulary(nouns={"apples": 1, "apple": 1, "orange": 3}, adjectives={"old": 1}, pairs={})
    assert rewrite("A banana on it", "replace_nouns", vocabulary).text in ("An apple on it", "An orange on it")
    assert rewrite("Two bananas on it", "replace_nouns", vocabulary).text == "Two apples on it"
    assert rewrite("A young dog", "replace_adjectives", vocabulary).text == "An old dog"
    assert rewrite("A red dog", "replace_adjectives", vocabulary).status == "abstained"


def test_an_adjective_that_captions_give_to_the_noun_is_preferred():
    vocabulary = Vocabulary(nouns={}, adjectives={"blue": 1, "green": 1, "brown": 1}, pairs={"brown horse": 1})
    found = {rewrite("a white horse", "replace_adjectives", vocabulary, seed).text for seed in range(20)}
    assert found == {"a brown horse"}


def test_rows_do_not_depend_on_order_or_company():
    captions = ["A red dog on a blue couch", "a man rides a horse", "two cats near a tall tree"]
    together = list(requests(captions))
    backend = RulesBackend(load_lexicon(), Vocabulary())
    shuffled = random.Random(3).sample(together, len(together))
    assert sorted(map(repr, backend.rewrite(together))) == sorted(map(repr, backend.rewrite(shuffled)))


def test_another_seed_gives_other_replacements():
    assert len({rewrite("A dog on a couch", "replace_nouns", seed=seed).text for seed in range(8)}) > 1


def folded(text):
    return Counter("a" if token == "an" else token for token in tokenize(text.lower()))


def test_on_real_captions_each_type_keeps_its_promise(shared_data):
    data = json.loads(shared_data("coco_captions_val2017/captions_val2017.json").read_bytes())
    captions = [" ".join(entry["caption"].split()) for entry in data["annotations"][:600]]
    backend = RulesBackend(load_lexicon(), Vocabulary())
    num_texts = Counter()
    for row in backend.rewrite(requests(captions)):
        if row.status != "ok":
            continue
        num_texts[row.type] += 1
        old, new = folded(captions[row.caption_id]), folded(row.text)
        if row.type.startswith("replace"):
            removed, added = (old - new).total(), (new - old).total()
            assert 1 <= removed <= 2, row.text
            assert 1 <= added <= 2, row.text
        else:
            assert old == new, (captions[row.caption_id], row.text)
            assert row.text != captions[row.caption_id]
        assert row.text[0].isupper() == captions[row.caption_id][0].isupper()
    assert num_texts["reshuffle"] > 180
    assert num_texts["swap_nouns"] > 240
    assert num_texts["replace_nouns"] > 480
    assert num_texts["replace_adjectives"] > 160
    assert num_texts["swap_adjectives"] > 3
