"""Meaning rules: each refuses what says the same, or may be true as well, and keeps what is false."""

import pyarrow as pa
import pytest
from caption_tables import captions_table

from degla.database import connect
from degla.errors import ConfigError
from degla.schemas import REWRITES
from degla.text.edit_rules import check_rules, create_edits, refusal_sql
from degla.text.lexicon import load_lexicon
from degla.text.meaning import RULES
from degla.text.meaning_facts import create_macros, create_meanings, positive, register_senses
from degla.text.senses import Senses, load_senses

# type, caption, text, the rule that refuses it (None: kept)
JUDGED = [
    # what stands at the end is put in front
    ("reshuffle", "a small ball on the grass", "on the grass a small ball", "not_moved_along"),
    ("reshuffle", "An old man sleeps under a tree.", "Under a tree sleeps an old man.", "not_turned_round"),
    ("reshuffle", "A plane flies low over a town", "Low over a town flies a plane", "not_turned_round"),
    ("reshuffle", "A dog is sitting beside a cat in a yard", "In a yard a cat is sitting beside a dog", "not_turned_round"),
    ("reshuffle", "A small dog on a red couch.", "A red couch on a small dog.", None),
    ("reshuffle", "A goat sits on the back of a cow", "On the back of a goat sits a cow", None),
    ("reshuffle", "A young man leads an old man in a hat", "A young man in a hat leads an old man", None),
    # relations that hold both ways
    ("reshuffle", "two old dogs and three cats", "three cats and two old dogs", "not_symmetric"),
    ("reshuffle", "some apples, pears and plums in a bowl", "some plums, apples and pears in a bowl", "not_symmetric"),
    ("reshuffle", "A man reads a book while a dog eats", "A dog eats while a man reads a book", "not_symmetric"),
    ("reshuffle", "a black cat and a black dog", "a black dog and a black cat", "not_symmetric"),
    ("reshuffle", "a cat on a mat", "a mat on a cat", None),
    ("swap_nouns", "a man rides a horse", "a horse rides a man", None),
    ("swap_nouns", "a cat and a dog", "a dog and a cat", "not_symmetric"),
    ("swap_nouns", "a cat, a cow and a dog", "a dog, a cow and a cat", "not_symmetric"),
    ("swap_nouns", "a red cat and a red dog", "a red dog and a red cat", "not_symmetric"),
    ("swap_nouns", "a cute cat and a pretty dog", "a cute dog and a pretty cat", "not_symmetric"),
    ("swap_nouns", "a red cat and a blue dog", "a red dog and a blue cat", None),
    ("swap_nouns", "a young man beside an old woman", "a young woman beside an old man", None),
    ("swap_nouns", "two cats and three dogs", "two dogs and three cats", None),
    ("swap_nouns", "a cat next to a dog on a bed", "a dog next to a cat on a bed", "not_symmetric"),
    ("swap_nouns", "a nun is hugging a pilot", "a pilot is hugging a nun", "not_symmetric"),
    ("swap_nouns", "a nun is talking to a pilot with a cane", "a pilot is talking to a nun with a cane", None),
    ("swap_nouns", "a man with a hat next to a boy with a hat", "a boy with a hat next to a man with a hat", "not_symmetric"),
    ("swap_nouns", "a dog sleeps beside a cat", "a cat sleeps beside a dog", "not_symmetric"),
    ("swap_nouns", "a dog sleeps beside a car", "a car sleeps beside a dog", None),
    ("swap_nouns", "a cup on a table next to a chair", "a cup on a chair next to a table", None),
    ("swap_nouns", "a cup to the left of a box", "a box to the left of a cup", None),
    ("swap_nouns", "a nun walks arm in arm with a pilot", "a pilot walks arm in arm with a nun", "not_symmetric"),
    ("swap_nouns", "a nun plays chess with a pilot", "a pilot plays chess with a nun", "not_symmetric"),
    ("swap_nouns", "a dog plays with a ball", "a ball plays with a dog", None),
    ("swap_nouns", "a cup is as tall as a jar", "a jar is as tall as a cup", "not_symmetric"),
    ("swap_nouns", "a house is across the street from a bank", "a bank is across the street from a house", "not_symmetric"),
    ("swap_nouns", "a kitchen chair on a rug", "a kitchen rug on a chair", "whole_nouns"),
    ("swap_nouns", "a red crate right of the yellow ship", "a red ship right of the yellow crate", None),
    ("reshuffle", "a tan heart beside the striped red hat", "a striped red heart beside the tan hat", None),
    ("reshuffle", "a tan heart beside the striped red heart", "a striped red heart beside the tan heart", "owners_differ"),
    ("swap_nouns", "a cat on top of a car", "a top on cat of a car", "whole_nouns"),
    ("reshuffle", "two boats by a river in a forest", "two boats by a forest in a river", "not_symmetric"),
    ("reshuffle", "men sit on horses under trees", "men horses under on sit trees", "in_order"),
    # whose the adjectives are
    ("swap_adjectives", "a small red ball on a mat", "a red small ball on a mat", "not_moved_along"),
    ("swap_adjectives", "a white and gray pigeon on a roof", "a gray and white pigeon on a roof", "two_owners"),
    ("swap_adjectives", "a red ball on a blue box", "a blue ball on a red box", None),
    ("swap_adjectives", "a red ball and a blue ball", "a blue ball and a red ball", "owners_differ"),
    (
        "swap_adjectives",
        "a girl in a red hat near a girl in a tan hat",
        "a girl in a tan hat near a girl in a red hat",
        "owners_differ",
    ),
    ("swap_adjectives", "a red car in front of a blue car", "a blue car in front of a red car", None),
    ("swap_adjectives", "a large train on a steel track", "a steel train on a large track", "exchange_differs"),
    ("swap_adjectives", "a tall chair on a large box", "a large chair on a tall box", "exchange_differs"),
    # what the new word excludes
    ("replace_nouns", "an apple on a plate", "a banana on a plate", None),
    ("replace_nouns", "two apples on a plate", "two apple on a plate", "other_word"),
    ("replace_nouns", "two cats on a road", "two zebra on a road", "same_number"),
    ("replace_nouns", "a half eaten pizza on a road", "a half eaten cookies on a road", "same_number"),
    ("replace_nouns", "a bowl of fruit on a road", "a bowl of kittens on a road", None),
    ("replace_nouns", "a pear on a road", "a apple on a road", "article_agrees"),
    ("replace_nouns", "a car on a road", "a vehicle on a road", "other_meaning"),
    ("replace_nouns", "an animal on a road", "a zebra on a road", "other_meaning"),
    ("replace_nouns", "a man on a road", "a firefighter on a road", "other_meaning"),
    ("replace_nouns", "a trash can on a road", "a garbage can on a road", "other_meaning"),
    ("replace_nouns", "a firefighter on a road", "a baker on a road", None),
    ("replace_adjectives", "a big dog", "a small dog", None),
    ("replace_adjectives", "a big dog", "a bigger dog", "other_word"),
    ("replace_adjectives", "a grassy hill with sheep", "a grass-covered hill with sheep", "other_word"),
    ("replace_adjectives", "a quick dog on a mat", "a swift dog on a mat", "other_meaning"),
    ("replace_adjectives", "an open window with flowers", "a wide window with flowers", "excludes_old"),
    ("replace_adjectives", "a wooden table with flowers", "a nice table with flowers", "excludes_old"),
    ("replace_adjectives", "a black shirt on a bed", "a colorful shirt on a bed", None),
    ("replace_adjectives", "a colorful shirt on a bed", "a black shirt on a bed", "excludes_old"),
    ("replace_adjectives", "a smiling clown with flowers", "a frowning clown with flowers", None),
]


def judge(rows):
    captions = captions_table([caption for _, caption, _, _ in rows])
    shared = {"candidate": 0, "status": "ok", "attempt": 1, "seed": 0, "generator": "test", "model_sha": "0"}
    rewrites = [{"caption_id": i, "type": row[0], "text": row[2], **shared} for i, row in enumerate(rows)]
    with connect(threads=1) as database:
        database.register("captions", captions)
        database.register("rewrites", pa.Table.from_pylist(rewrites, schema=REWRITES))
        create_edits(database, load_lexicon(), min_tokens=3, max_tokens=60)
        create_macros(database, load_senses())
        register_senses(database, load_senses())
        create_meanings(database)
        check_rules(database, RULES, "meanings")
        return [rule for (rule,) in database.rows(f"select {refusal_sql(RULES)} from meanings order by caption_id")]


def test_each_rewrite_is_judged_as_by_hand():
    found = [(*row[:3], rule) for row, rule in zip(JUDGED, judge(JUDGED), strict=True)]
    assert found == JUDGED


def test_every_rule_refuses_something_here():
    assert {row[3] for row in JUDGED} == {None} | {rule.name for rule in RULES}


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
