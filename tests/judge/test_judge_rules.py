"""The judge: each rule refuses what it is for and keeps what it is not for; the SQL finds what a slow search finds."""

import random
import subprocess
import sys
import textwrap

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from caption_tables import captions_table

from degla.database import connect
from degla.errors import ConfigError
from degla.judge.judge import Judge, own_judge, word_uses
from degla.judge.rules import RULES, Rule, check_rules

# type, caption, text, the rule that refuses it (None: kept)
JUDGED = [
    # form and edit
    ("reshuffle", "A small dog on a red couch.", "A red couch on a small dog.", None),
    ("reshuffle", "A dog chases the big cat", "A the chases big dog cat cat", "same_words"),
    ("reshuffle", "a cat on a mat", "a mat on a cat", None),
    ("swap_nouns", "a man rides a horse", "a horse rides a man", None),
    ("swap_nouns", "an orange hat left of a red cup", "an orange cup left of a red hat", None),
    ("swap_nouns", "an orange hat left of a red cup", "a red hat left of an orange cup", "exchanged_nouns"),
    ("swap_nouns", "two dogs on a red couch", "a red couch on two dogs", None),
    ("swap_nouns", "a glass of milk in a fridge", "a fridge in a glass of milk", None),
    ("swap_nouns", "a cat, two dogs, and three birds", "three birds, two dogs, and a cat", "not_symmetric"),
    ("swap_adjectives", "a black and white cat on a red couch", "a red cat on a black and white couch", None),
    ("swap_nouns", "a red cat and a blue dog", "a red dog and a blue cat", None),
    ("swap_nouns", "a cup to the left of a box", "a box to the left of a cup", None),
    ("swap_nouns", "a man rides a horse", "a horse carries a man", "two_exchanged"),
    ("swap_nouns", "a man rides a horse", "a man rides a horse .", "changed"),
    ("swap_adjectives", "a red ball on a blue box", "a blue ball on a red box", None),
    ("swap_adjectives", "white stripes on a blue flag", "blue stripes on a white flag", "not_of_marking"),
    ("swap_adjectives", "white letters on a blue flag", "blue letters on a white flag", None),
    ("swap_adjectives", "a red ball on a box", "a box ball on a red", "exchanged_adjectives"),
    ("replace_nouns", "an apple on a plate", "a banana on a plate", None),
    ("replace_nouns", "a fire truck on a road", "a stop sign on a road", None),
    ("replace_nouns", "an apple on a plate", "an apple near a plate", "replaced_noun"),
    ("replace_nouns", "an apple on a plate", "a plate on a plate", "new_word"),
    ("replace_nouns", "an apple on a plate", "the apple on the plate", "changed"),
    ("replace_nouns", "an apple on a plate", "three small dogs in a plate", "small_change"),
    ("replace_adjectives", "a big dog", "a small dog", None),
    ("replace_adjectives", "a big dog", "a table dog", "replaced_adjective"),
    ("replace_adjectives", "a big dog on a mat", "Sure a small dog on a mat", "no_prompt_words"),
    ("replace_adjectives", "a big dog on a red mat", '"a small dog on a red mat"', "no_quotes_around"),
    ("replace_adjectives", "a big dog", "a small dög", "characters"),
    ("replace_adjectives", "a café with big dogs", "a café with small dogs", None),
    ("replace_adjectives", "big dog", "small dog", None),
    ("replace_nouns", "dog", "cat", "length"),
    ("replace_adjectives", "a big dog", "a small dog on the mat in the sun", "similar_length"),
    ("reshuffle", "a boy riding a horse and a girl holding a ball", "a boy holding a horse and a girl riding a ball", None),
    ("reshuffle", "a man standing on a hill and a dog lying on a mat", "a man lying on a hill and a dog standing on a mat", None),
    ("reshuffle", "a man standing talking to a girl", "a man talking standing to a girl", "in_order"),
    ("reshuffle", "a man sitting on a chair talking to a girl", "a man talking on a chair sitting to a girl", "in_order"),
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
    ("replace_adjectives", "a steep ramp on a road", "a steel ramp on a road", "excludes_old"),
    ("replace_adjectives", "a grand stair in a house", "a granite stair in a house", "excludes_old"),
    ("replace_adjectives", "a modern house on a road", "a modest house on a road", None),
    ("replace_adjectives", "a famous man on a road", "an unidentified man on a road", None),
    ("replace_adjectives", "a quick dog on a mat", "a swift dog on a mat", "other_meaning"),
    ("replace_adjectives", "an open window with flowers", "a wide window with flowers", "excludes_old"),
    ("replace_adjectives", "a wooden table with flowers", "a nice table with flowers", "excludes_old"),
    ("replace_adjectives", "a black shirt on a bed", "a colorful shirt on a bed", None),
    ("replace_adjectives", "a colorful shirt on a bed", "a black shirt on a bed", "excludes_old"),
    # see test_judge_language.py
    ("replace_nouns", "a plate without forks", "a plate without spoons", "outside_negation"),
    ("replace_nouns", "a black cat on a mat", "a black king on a mat", "fits_bodies"),
    ("replace_nouns", "a cat on a mat", "a cat on a Rug", "capitals_agree"),
    ("replace_nouns", "a bowl of soup on a road", "a horse of soup on a road", "fits_place"),
    ("replace_nouns", "a polar bear on a road", "a polar lamp on a road", "whole_units"),
    ("reshuffle", "two cats chase a dog", "a dog chase two cats", "number_agrees"),
    ("replace_adjectives", "a smiling clown with flowers", "a frowning clown with flowers", None),
]


def verdicts(rows, judge, finish=None):
    shared = {"status": "ok", "finish": finish}
    rewrites = [{"caption_id": i, "type": row[0], "text": row[2], **shared} for i, row in enumerate(rows)]
    table = pa.Table.from_pylist(
        rewrites, schema=pa.schema([(name, pa.int64() if name == "caption_id" else pa.string()) for name in rewrites[0]])
    )
    return judge.verdicts(captions_table([caption for _, caption, _, _ in rows]), table, word_uses_of([row[1] for row in JUDGED]))


def word_uses_of(captions):
    with connect(threads=1) as database:
        database.register("captions", captions_table(captions))
        return word_uses(database)


def test_each_rewrite_is_judged_as_by_hand():
    found = [(*row[:3], rule) for row, rule in zip(JUDGED, verdicts(JUDGED, own_judge()), strict=True)]
    assert found == JUDGED


def test_every_rule_refuses_something_here():
    refused = {row[3] for row in JUDGED} | {verdicts(JUDGED[:1], own_judge(), finish="length")[0]}
    assert refused == {None} | {rule.name for rule in RULES}


def exchanged_slowly(old, new):
    """The shortest X, Z with old = X M Z and new = Z M X."""
    n = len(old)
    found = [
        (i + j, i, j)
        for i in range(1, n)
        for j in range(1, n - i + 1)
        if len(new) == n and old[n - j :] + old[i : n - j] + old[:i] == new
    ]
    return list(min(found, default=()))


def test_the_exchange_found_in_sql_is_that_of_a_slow_search():
    rng = random.Random(1)
    pairs = [([], []), (["a"], ["b"])]
    for _ in range(400):
        old = rng.choices("abcd", k=rng.randint(1, 7))
        cuts = sorted(rng.choices(range(len(old) + 1), k=2))
        swapped = old[cuts[1] :] + old[cuts[0] : cuts[1]] + old[: cuts[0]]
        pairs.append((old, swapped if rng.random() < 0.8 else rng.sample(old, len(old))))
    with connect(threads=1) as database:
        Judge(database)
        database.register("pairs", pa.table({"old": [old for old, _ in pairs], "new": [new for _, new in pairs]}))
        found = database.rows("select exchanged(old, new)[1] from pairs")
    assert [exchange or [] for (exchange,) in found] == [exchanged_slowly(old, new) for old, new in pairs]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("grassy", "grass-covered", True),
        ("striped", "stripy", True),
        ("wool", "woolen", True),
        ("multi-colored", "multicoloured", True),
        ("steep", "steel", False),
        ("grand", "granite", False),
        ("modern", "modest", False),
        ("plain", "plaid", False),
        ("colorful", "colorless", False),
    ],
)
def test_forms_of_one_word_differ_in_their_endings(one, other, same):
    assert own_judge().database.rows("select same_stem(?, ?), same_stem(?, ?)", [one, other, other, one]) == [(same, same)]


def test_a_rule_with_broken_sql_is_named():
    with connect(threads=1) as database:
        database.register("facts", pa.table({"text": ["a dog"]}))
        with pytest.raises(ConfigError, match=r"rule 'no_such'.*nosuchcolumn"):
            check_rules(database, [Rule("no_such", ("reshuffle",), "nosuchcolumn > 1", "never", "form")])


def test_a_verdict_does_not_depend_on_what_was_judged_before_or_is_judged_beside():
    some = JUDGED[::20]
    assert [verdicts([row], own_judge())[0] for row in some] == [row[3] for row in some]


def test_words_that_hardly_stand_apart_in_the_captions_are_one_unit():
    shop = ["A railway lamp beside a red sofa", "A sofa under a railway lamp", "A brass lamp on a sofa"]
    shop += ["A red lamp on a brass sofa"]
    questions = [
        ("replace_nouns", "A railway lamp beside a sofa", "A railway vase beside a sofa"),
        ("swap_nouns", "A brass lamp behind a red sofa", "A brass sofa behind a red lamp"),
    ]
    captions = captions_table([caption for _, caption, _ in questions])
    rewrites = pa.table(
        {
            "caption_id": pa.array(range(len(questions)), pa.int64()),
            "type": [kind for kind, _, _ in questions],
            "text": [text for _, _, text in questions],
            "status": ["ok"] * len(questions),
            "finish": pa.nulls(len(questions), pa.string()),
        }
    )
    made = [f"{caption} near {count} jars" for count in range(2, 302) for caption in shop]
    many = word_uses_of(made)
    associated = many.filter(pc.greater(many["association"], 0.6))
    assert associated["word"].to_pylist() == ["railway lamp"]
    assert associated["association"].to_pylist() == pytest.approx([0.75], abs=0.1)
    assert own_judge().verdicts(captions, rewrites, many) == ["whole_units", None]
    assert own_judge().verdicts(captions, rewrites, word_uses_of(shop * 300)) == [None, None]  # repeated captions count once
    assert own_judge().verdicts(captions, rewrites, word_uses_of(made[:900])) == [None, None]  # of so few any template would


def test_the_step_in_which_an_error_arose_is_named():
    with connect(threads=1) as database:
        judge = Judge(database)
        judge.learn(word_uses_of([]))
        database.register("captions", pa.table({"caption_id": [0]}))
        with pytest.raises(duckdb.BinderException) as caught:
            judge.find_facts()
    assert caught.value.__notes__ == ["in step captions of degla.judge/edits.sql"]


def test_a_process_that_judged_ends_without_a_word_from_duckdb():
    """What a thread still holds when the interpreter ends is never collected; DuckDB lists what is left of its own on stderr."""
    code = """
        import threading, time
        from degla.judge.judge import own_judge

        def outlive(judge):
            time.sleep(1000)

        threading.Thread(target=outlive, args=[own_judge()], daemon=True).start()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
