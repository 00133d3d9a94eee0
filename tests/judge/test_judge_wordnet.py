"""WordNet's files, in a small copy written here by the manual page wndb(5WN): which words they relate, and bad lines."""

import pytest

from degla.errors import DataError, MissingInputError
from degla.judge.wordnet import related

# offset: words, offsets above (nouns) or similar (adjectives); couch's third sense must not count
NOUNS = {
    "00000001": (["animal"], []),
    "00000002": (["dog", "domestic_dog"], ["00000001"]),
    "00000003": (["poodle"], ["00000002"]),
}
NOUNS |= {
    "00000004": (["sofa", "couch"], ["00000005"]),
    "00000005": (["seat"], ["00000006"]),
    "00000006": (["furniture"], ["00000007"]),
}
NOUNS |= {"00000007": (["thing"], ["00000008"]), "00000008": (["entity"], []), "00000009": (["couch", "primer"], [])}
NOUN_SENSES = {"couch": ["00000004", "00000008", "00000009"]}
ADJECTIVES = {"00000001": (["quick"], ["00000002"]), "00000002": (["fast"], ["00000001"]), "00000003": (["slow"], [])}
LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by\n"


def write(folder, name, pointer, synsets, senses):
    data, index = LICENCE, LICENCE
    offsets = {}
    for offset, (words, pointers) in synsets.items():
        listed = " ".join(f"{word} 0" for word in words)
        up = " ".join(f"{pointer} {other} {name[0]} 0000" for other in pointers)
        data += f'{offset} 05 {name[0]} {len(words):02x} {listed} {len(pointers):03d} {up} | what it is; "an example"\n'
        for word in words:
            offsets.setdefault(word, []).append(offset)
    for word, found in sorted((offsets | senses).items()):
        index += f"{word} {name[0]} {len(found)} 1 {pointer} {len(found)} 1 {' '.join(found)}\n"
    (folder / f"data.{name}").write_text(data)
    (folder / f"index.{name}").write_text(index)


@pytest.fixture
def wordnet(tmp_path):
    write(tmp_path, "noun", "@", NOUNS, NOUN_SENSES)
    write(tmp_path, "adj", "&", ADJECTIVES, {})
    return tmp_path


def test_synonyms_and_up_to_three_levels_above_are_related(wordnet):
    words = ["animal", "dog", "domestic dog", "poodle", "sofa", "couch", "seat", "furniture", "thing", "entity", "primer"]
    pairs = related(wordnet, "nouns", words)
    assert {("dog", "domestic dog"), ("poodle", "animal"), ("animal", "poodle"), ("sofa", "couch"), ("sofa", "thing")} <= pairs
    assert not {("sofa", "entity"), ("couch", "primer"), ("dog", "sofa")} & pairs


def test_only_the_words_that_are_asked_for_are_given(wordnet):
    assert related(wordnet, "nouns", ["poodle", "animal"]) == {("poodle", "animal"), ("animal", "poodle")}


def test_similar_adjectives_are_related(wordnet):
    assert related(wordnet, "adjectives", ["quick", "fast", "slow"]) == {("quick", "fast"), ("fast", "quick")}


def test_a_folder_without_wordnet_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"index\.noun does not exist. Give the `dict` folder"):
        related(tmp_path, "nouns", ["dog"])


@pytest.mark.parametrize(("file", "line"), [("index.noun", "dog n x y\n"), ("data.noun", "00000011 05 n zz dog 0 000 |\n")])
def test_a_broken_line_is_named(wordnet, file, line):
    path = wordnet / file
    path.write_text(LICENCE + line)
    with pytest.raises(DataError, match=rf"{file}, line 2: not a line of WordNet"):
        related(wordnet, "nouns", ["dog"])
