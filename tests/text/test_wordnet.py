"""WordNet as it ships: against figures that WordNet publishes (wnstats(7WN)), and a few entries known from its web pages."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from degla.text import wordnet
from degla.text.wordnet import make


def test_the_file_holds_as_many_synsets_and_senses_as_wordnet_3_0_counts() -> None:
    counted = wordnet.synsets().group_by("part_of_speech").aggregate([([], "count_all")]).to_pylist()
    assert {row["part_of_speech"]: row["count_all"] for row in counted} == {
        "nouns": 82_115,
        "verbs": 13_767,
        "adjectives": 18_156,
        "adverbs": 3_621,
    }
    assert wordnet.senses().num_rows == 206_941 + 37  # 37 words stand in one synset with and without capitals


def test_the_commonest_sense_of_a_dog_is_the_animal_under_canine() -> None:
    senses = wordnet.senses()
    dog = senses.filter(pc.and_(pc.equal(senses["word"], "dog"), pc.equal(senses["part_of_speech"], "nouns"))).to_pylist()[0]
    assert (dog["sense"], dog["uses"], dog["lexname"], dog["is_name"]) == (1, 42, "noun.animal", False)
    table = wordnet.synsets()
    above = {word for number in table["above"][dog["synset"]].as_py() for word in table["words"][number].as_py()}
    assert above == {"canine", "canid", "domestic animal", "domesticated animal"}


def test_compounds_are_of_several_words_in_lower_case() -> None:
    assert {"vacuum cleaner", "polar bear", "new york"} <= wordnet.compounds("nouns")
    assert "shake hands" in wordnet.compounds("verbs")
    assert "dog" not in wordnet.compounds("nouns")


def test_the_file_names_its_source_and_ships_with_its_licence() -> None:
    metadata = pq.read_schema(wordnet.FILE).metadata
    assert b"WordNet 3.0" in metadata[b"source"]
    assert {b"sha256 data.noun", b"sha256 cntlist.rev"} <= set(metadata)
    assert "Princeton University" in wordnet.FILE.with_name("LICENSE").read_text(encoding="utf-8")


LICENCE = "  1 This software and database\n"
FILES = {
    "data.noun": "00000001 05 n 02 dog 0 New_pup 0 002 @ 00000002 n 0000 = 00000001 a 0000 | a barking thing\n"
    "00000002 03 n 01 animal 0 000 | that lives\n",
    "data.adj": "00000001 00 s 01 loud(p) 0 000 | heard\n",
    "data.verb": "",
    "data.adv": "",
    "index.noun": "animal n 1 0 1 0 00000002\ndog n 2 1 @ 2 1 00000002 00000001\nnew_pup n 1 1 @ 1 0 00000001\n",
    "index.adj": "loud a 1 0 1 0 00000001\n",
    "index.verb": "",
    "index.adv": "",
    "cntlist.rev": "dog%1:05:00:: 2 7\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text((LICENCE if name != "cntlist.rev" else "") + text)
    return tmp_path


def test_database_files_become_synsets(folder: Path) -> None:
    dog, animal, loud = make.synsets(folder).to_pylist()
    assert (dog["words"], dog["senses"], dog["uses"], dog["lexname"]) == (["dog", "New pup"], [2, 1], [7, 0], "noun.animal")
    assert (dog["above"], dog["attributes"], dog["is_name"]) == ([1], [2], False)
    assert (animal["words"], animal["above"]) == (["animal"], [])
    assert (loud["words"], loud["part_of_speech"], loud["lexname"]) == (["loud"], "adjectives", "adj.all")
