"""What people decide is on disk at once, nobody overwrites another, and what is scored follows from it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from benchmark_items import ITEMS

from degla.benchmark.__main__ import show_lines
from degla.benchmark.decisions import LOG, Conflict, Decisions
from degla.benchmark.folder import ITEMS as ITEMS_FILE
from degla.benchmark.folder import PAIRS, BenchmarkFolder, write_folder
from degla.errors import DataError, MissingInputError, StorageError
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.readers import read_benchmark


def seen(item):
    return item.caption, item.negative


def pairs(folder):
    return [json.loads(line) for line in (folder.path / PAIRS).read_text().splitlines()]


def test_a_decision_says_who_and_when_and_is_there_after_a_restart(folder):
    decisions = Decisions(folder)
    decisions.add("1", "Ann", "keep", seen(ITEMS[0]))
    decisions.add("2", "Ann", "drop", seen(ITEMS[1]))
    decisions.add("3", "Ann", "fix", seen(ITEMS[2]), ("A cow in a field", "A  horse in a field "))
    states = Decisions(BenchmarkFolder.load(folder.path)).states()
    assert [state.verdict for state in states] == ["keep", "drop", "fix", None]
    assert states[0].verdicts["Ann"].when.endswith("+00:00")
    assert [row["id"] for row in pairs(folder)] == ["1", "3", "4"]
    assert pairs(folder)[1]["negative"] == "A horse in a field"
    assert pairs(folder)[1]["checked"][0]["reviewer"] == "Ann"
    assert pairs(folder)[2]["verdict"] == "unchecked"


def test_two_people_do_not_overwrite_each_other(folder):
    ann, ben = Decisions(folder), Decisions(folder)
    ann.add("1", "Ann", "keep", seen(ITEMS[0]))
    assert ben.add("1", "Ben", "drop", seen(ITEMS[0])).verdict == "drop"
    assert set(ann.states()[0].verdicts) == {"Ann", "Ben"}
    assert ann.add("1", "Ann", "keep", seen(ITEMS[0])).verdict == "drop"  # of two, the doubt counts
    assert ben.add("1", "Ben", "keep", seen(ITEMS[0])).verdict == "keep"  # he changed his mind
    ann.add("2", "Ann", "fix", seen(ITEMS[1]), ("A red cup on a table", "A green cup on a table"))
    with pytest.raises(Conflict, match="changed in the meantime by Ann"):
        ben.add("2", "Ben", "fix", seen(ITEMS[1]), ("A red cup on a table", "A black cup on a table"))
    assert ben.states()[1].item.negative == "A green cup on a table"


def test_many_at_once_lose_nothing(folder):
    def decide(number):
        return Decisions(folder).add(ITEMS[number % 4].id, f"reviewer {number}", "keep", seen(ITEMS[number % 4]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decide, range(40)))
    assert sum(len(state.verdicts) for state in Decisions(folder).states()) == 40
    assert len((folder.path / LOG).read_text().splitlines()) == 41


@pytest.mark.parametrize("kept", [0, 5])
def test_half_a_line_of_a_killed_process_is_no_decision_and_spoils_none(folder, kept):
    decisions = Decisions(folder)
    decisions.add("1", "Ann", "keep", seen(ITEMS[0]))
    whole = (folder.path / LOG).read_bytes()
    (folder.path / LOG).write_bytes((whole if kept else b"") + '{"item": "2 \u00e9'.encode()[:-1])
    decisions.add("3", "Ann", "drop", seen(ITEMS[2]))
    assert [state.verdict for state in Decisions(folder).states()] == ["keep" if kept else None, None, "drop", None]


@pytest.mark.parametrize("line", ["{", "[3]", '{"item": "1"}', '{"item": "9", "who": 1}'])
def test_a_broken_line_is_named_and_nothing_is_added_to_it(folder, line):
    Decisions(folder).add("1", "Ann", "keep", seen(ITEMS[0]))
    with (folder.path / LOG).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"decisions\.jsonl"):
        Decisions(folder)


def test_decisions_on_another_benchmark_are_refused(folder, tmp_path):
    Decisions(folder).add("1", "Ann", "keep", seen(ITEMS[0]))
    (tmp_path / "other").mkdir()
    other = write_folder(tmp_path / "other", "other", [replace(ITEMS[0], caption="A wolf")], {"source": "b"})
    (other.path / LOG).write_bytes((folder.path / LOG).read_bytes())
    with pytest.raises(DataError, match="has decisions on the benchmark"):
        Decisions(other)
    assert (other.path / LOG).read_bytes() == (folder.path / LOG).read_bytes()


@pytest.mark.parametrize(
    ("item", "verdict", "texts", "said"),
    [
        ("9", "keep", None, "no item '9'"),
        ("1", "maybe", None, "verdict 'maybe'"),
        ("1", "fix", None, "the caption is empty"),
        ("1", "fix", ("A dog", "a dog."), "both texts say the same"),
        ("1", "fix", ("A dog", "dog " * 90), "more than the 77 tokens"),
    ],
)
def test_what_is_no_decision_is_refused_and_changes_nothing(folder, item, verdict, texts, said):
    with pytest.raises(DataError, match=said):
        Decisions(folder).add(item, "Ann", verdict, seen(ITEMS[0]), texts)
    assert not (folder.path / LOG).exists()


def test_the_card_is_one_that_evaluate_takes_and_scores_what_people_left(folder):
    Decisions(folder).add("2", "Ann", "drop", seen(ITEMS[1]))
    ref = BenchmarkRef(name=str(folder.card_path))
    benchmark = read_benchmark(ref.card())
    assert ref.title == "mine"
    assert {each.name: [item.id for item in each.items] for each in benchmark.sets} == {
        "swap_nouns": ["1"],
        "replace_nouns": ["3"],
        "swap_adjectives": ["4"],
    }
    assert benchmark.sets[0].items[0].candidates == ("A dog chases a cat", "A cat chases a dog")
    assert benchmark.sets[0].images[0].open().size == (64, 48)
    before = ref.checksum()
    Decisions(folder).add("1", "Ann", "drop", seen(ITEMS[0]))
    assert ref.checksum() != before
    with pytest.raises(MissingInputError, match="no card at"):
        BenchmarkRef(name=str(folder.path / "gone.yaml")).card()


def test_items_that_were_edited_by_hand_are_refused_and_so_is_an_empty_folder(folder, tmp_path):
    path = folder.path / ITEMS_FILE
    path.write_text(path.read_text().replace("A dog", "A wolf"))
    with pytest.raises(DataError, match="was changed after it was made"):
        BenchmarkFolder.load(folder.path)
    with pytest.raises(MissingInputError, match="holds no benchmark"):
        BenchmarkFolder.load(tmp_path)


def test_show_says_how_far_it_is_who_agrees_and_how_exact(folder):
    decisions = Decisions(folder)
    for reviewer in ("Ann", "Ben"):
        decisions.add("1", reviewer, "keep", seen(ITEMS[0]))
    decisions.add("2", "Ann", "drop", seen(ITEMS[1]))
    decisions.add("2", "Ben", "keep", seen(ITEMS[1]))
    text = "\n".join(show_lines(folder, decisions.states()))
    assert "keep 1, fix 0, drop 1, unchecked 2" in text
    assert "of 2 items that several people looked at, they agree on 1" in text
    assert "scored are 3" in text


def test_a_folder_that_cannot_be_written_is_named(folder, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied", "decisions.jsonl.lock")

    decisions = Decisions(folder)
    monkeypatch.setattr("pathlib.Path.open", refused)
    with pytest.raises(StorageError, match="cannot save below"):
        decisions.add("1", "Ann", "keep", seen(ITEMS[0]))
