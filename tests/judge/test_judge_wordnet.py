"""Which words WordNet lets name one thing: true rewrites and good negatives that people wrote down, kind by kind."""

import pytest

from degla.errors import ConfigError
from degla.filter.config import FilterConfig
from degla.filter.explain import Question, explain
from degla.judge.senses import load_senses
from degla.judge.wordnet import clusters, nouns_above
from degla.overrides import apply_overrides

TRUE_NOUNS = [
    # synonyms, British and American words, however they are spelt
    ("aubergine", "eggplant"),
    ("nappy", "diaper"),
    ("spanner", "wrench"),
    ("torch", "flashlight"),
    ("estate car", "station wagon"),
    ("lawnmower", "lawn mower"),
    ("hoover", "vacuum cleaner"),
    # a kind of it, and what it is a kind of
    ("spaniel", "dog"),
    ("salmon", "fish"),
    ("violinist", "musician"),
    ("pyjamas", "sleepwear"),
    ("labrador", "dog"),
    # one person, by age or sex and by what he does
    ("kid", "girl"),
    ("teenager", "skater"),
    ("lad", "goalkeeper"),
    # by way of a synonym in the list
    ("trawler", "ship"),
    # people of one line of work
    ("striker", "footballer"),
    ("nurse", "medic"),
    ("saxophonist", "busker"),
    # people by words that WordNet lacks
    ("midfielder", "footballer"),
    ("barista", "waiter"),
]
FALSE_NOUNS = [
    # rare senses: an investor, a fellow, a president
    ("bear", "person"),
    ("guy", "cat"),
    ("hoover", "president"),
    # kinds of one thing, other lines of work, the other sex
    ("spaniel", "poodle"),
    ("aubergine", "courgette"),
    ("chef", "soldier"),
    ("aunt", "uncle"),
    # a child and a grown-up, by age or by work
    ("toddler", "man"),
    ("boy", "surgeon"),
    # what the lexicon holds apart
    ("bed", "hammock"),
    # only the last word is known
    ("plastic container", "glass bottle"),
]
TRUE_ADJECTIVES = [("drenched", "wet"), ("filthy", "dirty"), ("azure", "blue"), ("smashed", "broken"), ("weary", "tired")]
TRUE_ADJECTIVES += [("gleaming", "shiny"), ("frightened", "scared")]
FALSE_ADJECTIVES = [("red", "blue"), ("wet", "dry"), ("fried", "boiled"), ("tidy", "messy"), ("brick", "wooden")]


@pytest.mark.parametrize(("one", "other"), TRUE_NOUNS)
def test_nouns_that_may_name_one_thing_are_related(one: str, other: str) -> None:
    assert load_senses().relation("nouns", one, other) == load_senses().relation("nouns", other, one) == "related"


@pytest.mark.parametrize(("one", "other"), FALSE_NOUNS)
def test_nouns_that_name_different_things_are_not(one: str, other: str) -> None:
    assert load_senses().relation("nouns", one, other) == "unknown"


@pytest.mark.parametrize(("one", "other"), TRUE_ADJECTIVES)
def test_adjectives_that_mean_about_the_same_are_related(one: str, other: str) -> None:
    assert load_senses().relation("adjectives", one, other) == "related"


def test_a_material_is_no_contrary_of_a_colour_though_wordnet_knows_it_as_one() -> None:
    assert load_senses().relation("adjectives", "stone", "grey") == "unknown"


@pytest.mark.parametrize(("one", "other"), FALSE_ADJECTIVES)
def test_adjectives_that_exclude_each_other_are_not_related(one: str, other: str) -> None:
    assert load_senses().relation("adjectives", one, other) != "related"


@pytest.mark.parametrize(
    ("one", "other"), [("stuffed", "unstuffed"), ("orange-red", "blue"), ("young", "middle-aged"), ("small", "spacious")]
)
def test_opposites_contrast(one: str, other: str) -> None:
    assert load_senses().relation("adjectives", one, other) == "contrasting"


def test_a_cluster_has_what_is_similar_by_its_common_meaning() -> None:
    assert {"tasty", "delicious", "luscious"} <= clusters(["tasty"])
    assert "rich" not in clusters(["tasty"])  # of food that is a rare meaning of the word


def test_another_caption_says_what_its_nouns_are_kinds_of() -> None:
    others = ("A spaniel near a man",)
    rewrites = ["A dog on a rug", "A cat on a rug"]
    found = explain([Question("A man on a rug", "replace_nouns", rewrite, others) for rewrite in rewrites])
    assert found == ["noun_not_in_image", None]


def test_what_is_above_a_noun() -> None:
    assert {"dog", "animal"} <= nouns_above("spaniel")
    assert "animal" not in nouns_above("spaniel", levels=3)


JUDGED = [
    ("A hoover beside a wardrobe", "replace_nouns", "A vacuum cleaner beside a wardrobe", "other_meaning"),
    ("A spaniel on a rug", "replace_nouns", "A poodle on a rug", None),
    ("A drenched man under a roof", "replace_adjectives", "A wet man under a roof", "other_meaning"),
    ("A drenched man under a roof", "replace_adjectives", "A dry man under a roof", None),
    ("An extravagant meal on a table", "replace_adjectives", "A delicious meal on a table", "excludes_old"),
    ("A frayed rope on a deck", "replace_adjectives", "A blue rope on a deck", "excludes_old"),
    ("A lonely man on a bench", "replace_adjectives", "An old man on a bench", "excludes_old"),
    ("A red rope on a deck", "replace_adjectives", "A blue rope on a deck", None),
    ("A stuffed pepper on a plate", "replace_adjectives", "An unstuffed pepper on a plate", None),
]


@pytest.mark.parametrize(("caption", "negative_type", "rewrite", "rule"), JUDGED)
def test_the_judge_asks_wordnet(caption: str, negative_type: str, rewrite: str, rule: str | None) -> None:
    assert explain([Question(caption, negative_type, rewrite)]) == [rule]


def test_the_setting_of_an_installed_wordnet_is_no_more() -> None:
    with pytest.raises(ConfigError, match="'wordnet' is no setting any more: WordNet comes with DeGLA"):
        apply_overrides(FilterConfig, {}, ["wordnet=/usr/share/wordnet"])
