"""The report card: every figure against a count by hand or another way to the same, on a small file of one's own."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from degla.errors import DataError, MissingInputError
from degla.filter.audit.card_text import card_lines, card_markdown, side_by_side
from degla.filter.audit.command import PAGE, VALUES, command
from degla.filter.audit.report_card import make_card
from degla.filter.explain import Question, explain
from degla.outcomes.intervals import accuracy

pytestmark = pytest.mark.slow

# image, caption, claimed type, negative, what the edit is, whether it is of its type, whether it may be true (None: not judged)
ROWS = [
    ("1.jpg", "A man rides a big horse", "swap_nouns", "A horse rides a big man", "swap_nouns", True, False),
    ("1.jpg", "A man rides a big horse", "reshuffle", "A horse rides a big man", "swap_nouns", True, False),
    ("1.jpg", "A man rides a big horse", "replace_nouns", "A horse rides a big man", "swap_nouns", False, None),
    ("2.jpg", "A cat next to a dog", "swap_nouns", "A dog next to a cat", "swap_nouns", True, True),
    ("3.jpg", "A puppy sleeps on a couch", "replace_obj", "A puppy sleeps on a sofa", "replace_nouns", True, True),
    ("3.jpg", "A puppy sleeps on a couch", "replace_obj", "A puppy sleeps on a bench", "replace_nouns", True, False),
    ("4.jpg", "A man holds an umbrella", "replace_nouns", "A dog holds an umbrella", "replace_nouns", True, True),
    ("4.jpg", "A man holds an umbrella", "add_obj", "A man holds an umbrella and a hat", "words added", False, None),
    ("5.jpg", "A red cup on a table", "swap_adjectives", "A red cup on a table.", "nothing", False, None),
    ("6.jpg", "Ein Hund läuft über die Wiese", "replace_nouns", "Ein Auto läuft über die Wiese", "not English", False, None),
    ("3.jpg", "A puppy sleeps on a couch", "replace_obj", "A puppy sleeps on a bench", "replace_nouns", True, False),
]
CORPUS = [("000000000004.jpg", "A poodle near a man in the rain"), ("4.jpg", "a man holds an umbrella."), ("9.jpg", "A cow")]


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    write_csv(folder / "mine.csv", ["image", "caption", "type", "rewrite"], [row[:4] for row in ROWS])
    items = {
        "0": {"filename": "000000000003.jpg", "caption": "a puppy SLEEPS on a couch.", "negative_caption": "A puppy on a plane"},
        "1": {"filename": "000000000077.jpg", "caption": "A cow", "negative_caption": "A dog holds an umbrella"},
    }
    (folder / "sugarcrepe").mkdir()
    (folder / "sugarcrepe" / "replace_obj.json").write_text(json.dumps(items))
    return folder


@pytest.fixture(scope="module")
def card(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEGLA_DATA", str(folder))
        corpus = [("4", CORPUS[0][1]), ("4", CORPUS[1][1]), ("9", CORPUS[2][1])]
        return make_card(str(folder / "mine.csv"), corpus=corpus)


def test_each_edit_is_named_and_held_against_the_claimed_type(card):
    assert {row["type"]: row["edits"] for row in card["types"]} == {
        kind: {
            edit: sum(row[2] == kind and row[4] == edit for row in ROWS) for edit in {row[4] for row in ROWS if row[2] == kind}
        }
        for kind in {row[2] for row in ROWS}
    }
    pure = {row["type"]: row["pure"] for row in card["types"]}
    assert pure.pop("add_obj") is None
    assert pure == {kind: sum(row[2] == kind and row[5] for row in ROWS) for kind in pure}


def test_the_rules_say_what_explain_says(card):
    names = dict.fromkeys(("replace_obj", "add_obj"), "replace_nouns")  # the second is judged as what it is nearest to
    others = {"4.jpg": ("A poodle near a man in the rain",)}
    expected = explain([Question(row[1], names.get(row[2], row[2]), row[3], others.get(row[0], ())) for row in ROWS])
    counted = {rule: expected.count(rule) for rule in set(expected) - {None}}
    found = {row["rule"]: row["pairs"] for row in card["rules"]["refused"]}
    assert found == counted
    assert card["rules"]["kept"] + sum(row["pairs"] for row in card["rules"]["refused"]) == len(ROWS)
    assert all(1 <= len(row["examples"]) <= 2 for row in card["rules"]["refused"])


def test_what_may_be_true_is_a_share_of_the_edits_that_the_rules_can_read(card):
    whole = card["maybe_true"]["rows"][0]
    judged = [row for row in ROWS if row[6] is not None]
    true = sum(row[6] for row in judged)
    assert (whole["type"], whole["judged"], whole["either"], whole["by_texts"]) == ("all", len(judged), true, true - 1)
    assert (whole["by_captions"], whole["with_other_captions"]) == (1, 1)
    doubted = np.array([row[6] for row in judged])
    expected = accuracy([doubted], images=[np.array([int(row[0][0]) for row in judged])])
    assert (whole["share"], whole["low"], whole["high"]) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-4)


def test_overlap_is_by_text_without_case_and_by_the_number_of_the_image(card):
    sugarcrepe = next(each for each in card["overlap"] if each["benchmark"] == "sugarcrepe")
    assert {name: sugarcrepe[name] for name in ("texts", "images", "negatives", "captions", "shared_images")} == {
        "texts": 4,
        "images": 2,
        "negatives": 1,
        "captions": 1,
        "shared_images": 1,
    }
    assert sugarcrepe["note"] == "6 of its 7 files are not there"
    assert {"valse", "winoground", "aro_vg_relation"} <= set(card["not_compared"])


def test_duplicates_lengths_and_languages_are_counted(card):
    assert card["duplicates"] == {"repeated_pairs": 3, "caption_again": 1, "of_several_images": 0, "captions_of_the_file": 1}
    assert (card["lengths"]["longer"], card["lengths"]["shorter"]) == (1, 0)
    assert card["languages"]["captions_not_english"] == 1
    assert (card["pairs"], card["captions"], card["images"], card["other_captions"]) == (len(ROWS), 6, 6, 1)


def test_the_card_is_printed_whole(card):
    console, page = "\n".join(card_lines(card)), card_markdown([card, card])
    for text in (console, page):
        assert "6 of its 7 files are not there" in text
        assert "winoground" in text
        assert "not_symmetric" in text
        assert "0.5 = no artefact" in text
    assert "A cat next to a dog -> A dog next to a cat" in page
    assert side_by_side([card])[1][0][:2] == ["mine.csv", "11"]


def test_the_command_writes_the_card_and_names_what_it_cannot_read(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path))
    one = write_csv(tmp_path / "one.csv", ["image", "caption", "rewrite"], [("1.jpg", "A dog runs", "A cat runs")])
    command([str(one), "--out", str(tmp_path / "out")])
    assert json.loads((tmp_path / "out" / VALUES).read_text())[0]["pairs"] == 1
    assert (tmp_path / "out" / PAGE).read_text().startswith("# Report card")
    assert "claims" in capsys.readouterr().out
    with pytest.raises(DataError, match="holds no pair"):
        command([str(write_csv(tmp_path / "none.csv", ["image", "caption", "rewrite"], []))])
    with pytest.raises(MissingInputError, match="does not exist"):
        command([str(tmp_path / "gone.csv")])
