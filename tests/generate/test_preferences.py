"""What captions say of kinds of things: the links that are read, and which rewrites are too unusual to be proposed."""

from math import inf, log

import pytest
from caption_tables import captions_table
from rule_requests import requests

from degla.generate.rules.links import links
from degla.generate.rules.phrases import Sentence
from degla.generate.rules.preferences import Preferences, shipped_links
from degla.generate.rules.rules_backend import RulesBackend
from degla.generate.rules.vocabulary import Vocabulary
from degla.text.lexicon import load_lexicon

LEXICON = load_lexicon()


def read(caption: str) -> Sentence:
    (row,) = captions_table([caption]).to_pylist()
    return Sentence(tuple(row["tokens"]), tuple(row["tags"]), LEXICON)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog chases two cats", {("dog", "chase", "cat")}),
        ("A man in a suit holding a phone", {("man", "in", "suit"), ("man", "hold", "phone")}),
        ("A cat sitting on a red couch", {("couch", "=red", ""), ("cat", "sit", ""), ("cat", "on", "couch")}),
        ("A group of people walk across a field", {("people", "walk", ""), ("people", "across", "field")}),
        ("A bowl filled with fruit", {("bowl", "filled with", "fruit"), ("bowl", "with", "fruit")}),
        ("A boy in a cap and gloves is eating a sandwich", {("boy", "in", "cap"), ("boy", "eat", "sandwich")}),
        ("A bird that is on the roof of a house", {("bird", "on", "roof"), ("roof", "of", "house")}),
    ],
)
def test_links_are_read(caption, expected):
    sentence = read(caption)

    def name(place: int | None) -> str:
        return "" if place is None else sentence.phrases[place].lemma

    assert {(name(link.subject), link.relation, name(link.object)) for link in links(sentence)} == expected


UNUSUAL = [
    ("swap_nouns", "A cat sitting on top of a bench in a field.", "A bench sitting on top of a cat in a field."),
    ("swap_nouns", "A long silver train traveling through a small city.", "A long silver city traveling through a small train."),
    ("swap_nouns", "Five men are flying a large kite.", "A large kite is flying five men."),
    ("reshuffle", "A woman holding a racquet on top of a tennis court.", "A tennis court holding a racquet on top of a woman."),
    ("reshuffle", "Two dogs standing on a brick walkway.", "A brick walkway standing on two dogs."),
    ("swap_adjectives", "A narrow street and a black cat", "A black street and a narrow cat"),
    ("replace_nouns", "A sign says hello above a car", "A statue says hello above a car"),
]
USUAL = [
    ("swap_nouns", "A woman is helping a young boy", "A boy is helping a young woman"),
    ("swap_nouns", "A judge in a black robe listens to a lawyer.", "A lawyer in a black robe listens to a judge."),
    ("reshuffle", "A dog in a basket and a cat on a chair", "A dog on a chair and a cat in a basket"),
    ("swap_adjectives", "A red ball and a blue car", "A blue ball and a red car"),
    ("replace_nouns", "A man rides a horse", "A man rides a cow"),
]


EVERYTHING, SENSIBLE = RulesBackend(LEXICON, Vocabulary()), RulesBackend(LEXICON, Vocabulary(), -1.0)


@pytest.mark.parametrize(("kind", "caption", "text"), [*UNUSUAL, *USUAL])
def test_what_captions_do_not_say_is_not_proposed(kind, caption, text):
    """Of two back ends, the one without a limit proposes the absurd ones too."""
    (request,) = requests([caption], [kind])
    assert text in EVERYTHING.candidates(request, 400)
    assert (text in SENSIBLE.candidates(request, 400)) == ((kind, caption, text) in USUAL)


def test_the_captions_of_the_run_outweigh_those_of_others():
    caption, text = "A dog on a couch", "A couch on a dog"
    (request,) = requests([caption], ["swap_nouns"])
    assert text not in SENSIBLE.candidates(request, 9)
    known = Vocabulary(links={"couch\ton\tdog": 30, "dog\ton\tcouch": 30})
    assert text in RulesBackend(LEXICON, known, -1.0).candidates(request, 9)


def test_without_any_counts_all_is_as_likely_as_by_chance():
    sentence = read("A dog on a couch")
    assert Preferences(LEXICON, {}, {}, -inf).of_exchange(sentence, {0: "couch", 1: "dog"}) == 0.0


def test_how_usual_a_link_is_compares_its_count_with_chance():
    """In 40 links animals are on furniture, and nothing is on an animal: each kind is half of all things.

    By chance 20 of the 40 subjects would be furniture and 20 of the objects animals, and 10 links both. The coarser counts are
    worth 2 links, and say the same here as the finer ones.
    """
    counted = {("animal", "on", "seating"): 40}
    coarse = 2 / (20 + 2)  # furniture as subject, and animals as object: none of 20
    fine = 2 * coarse / (20 + 2)
    both = min(fine**2, 2 * coarse**2 / (10 + 2))
    found = Preferences(LEXICON, {}, counted, -inf).of_exchange(read("A dog on a couch"), {0: "couch", 1: "dog"})
    assert found == pytest.approx(log(2 * both / (10 + 2)))


def test_shipped_links_are_of_kinds():
    found = shipped_links()
    assert found["animal", "on", "seating"] > 5 * found.get(("seating", "on", "animal"), 0)
