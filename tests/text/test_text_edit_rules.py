"""Edit rules: each refuses what it is for and keeps what it is not for; the SQL finds what a slow search finds."""

import random

import pyarrow as pa
import pytest
from caption_tables import captions_table

from degla.database import connect
from degla.errors import ConfigError
from degla.schemas import REWRITES
from degla.text.edit_rules import RULES, Rule, check_rules, create_edits, refusal_sql
from degla.text.lexicon import load_lexicon

# type, caption, text, the rule that refuses it (None: kept)
JUDGED = [
    ("reshuffle", "A small dog on a red couch.", "A red couch on a small dog.", None),
    ("reshuffle", "A dog chases the big cat", "A the chases big dog cat cat", "same_words"),
    ("reshuffle", "a cat on a mat", "a mat on a cat", None),
    ("swap_nouns", "a man rides a horse", "a horse rides a man", None),
    ("swap_nouns", "an orange hat left of a red cup", "an orange cup left of a red hat", None),
    ("swap_nouns", "an orange hat left of a red cup", "a red hat left of an orange cup", "exchanged_nouns"),
    ("swap_nouns", "a red cat and a blue dog", "a red dog and a blue cat", None),
    ("swap_nouns", "a cup to the left of a box", "a box to the left of a cup", None),
    ("swap_nouns", "a man rides a horse", "a horse carries a man", "two_exchanged"),
    ("swap_nouns", "a man rides a horse", "a man rides a horse .", "changed"),
    ("swap_adjectives", "a red ball on a blue box", "a blue ball on a red box", None),
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
    ("replace_adjectives", "a big dog", "small dog", "length"),
    ("replace_adjectives", "a big dog", "a small dog on the mat in the sun", "similar_length"),
]


def judge(rows, rules=RULES, finish=None):
    captions = captions_table([caption for _, caption, _, _ in rows])
    shared = {"candidate": 0, "status": "ok", "attempt": 1, "seed": 0, "generator": "test", "model_sha": "0", "finish": finish}
    rewrites = [{"caption_id": i, "type": row[0], "text": row[2], **shared} for i, row in enumerate(rows)]
    with connect(threads=1) as database:
        database.register("captions", captions)
        database.register("rewrites", pa.Table.from_pylist(rewrites, schema=REWRITES))
        create_edits(database, load_lexicon(), min_tokens=3, max_tokens=60)
        check_rules(database, rules)
        return [rule for (rule,) in database.rows(f"select {refusal_sql(rules)} from edits order by caption_id")]


def test_each_edit_is_judged_as_by_hand():
    found = [(*row[:3], rule) for row, rule in zip(JUDGED, judge(JUDGED), strict=True)]
    assert found == JUDGED


def test_every_rule_refuses_something_here():
    refused = {row[3] for row in JUDGED} | {judge(JUDGED[:1], finish="length")[0]}
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
        database.register("pairs", pa.table({"old": [old for old, _ in pairs], "new": [new for _, new in pairs]}))
        found = database.rows("select exchanged(old, new)[1] from pairs")
    assert [exchange or [] for (exchange,) in found] == [exchanged_slowly(old, new) for old, new in pairs]


def test_a_rule_with_broken_sql_is_named():
    with pytest.raises(ConfigError, match=r"rule 'no_such'.*nosuchcolumn"):
        judge(JUDGED[:1], rules=[Rule("no_such", ("reshuffle",), "nosuchcolumn > 1", "never", "form")])
