"""Verbs and determiners of a rewrite beside those of its caption."""

import pytest
from caption_tables import tagger

from degla.text.agreement import agrees, as_in, is_mass, other_number, re_inflected


@pytest.mark.parametrize(
    ("caption", "text", "fits"),
    [
        ("the monks carry a lantern", "a lantern carries the monks", True),
        ("the monks carry a lantern", "a lantern carry the monks", False),
        ("a lantern hangs over three monks", "three monks hang over a lantern", True),
        ("a lantern hangs over three monks", "three monks hangs over a lantern", False),
        ("there is a goat behind two nuns", "there are two nuns behind a goat", True),
        ("these goats follow a nun", "this nun follows a goats", False),
        ("a goat stands in the water", "a water stands in the goat", False),
        ("several sheep follow a nun", "a nun follows several sheep", True),
        ("a nun follows several sheep", "several sheep follows a nun", False),
        ("a herd of goats follows a nun", "a nun follows a herd of goats", True),
        ("a crate of plums blocks the path of a goat", "a goat blocks the path of a crate of plums", True),
        ("a pair of goats pulls a cart", "a goats pulls a pair of cart", False),
        ("the goat that follows two nuns eats a hat", "the nuns that follow two goats eat a hat", True),
        ("there are two goats behind a nun", "there are a nun behind two goats", False),
        ("a goat that is behind two nuns", "two nuns that is behind a goat", False),
        ("two nuns sit on a bench and eat a plum", "a plum sits on a bench and eat two nuns", False),
        ("a king holding his crown beside a queen", "a woman holding his crown", False),
        ("a monk with his lantern beside a woman", "a woman with his lantern beside a monk", False),
        ("a monk with his lantern beside a woman", "a woman with her lantern beside a monk", True),
        ("a cat licks its paw near two monks", "two monks licks its paw near a cat", False),
        ("two goats face each other behind a nun", "a nun face each other behind two goats", False),
        ("a woman sees herself in a mirror", "a man sees herself in a mirror", False),
        ("a surfer on his board", "a surfer on his towel", True),
    ],
)
def test_what_agrees(caption, text, fits):
    words = caption.split()
    assert agrees(words, tagger().tag(words)[0], text.split()) == fits


def test_a_verb_in_the_other_number_is_the_caption_s():
    words = ["two", "monks", "carry", "a", "lantern"]
    assert as_in(words, tagger().tag(words)[0], ["a", "lantern", "carries", "two", "monks"]) == [
        "a",
        "lantern",
        "carry",
        "two",
        "monks",
    ]


@pytest.mark.parametrize(
    ("caption", "order", "forms"),
    [
        ("two monks carry a lantern", [3, 4, 2, 0, 1], {2: "carries"}),
        ("a monk carries a lantern", [3, 4, 2, 0, 1], {}),
        ("a monk holding his hat kicks two women", [6, 7, 2, 3, 4, 5, 0, 1], {3: "their", 5: "kick"}),
        ("monks on a boat near a shore sing two songs", [2, 3, 1, 0, 4, 5, 6, 7, 8, 9], {7: "sings"}),
        ("where two monks stood a goat eats", [3, 4, 5, 0, 1, 2, 6], None),  # whose "eats" is, is not certain
        ("a man looks at himself in a mirror", [6, 7, 2, 3, 4, 5, 0, 1], {4: "itself"}),
        ("on a cart a king lifts his hat and a woman eats", [0, 1, 2, 9, 10, 5, 6, 7, 8, 3, 4, 11], None),  # no cart's hat
    ],
)
def test_what_takes_another_form_in_another_order(caption, order, forms):
    words = caption.split()
    assert re_inflected(words, tagger().tag(words)[0], order) == forms


@pytest.mark.parametrize(
    ("one", "many"), [("is", "are"), ("has", "have"), ("carries", "carry"), ("catches", "catch"), ("this", "these")]
)
def test_the_other_number_of_a_word(one, many):
    assert (other_number(one), other_number(many)) == (many, one)


def test_substances_are_not_counted():
    assert [word for word in ("rice", "steel", "parchment", "dog", "stone", "glass") if is_mass(word)] == [
        "rice",
        "steel",
        "parchment",
    ]
