"""The lexicon: its size, that replacements are never synonyms, and that the mini world finds enough of them."""

import pytest
import yaml

from degla.errors import ConfigError
from degla.miniworld.language import ADJECTIVE_WORDS, NOUN_WORDS
from degla.miniworld.scenes import SEEN_NOUNS
from degla.text.inflection import article, like, plural, singular
from degla.text.lexicon import Lexicon, load_lexicon

LEXICON = load_lexicon()
SEEN_WORDS = {word for noun in SEEN_NOUNS for word in NOUN_WORDS[noun]}


def test_it_is_large_enough_for_coco():
    assert LEXICON.num_concepts("nouns") >= 450
    assert LEXICON.num_concepts("adjectives") >= 150


@pytest.mark.parametrize(("kind", "table"), [("nouns", NOUN_WORDS), ("adjectives", ADJECTIVE_WORDS)])
def test_it_knows_the_mini_world_and_its_synonyms(kind, table):
    for words in table.values():
        for word in words:
            assert LEXICON.concepts(kind, word), word
            assert set(words) <= LEXICON.related(kind, word)


@pytest.mark.parametrize("word", sorted(SEEN_WORDS))
def test_a_seen_noun_of_the_mini_world_has_three_others_to_be_replaced_by(word):
    found = LEXICON.candidates("nouns", word, SEEN_WORDS.__contains__)
    synonyms = next(words for words in NOUN_WORDS.values() if word in words)
    assert len(set(found) - set(synonyms)) >= 3


@pytest.mark.parametrize("kind", ["nouns", "adjectives"])
def test_a_replacement_is_never_a_synonym_or_a_kind_of_the_word(kind):
    for word in LEXICON.words(kind):
        found = LEXICON.candidates(kind, word, lambda _: True)
        assert not set(found) & LEXICON.related(kind, word), word


def test_a_general_word_does_not_replace_what_it_includes():
    for word, general in [("duck", "bird"), ("canoe", "boat"), ("basketball", "ball")]:
        assert general not in LEXICON.candidates("nouns", word, lambda _: True)
        assert word not in LEXICON.candidates("nouns", general, lambda _: True)


def test_a_man_becomes_a_woman_and_never_a_zebra():
    assert LEXICON.candidates("nouns", "man", lambda _: True) == ["woman", "girl", "boy"]
    assert LEXICON.candidates("nouns", "guy", lambda _: True) == ["lady", "girl", "boy"]


def test_what_is_too_general_to_replace_others_is_replaced_by_what_it_does_not_include():
    found = LEXICON.candidates("nouns", "building", lambda _: True)
    assert "mountain" in found
    assert "church" not in found
    assert all("building" not in LEXICON.candidates("nouns", word, lambda _: True) for word in LEXICON.words("nouns"))


def test_a_broken_file_is_named():
    with pytest.raises(ConfigError, match="lexicon"):
        Lexicon(yaml.safe_load("nouns: {a: {b: [c]}}"), "")


@pytest.mark.parametrize(
    ("one", "many"), [("dog", "dogs"), ("fire truck", "fire trucks"), ("man", "men"), ("knife", "knives"), ("sheep", "sheep")]
)
def test_number_is_changed_both_ways(one, many):
    assert plural(one) == many
    assert singular(many) == one


def test_every_noun_of_the_lexicon_survives_its_plural():
    lost = [word for word in LEXICON.words("nouns") if singular(plural(word)) != word and word not in LEXICON.plural_only]
    assert set(lost) <= {"glass", "ski", "wood"}  # their plurals are words of their own here


def test_letter_case_follows_the_pattern():
    assert [like("Man", "dog"), like("MAN", "dog"), like("man", "dog"), like("A", "the")] == ["Dog", "DOG", "dog", "The"]


@pytest.mark.slow
def test_articles_agree_with_inflect(shared_data):
    inflect = pytest.importorskip("inflect")
    words = {part for kind in ("nouns", "adjectives") for word in LEXICON.words(kind) for part in word.split(" ")}
    text = shared_data("coco_captions_val2017/captions_val2017.json").read_text().lower()
    words |= {word for word in text.replace('"', " ").split() if word.isalpha() and len(word) > 3}
    engine = inflect.engine()
    different = {word for word in words if engine.a(word).split(" ")[0] != article(word)}
    assert different <= {"ones", "rv", "ussr"}  # "an RV" is right


def test_un_before_i_is_no_uni():
    assert {article(word) for word in ("unidentified", "unimportant", "unironed", "uninhabited", "usher", "hour")} == {"an"}
    assert {article(word) for word in ("union", "unionized", "unique", "units", "united", "US", "USB", "European", "one")} == {
        "a"
    }
