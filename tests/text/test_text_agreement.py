"""Verbs and determiners of a rewrite beside those of its caption."""

import pytest
from caption_tables import tagger

from degla.text.agreement import agrees, as_in, is_mass, other_number


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
        ("a herd of goats follows a nun", "a nun follows a herd of goats", True),
        ("a crate of plums blocks the path of a goat", "a goat blocks the path of a crate of plums", True),
        ("a pair of goats pulls a cart", "a goats pulls a pair of cart", False),
        ("the goat that follows two nuns eats a hat", "the nuns that follow two goats eat a hat", True),
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
