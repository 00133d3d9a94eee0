"""What words have to do with each other: relations, contraries, what implies what, and base forms."""

import pytest

from degla.errors import ConfigError
from degla.judge.senses import Senses, load_senses
from degla.text.inflection import positive
from degla.text.lexicon import load_lexicon


def test_relations_hold_in_both_orders_and_no_word_is_related_to_itself():
    senses = load_senses()
    for pairs in (senses.related["nouns"], senses.related["adjectives"]):
        assert pairs == {(other, one) for one, other in pairs}
    for pairs in (senses.related["nouns"], senses.related["adjectives"], senses.contrasting):
        assert not [pair for pair in pairs if pair[0] == pair[1]]


def test_no_pair_is_both_related_and_contrasting():
    senses = load_senses()
    assert not senses.related["adjectives"] & senses.contrasting


def test_colours_exclude_each_other_whatever_words_lie_between_them():
    contrasting = load_senses().contrasting
    colours = ["red", "green", "blue", "yellow", "white", "black", "orange", "brown"]
    assert {(one, other) for one in colours for other in colours if one != other} <= contrasting


@pytest.mark.parametrize(("said", "true"), [("poodle", "dog"), ("poodle", "animal"), ("couch", "sofa"), ("apple", "fruit")])
def test_what_is_said_implies_the_general_word(said, true):
    assert (said, true) in load_senses().implied


def test_the_general_word_implies_nothing_special():
    assert ("animal", "poodle") not in load_senses().implied
    assert ("salad", "lettuce") not in load_senses().implied
    assert ("lettuce", "salad") not in load_senses().implied


def test_every_word_of_the_file_is_in_base_form_and_lower_case():
    senses = load_senses()
    words = {word for pair in senses.related["adjectives"] for word in pair} | senses.adjectives
    assert {word for word in words if word != word.lower().strip()} == set()


def test_a_file_of_another_shape_is_refused():
    with pytest.raises(ConfigError, match="kinds"):
        Senses({"nouns": {"synonyms": []}, "adjectives": {"synonyms": []}}, load_lexicon())


@pytest.mark.parametrize(("word", "base"), [("larger", "large"), ("happiest", "happy"), ("red", "red"), ("frowning", "frowning")])
def test_the_positive_of_an_adjective(word, base):
    assert positive(word) == base
