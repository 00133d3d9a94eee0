"""Units of meaning, marked by hand: + joins a compound or phrase, = a name, a label or quoted words."""

import re

import pytest
from caption_tables import tagger

from degla.text.tokens import tokenize
from degla.text.units import freely_described, is_phrase, is_unit, joints, labels, phrases


@pytest.mark.parametrize(
    "marked",
    [
        "A killer+whale and a sea+lion",
        "Two kings are shaking+hands beside a steam+engine",
        "A brown bear and a wooden horse",
        "A golden+retriever puppy and a black cat under a blue sky",
        "A nun stands on a zebra+crossing near a zebra crossing a road",
        "A middle+aged monk with a head+set",
        "A hot+dog on a plate",
        "A coat+of+arms and a cup of tea",
        "A stuffed bear on a bed",
        "Gate=12 of an airport",
        "A bottle of 2=l and 12 cups",
        "A walk in Magnolia=Grove with a dog",
        "A Frisbee on the grass",
        "A Dog On A Big Red Sofa",
    ],
)
def test_the_joints_of_a_caption(marked):
    tokens = tokenize(re.sub("[+=]", " ", marked))
    tags = tagger().tag(tokens)[0]
    own, named = joints(tokens, tags), labels(tokens, tags)
    signs = ["+" if i in own else "=" if i in named else " " for i in range(1, len(tokens))]
    assert "".join(word + sign for word, sign in zip(tokens, [*signs, ""], strict=True)) == marked


def test_quoted_words_are_joined_to_their_quotes():
    tokens = tokenize('a sign says "stop here" loudly')
    assert sorted(labels(tokens, tagger().tag(tokens)[0])) == [4, 5, 6]


def test_plurals_and_hyphens_make_no_difference():
    assert is_unit("spring", "onions")
    assert is_unit("soft-boiled", "egg")
    assert not is_unit("spring", "dogs")


@pytest.mark.parametrize("words", ["gold medal", "top hats", "red carpet", "first aid", "hard wood", "blue sky"])
def test_an_adjective_and_its_noun_may_be_a_phrase(words):
    assert is_phrase(*words.split(" "))


@pytest.mark.parametrize(
    "words",
    ["gold car", "black cat", "young man", "hot dog", "parking lot", "paper plate", "fried eggs", "round table", "silver bell"],
)
def test_most_are_none_and_a_compound_is_more_than_that(words):
    assert not is_phrase(*words.split(" "))


@pytest.mark.parametrize("words", ["paper plate", "fried eggs", "round table", "wooden spoon", "silver bell"])
def test_an_entry_that_says_no_more_than_its_words_is_none(words):
    assert not is_phrase(*words.split(" "))


def test_where_captions_describe_a_noun_freely_it_is_in_no_phrase():
    tokens, tags = ["blue", "skies", "above", "a", "gold", "medal"], ["AJ0", "NN2", "PRP", "AT0", "AJ0", "NN1"]
    described = freely_described(["blue skies", "grey sky", "white sky", "clear sky", "gold medal", "silver medal", "big medal"])
    assert described == {("colours", "sky")}
    assert phrases(tokens, tags) == {1, 5}
    assert phrases(tokens, tags, described) == {5}
