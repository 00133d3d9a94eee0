"""What captions say of kinds of things: the links that are read, and which rewrites are too unusual to be proposed."""

from math import inf, log

import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table
from rule_requests import requests

from degla.generate.rules import make_links
from degla.generate.rules.associations import SHIPPED, shipped_links
from degla.generate.rules.kinds import near, near_in_every_sense
from degla.generate.rules.links import links
from degla.generate.rules.phrases import Sentence
from degla.generate.rules.preferences import Preferences
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
    ("replace_nouns", "A woollen blanket with a fringe", "A woollen lamp with a fringe"),
    ("replace_nouns", "A bed of lentils", "A chair of lentils"),
    ("replace_nouns", "A downhill skier falls", "A downhill swimmer falls"),
    ("replace_adjectives", "A dim garage", "A pale garage"),
    ("replace_adjectives", "A white goose near a car", "A blue goose near a car"),
    ("swap_nouns", "A boat with a rusty hull and a boy in a yellow coat", "A boat with a rusty coat and a boy in a yellow hull"),
]
USUAL = [
    ("swap_nouns", "A woman is helping a young boy", "A boy is helping a young woman"),
    ("swap_nouns", "A judge in a black robe listens to a lawyer.", "A lawyer in a black robe listens to a judge."),
    ("reshuffle", "A dog in a basket and a cat on a chair", "A dog on a chair and a cat in a basket"),
    ("swap_adjectives", "A red ball and a blue car", "A blue ball and a red car"),
    ("replace_nouns", "A man rides a horse", "A man rides a cow"),
    ("replace_nouns", "A farmer inspects a field", "A pilot inspects a field"),
    ("swap_nouns", "A nurse bandages a runner", "A runner bandages a nurse"),
]


EVERYTHING, SENSIBLE = RulesBackend(LEXICON, Vocabulary()), RulesBackend(LEXICON, Vocabulary(), -2.0)


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
    known = Vocabulary(links={"couch\ton\tdog": 3000, "dog\ton\tcouch": 3000})
    assert text in RulesBackend(LEXICON, known, -2.0).candidates(request, 9)


def test_where_nothing_is_known_only_likes_take_each_others_place():
    nothing = Preferences(LEXICON, {}, {}, -inf)
    assert nothing.of_exchange(read("A dog on a couch"), {0: "couch", 1: "dog"}) == -9.0
    assert nothing.of_exchange(read("A nurse on a teacher"), {0: "teacher", 1: "nurse"}) > 0.0


def test_like_in_every_sense_is_narrower_than_like():
    for noun, other in (("chair", "stool"), ("nurse", "chef")):
        assert near(LEXICON, noun, other)
        assert near_in_every_sense(LEXICON, noun, other)
    for noun, other in (("trolley", "tractor"), ("lamp", "desk"), ("chocolate", "milk")):  # cocoa is a drink
        assert near(LEXICON, noun, other)
        assert not near_in_every_sense(LEXICON, noun, other)


def test_how_usual_a_link_is_compares_its_count_with_chance():
    """In 4,000 links dogs are on couches, and nothing is on a dog: each is half of all things, in every one of four classings.

    By chance 2,000 subjects would be couches and 2,000 of the objects dogs, and 1,000 links both. The coarser counts are worth 2
    links. What is never said counts half a nat less.
    """
    side, pair, total = 1.0, 1.0, 4000
    for classing in range(4):  # of verbs, kinds, fine kinds, words
        before, side = side, 2 * side / (total / 2 + 2)
        coarser = min(1.0, side**2) if classing == 0 else min(side**2, pair) if classing == 1 else pair * (side / before) ** 2
        pair = 2 * coarser / (total / 4 + 2)
    found = Preferences(LEXICON, {"dog\ton\tcouch": total}, {}, -inf).of_exchange(
        read("A dog on a couch"), {0: "couch", 1: "dog"}
    )
    assert found == pytest.approx(log(pair) - 0.5)


def test_shipped_links_are_of_words_and_of_kinds():
    found = shipped_links()
    assert found["dog", "on", "couch"] > 5 * found.get(("couch", "on", "dog"), 0)
    assert found["*animal", "on", "*seating"] > 5 * found.get(("*seating", "on", "*animal"), 0)


def test_shipped_links_are_made_of_counted_ones(tmp_path, monkeypatch):
    """What occurs once stands there by its kinds, if others of these kinds do so too; the same captions give the same bytes."""
    table = captions_table(["A dog on a couch", "A dog on a couch", "A cat in a car", "A horse in a bus", "A cup on a shelf"])
    pq.write_table(table, tmp_path / "captions.parquet")
    monkeypatch.setattr(make_links, "SHIPPED", made := tmp_path / "links.tsv")
    monkeypatch.setattr("sys.argv", ["make_links", str(tmp_path / "captions.parquet")])
    make_links.main()
    assert made.read_text().removeprefix(make_links.HEAD) == "*animal\tin\t*vehicle\t2\ndog\ton\tcouch\t2\n"
    assert SHIPPED.read_text().startswith(make_links.HEAD)
