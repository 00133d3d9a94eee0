"""The published benchmarks' readers: official counts, each one's protocol on hand-made items, and what is said of wrong files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from degla.catalog import card_names, load_card
from degla.errors import ConfigError, DataError, InputError, MissingInputError
from degla.evaluate import readers
from degla.evaluate.benchmark import Benchmark, ChoiceSet, UnreadableImage
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.features.contents import image_keys
from degla.evaluate.readers import known_readers, read_benchmark
from degla.evaluate.readers.aro import symmetric_relations
from degla.evaluate.readers.caption_order import plain, reorderings
from degla.evaluate.suites import ZERO_SHOT_METRICS

SharedData = Callable[[str], Path]
CATALOG = Path(__file__).resolve().parents[2] / "data_catalog"


def read(name: str, options: dict[str, Any] | None = None, **paths: Path) -> Benchmark:
    ref = BenchmarkRef(name=name, paths={role: str(path) for role, path in paths.items()}, options=options or {})
    return read_benchmark(ref.card())


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def lines(path: Path, rows: list[object]) -> Path:
    return write(path, "\n".join(map(json.dumps, rows)) + "\n")


@pytest.mark.parametrize("name", card_names())
def test_every_card_is_valid_names_a_reader_and_invents_nothing(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.kind == "dataset" or card.reader in known_readers()
    assert card.source
    assert card.licence
    file = CATALOG / f"{name}.yaml"
    text = (file if file.exists() else CATALOG / f"{name.rpartition('_')[0]}.yaml").read_text()
    for entry in card.files.values():
        for each in (entry, *entry.members.values()):
            assert (each.sha256 is None) == (each.size is None), "both were compared, or neither"
            assert each.sha256 or not (entry.fetch or entry.members) or "# unverified" in text


def test_every_reader_has_a_card() -> None:
    cards = [card for card in map(load_card, card_names()) if card.kind == "benchmark"]
    assert {card.reader for card in cards} == set(known_readers())


def test_the_eleven_sets_are_probed_by_a_variant_of_their_card() -> None:
    probes = {name for name in card_names() if load_card(name).reader == "linear_probe_set"}
    assert probes == {f"{name}_probe" for name in ZERO_SHOT_METRICS}
    for name in ZERO_SHOT_METRICS:
        card, probe = load_card(name), load_card(f"{name}_probe", "benchmark")
        assert (probe.files, probe.options, probe.source) == (card.files, card.options, card.source)
        assert "Linear probe on" in probe.description
    assert load_card("cifar10_probe").counts == {"probe": 10000}
    assert load_card("sun397_probe").counts == {}
    with pytest.raises(MissingInputError, match="Did you mean 'cifar10_probe'"):
        load_card("cifar10_prob")
    with pytest.raises(MissingInputError, match="no card 'winoground_probe'"):
        load_card("winoground_probe")


TOY = '''
"""Captions of images, one file an image: `1.txt` holds the true caption and the false one."""
from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.registry import reader

class ToyOptions(Config):
    suffix: str = ".txt"

@reader("toy", ToyOptions)
def read_toy(card: Card, options: ToyOptions) -> Benchmark:
    files = sorted(card.file("captions").glob(f"*{options.suffix}"))
    images, positions = file_images(card.file("images"), [f"{path.stem}.png" for path in files])
    items = [ChoiceItem(path.stem, at, tuple(path.read_text().split("|"))) for path, at in zip(files, positions)]
    return Benchmark((ChoiceSet("toy", images, tuple(items)),))
'''

TOY_CARD = {
    "kind": "benchmark",
    "reader": "toy",
    "description": "a toy",
    "source": "here",
    "licence": "none",
    "revision": "1",
    "files": {"captions": {"path": "toy"}, "images": {"path": "toy"}},
}


def test_a_new_format_is_one_module_and_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "readers" / "toy_format.py", TOY)
    write(tmp_path / "cards" / "toy.yaml", {"name": "toy", **TOY_CARD})
    write(tmp_path / "data" / "toy" / "1.txt", "a cat|a dog")
    monkeypatch.setattr("degla.evaluate.readers.__path__", [*readers.__path__, str(tmp_path / "readers")])
    monkeypatch.setattr("degla.catalog.catalog_dir", lambda: tmp_path / "cards")
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path / "data"))
    known_readers.cache_clear()
    try:
        (only,) = read("toy").sets
        with pytest.raises(ConfigError, match="unknown key 'sufix'; did you mean 'suffix'"):
            read("toy", {"sufix": ".md"})
    finally:
        readers.READERS.pop("toy", None)
        known_readers.cache_clear()
    assert isinstance(only, ChoiceSet)
    assert [(item.id, item.candidates) for item in only.items] == [("1", ("a cat", "a dog"))]


# SugarCrepe++


PLUS = {"id": 7, "filename": "1.jpg", "caption": "a", "caption2": "b", "negative_caption": "c"}


def test_sugarcrepe_plus_plus_has_two_true_captions(tmp_path: Path) -> None:
    write(tmp_path / "swap_obj.json", [PLUS, PLUS | {"id": 9}])
    benchmark = read("sugarcrepe_pp", {"subsets": ["swap_obj"]}, annotations=tmp_path, images=tmp_path)
    (only,) = benchmark.sets
    assert [(item.id, item.captions, item.negative) for item in only.items] == [("7", ("a", "b"), "c"), ("9", ("a", "b"), "c")]
    assert benchmark.absent == {"swap_obj": 243}
    assert benchmark.notes == ("2 of 245 official items", "1 of 5 subsets")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "expected a JSON list at the top, found dict"),
        ([PLUS | {"caption2": ""}], "item '7': caption2 is ''"),
        ([{"filename": "a"}], "item '0': caption is missing"),
    ],
)
def test_wrong_sugarcrepe_plus_plus_files_are_named(content: object, message: str, tmp_path: Path) -> None:
    write(tmp_path / "swap_obj.json", content)
    with pytest.raises(DataError, match=r"swap_obj\.json") as raised:
        read("sugarcrepe_pp", {"subsets": ["swap_obj"]}, annotations=tmp_path, images=tmp_path)
    assert message in str(raised.value)


# VALSE


def test_the_official_valse_pieces_have_their_valid_counts(shared_data: SharedData, tmp_path: Path) -> None:
    roles = ("coco_val2017", "coco_val2014", "coco_train2014", "visual7w", "swig", "visdial_val2018")
    images = dict.fromkeys(roles, tmp_path)
    benchmark = read("valse", annotations=shared_data("valse"), **images)
    assert {item.name: len(item.items) for item in benchmark.sets} == {
        "existence": 505,
        "plurals": 851,
        "counting_small_quant": 900,
        "relations": 535,
        "action_replacement": 648,
        "foil_it": 943,
    }
    assert benchmark.absent == {}
    assert sum("is not scored" in note for note in benchmark.notes) == 5
    (foil,) = (item for item in benchmark.sets if item.name == "foil_it")
    assert foil.images[0].source == tmp_path / foil.images[0].id


def valse_entry(votes: int, image: str = "1.jpg") -> dict[str, Any]:
    return {"image_file": image, "caption": "true", "foil": "false", "mturk": {"foil": 0, "caption": votes, "other": 0}}


def test_rows_that_people_did_not_validate_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "relations.json", {"a": valse_entry(3), "b": valse_entry(1), "c": valse_entry(2)})
    benchmark = read("valse", {"pieces": ["relations"]}, annotations=tmp_path, coco_val2017=tmp_path)
    assert [item.id for item in benchmark.sets[0].items] == ["a", "c"]
    every = read("valse", {"pieces": ["relations"], "validated_only": False}, annotations=tmp_path, coco_val2017=tmp_path)
    assert [item.id for item in every.sets[0].items] == ["a", "b", "c"]
    assert every.notes == ("rows that people did not validate are included",)


def test_valse_without_an_image_source_goes_on_and_says_which_piece_is_missing(tmp_path: Path) -> None:
    for name in ("relations", "existence"):
        write(tmp_path / f"{name}.json", {"a": valse_entry(3)})
    options = {"pieces": ["relations", "existence"]}
    benchmark = read("valse", options, annotations=tmp_path, coco_val2017=tmp_path)
    assert [item.name for item in benchmark.sets] == ["relations"]
    assert any(note.startswith("existence is not scored: valse: visual7w not found at") for note in benchmark.notes)
    with pytest.raises(MissingInputError, match="relations is not scored"):
        read("valse", options, annotations=tmp_path)


def test_coreference_items_on_training_images_are_counted(tmp_path: Path) -> None:
    entries = {"a": valse_entry(3, "COCO_train2014_1.jpg"), "b": valse_entry(3, "COCO_val2014_2.jpg")}
    write(tmp_path / "coreference-standard.json", entries)
    places = {"coco_val2014": tmp_path / "val", "coco_train2014": tmp_path / "train"}
    for place in places.values():
        place.mkdir()
    benchmark = read("valse", {"pieces": ["coreference_standard"]}, annotations=tmp_path, **places)
    assert "1 of 2 items of coreference_standard are on images of COCO train2014" in benchmark.notes
    names = ("train/COCO_train2014_1.jpg", "val/COCO_val2014_2.jpg")
    assert [image.source for image in benchmark.sets[0].images] == [tmp_path / name for name in names]


def test_a_valse_row_without_votes_is_named(tmp_path: Path) -> None:
    write(tmp_path / "relations.json", {"x": valse_entry(3) | {"mturk": None}})
    with pytest.raises(DataError, match=r"relations\.json, item 'x': mturk is None"):
        read("valse", {"pieces": ["relations"]}, annotations=tmp_path, coco_val2017=tmp_path)


# ARO


def test_genuine_aro_rows_are_cut_to_their_box_and_grouped_by_relation(shared_data: SharedData, tmp_path: Path) -> None:
    path = shared_data("aro_vg_relation_sample") / "visual_genome_relation_first43.json"
    rows = json.loads(path.read_text())
    benchmark = read("aro_vg_relation", annotations=path, images=tmp_path)
    (only,) = benchmark.sets
    assert len(only.items) == 43
    assert benchmark.absent == {"vg_relation": 23937 - 43}
    first, row = only.items[0], rows[0]
    assert first.candidates == (row["true_caption"], row["false_caption"])
    left, upper, width, height = (row[f"bbox_{name}"] for name in "xywh")
    assert only.images[first.image].box == (left, upper, left + width, upper + height)
    assert Counter(item.group for item in only.items) == Counter(
        None if row["relation_name"] in symmetric_relations() else row["relation_name"] for row in rows
    )
    assert len(symmetric_relations()) == 157


def aro_row(number: int, **more: Any) -> dict[str, Any]:
    box = {"bbox_x": number, "bbox_y": 0, "bbox_w": 5, "bbox_h": 6}
    return {"image_path": "1.jpg", "true_caption": "a", "false_caption": "b", **box, **more}


def test_symmetric_relations_and_rare_attribute_pairs_are_in_no_group(tmp_path: Path) -> None:
    relations = [aro_row(n, relation_name=name) for n, name in enumerate(["on", "next to", "hugging"])]
    (only,) = read("aro_vg_relation", annotations=write(tmp_path / "r.json", relations), images=tmp_path).sets
    assert [item.group for item in only.items] == ["on", "next to" if "next to" not in symmetric_relations() else None, None]
    pairs = [aro_row(n, attributes=["red", "round"]) for n in range(25)] + [aro_row(n, attributes=["a", "b"]) for n in range(24)]
    (only,) = read("aro_vg_attribution", annotations=write(tmp_path / "a.json", pairs), images=tmp_path).sets
    assert Counter(item.group for item in only.items) == {"red_round": 25, None: 24}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (aro_row(0), "item 0: relation_name is missing"),
        (aro_row(0, relation_name="on", bbox_w=0), "bbox_x, bbox_y, bbox_w, bbox_h are"),
        (aro_row(0, relation_name="on", true_caption=3), "true_caption is 3"),
    ],
)
def test_wrong_aro_rows_are_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read("aro_vg_relation", annotations=write(tmp_path / "r.json", [row]), images=tmp_path)


CAPTION = "A red dog and two old cats sit near the big green tree"


def test_reorderings_move_what_they_are_meant_to_move() -> None:
    ((own, nouns, others, within, threes),) = reorderings([CAPTION], seed=1)
    assert own == "a red dog and two old cats sit near the big green tree"
    words = own.split()
    for text in (nouns, others, within, threes):
        assert sorted(text.split()) == sorted(words)
    kept = {"a", "and", "two", "sit", "near", "the"}
    assert [word for word in nouns.split() if word in kept] == [word for word in words if word in kept]
    fixed = {index: word for index, word in enumerate(words) if word not in kept}
    assert {index: others.split()[index] for index in fixed} == fixed
    groups = [words[start : start + 3] for start in range(0, 12, 3)]
    assert [sorted(within.split()[start : start + 3]) for start in range(0, 12, 3)] == [sorted(group) for group in groups]
    whole = threes.split()
    assert all(group in [whole[at : at + 3] for at in range(len(whole))] for group in groups)


def test_reorderings_depend_on_caption_and_seed_alone() -> None:
    other = "A man rides a brown horse on the sandy beach."
    assert reorderings([CAPTION, other], 1) == reorderings([other, CAPTION], 1)[::-1]
    assert reorderings([CAPTION], 1) != reorderings([CAPTION], 2)


def test_a_candidate_is_cut_and_cleaned_as_aro_does() -> None:
    assert plain('  The "Big" dog; (a cat): #1!  ') == "the big dog a cat 1"
    assert plain(" ".join(["word"] * 40)) == " ".join(["word"] * 30)


def test_captions_order_of_karpathys_split_has_a_hash_and_its_own_name(shared_data: SharedData, tmp_path: Path) -> None:
    path = shared_data("coco_karpathy_test/coco_karpathy_test.json")
    benchmark = read("coco_word_order", {"max_images": 5}, annotations=path, images=tmp_path)
    (only,) = benchmark.sets
    assert (only.name, only.ties_are_right, only.both_tie_rules, len(only.images)) == ("word_order", True, True, 5)
    assert all(len(item.candidates) == 5 for item in only.items)
    (note,) = (note for note in benchmark.notes if note.startswith("candidates "))
    assert "not comparable with ARO's" in note
    frozen = tmp_path / "frozen.jsonl"
    frozen.write_text(benchmark.candidates)
    assert note.startswith(f"candidates {hashlib.sha256(frozen.read_bytes()).hexdigest()[:16]}")
    (again,) = read("word_order", annotations=frozen, images=tmp_path).sets
    assert [item.candidates for item in again.items] == [item.candidates for item in only.items]
    other = read("coco_word_order", {"max_images": 5, "seed": 2}, annotations=path, images=tmp_path)
    assert note not in other.notes


def test_aros_own_order_tests_need_candidates_of_the_original_tagger(tmp_path: Path) -> None:
    rows = [{"id": "1", "image": "a.jpg", "candidates": ["a", "b", "c", "d", "e"]}]
    made = {"made_with": {"spacy": "3.7", "en_core_web_sm": "3.7.0", "nltk": "3.8"}}
    benchmark = read("aro_coco_order", annotations=lines(tmp_path / "x.jsonl", [made, *rows]), images=tmp_path)
    assert benchmark.sets[0].name == "coco_order"
    assert "made with spacy 3.7, en_core_web_sm 3.7.0, nltk 3.8" in benchmark.notes[-1]
    for first, message in (
        ([], "expected made_with"),
        ([{"made_with": {"spacy": "3.7", "nltk": "3.8"}}], "does not name the version of en_core_web_sm"),
    ):
        with pytest.raises(DataError, match=message):
            read("aro_coco_order", annotations=lines(tmp_path / "x.jsonl", [*first, *rows]), images=tmp_path)
    four = lines(tmp_path / "x.jsonl", [made, rows[0] | {"candidates": ["a", "b", "c", "d"]}])
    with pytest.raises(DataError, match="expected 5 candidates"):
        read("aro_coco_order", annotations=four, images=tmp_path)


# Retrieval


def test_karpathys_coco_split_has_5000_images_and_25010_captions(shared_data: SharedData, tmp_path: Path) -> None:
    path = shared_data("coco_karpathy_test/coco_karpathy_test.json")
    benchmark = read("coco_retrieval", annotations=path, images=tmp_path)
    (only,) = benchmark.sets
    assert (len(only.images), len(only.texts), benchmark.absent) == (5000, 25010, {})
    first = json.loads(path.read_text())[0]
    assert only.texts[: len(first["caption"])] == tuple(" ".join(caption.split()) for caption in first["caption"])
    assert only.images[0].source == tmp_path / first["image"]
    (tmp_path / "val2014").mkdir()
    again = read("coco_retrieval", annotations=path, images=tmp_path / "val2014")
    assert again.sets[0].images[0].source == only.images[0].source
    cut = read("coco_retrieval", {"captions_per_image": 5, "max_words": 3}, annotations=path, images=tmp_path)
    assert len(cut.sets[0].texts) == 25000
    assert max(len(text.split(" ")) for text in cut.sets[0].texts) == 3
    assert cut.notes == ("the first 5 captions of each image", "captions cut to 3 words")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image": "a"}], "no column of captions among"),
        ([{"image": "a", "caption": 3}], "entry 1: 'caption' is 3, expected a text"),
        ([{"image": "a", "caption": ["x", "y"]}] * 2, "entry 2: the image 'a' comes twice; it is at .*entry 1 too"),
    ],
)
def test_wrong_karpathy_files_are_named(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read("coco_retrieval", annotations=write(tmp_path / "k.json", content), images=tmp_path)


# Pairs of one's own


ROWS = [
    {"key": "x", "file": "1.jpg", "true": "a", "false": "b", "kind": "colour"},
    {"key": "y", "file": "1.jpg", "true": "c", "false": "d", "kind": "number"},
]
OPTIONS = {"id": "key", "image": "file", "caption": "true", "negatives": ["false"], "subset": "kind"}


def as_csv(path: Path) -> Path:
    return write(path, "\n".join([",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)]) + "\n")


@pytest.mark.parametrize("name", ["p.jsonl", "list.json", "object.json", "p.csv"])
def test_pairs_are_read_from_any_table(name: str, tmp_path: Path) -> None:
    makers = {
        "p.jsonl": lambda path: lines(path, ROWS),
        "list.json": lambda path: write(path, ROWS),
        "object.json": lambda path: write(path, {row["key"]: row for row in ROWS}),
        "p.csv": as_csv,
    }
    benchmark = read("pairs", OPTIONS, annotations=makers[name](tmp_path / name), images=tmp_path)
    assert [(item.name, item.items[0].id, item.items[0].candidates) for item in benchmark.sets] == [
        ("colour", "x", ("a", "b")),
        ("number", "y", ("c", "d")),
    ]
    assert [average.path for average in benchmark.averages] == ["mean_of_sets/accuracy", "all_items/accuracy"]


def test_pairs_may_have_several_negatives_groups_and_the_other_tie_rule(tmp_path: Path) -> None:
    rows = [{"image": "1.jpg", "caption": "a", "negative": ["b", "c"], "more": "d", "g": "one"}]
    options = {"negatives": ["negative", "more"], "group": "g", "ties": "right"}
    (only,) = read("pairs", options, annotations=write(tmp_path / "p.json", rows), images=tmp_path).sets
    assert isinstance(only, ChoiceSet)
    assert (only.name, only.ties_are_right) == ("p", True)
    assert only.items[0].candidates == ("a", "b", "c", "d")
    assert (only.items[0].group, only.items[0].id) == ("one", "1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"image": "1.jpg", "caption": "a"}], r"entry 1: the false captions \[\] are not all texts"),
        ([{"image": "1.jpg", "caption": "a", "negative": ["b", 3]}], "entry 1: 'negative' is 3, expected a text"),
        ([{"id": "z", "image": "1.jpg", "caption": "a", "negative": "b"}] * 2, "item 'z': its id is repeated"),
        (["text"], "expected JSON objects"),
        ("3", "no separator found"),
    ],
)
def test_wrong_pairs_are_named(rows: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read("pairs", annotations=write(tmp_path / "p.json", rows), images=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"image": "1.jpg", "caption": "caf\xe9", "negative": "b"}', "not utf-8|not UTF-8"),
        (b'{"image": "1.jpg", "caption": "a", "negative": "\\ud800"}', "are not all texts"),
        (b"[" * 100_000, "not JSON"),
        (b'{"image": "1.jpg", "caption": "a", "negative": ', "not JSON"),
        (b'{"image": "1.jpg", "caption": "a", "negative": "%s' % (b"x" * 9999), "not JSON"),
        (
            b'{"image": "1.jpg", "caption": "a", "negative": {"%s": 1}}' % (b"x" * 9999),
            r"'negative' is \{'x{70,80}\.\.\., expected a text",
        ),
        (None, "holds no captions and no images"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_files_that_are_no_such_text_are_named(content: bytes | None, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{suffix}"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if suffix == "jsonl" else b"[%s]" % content)
    with pytest.raises(DataError, match=message) as found:
        read("pairs", annotations=path, images=tmp_path)
    assert str(path) in str(found.value)
    assert len(str(found.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"image,caption\n1.jpg,a\n", r"line 2: the false captions \[\] are not all texts"),
        (b"image,caption,negative\n1.jpg,a\n", "line 2: 2 fields, the first row has 3"),
        (b"image,caption,negative\n1.jpg,\xff,b\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_tables_that_are_none_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as found:
        read("pairs", annotations=path, images=tmp_path)
    assert str(path) in str(found.value)


def test_a_folder_in_place_of_a_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(DataError, match=r"p\.csv holds no captions and no images"):
        read("pairs", annotations=tmp_path / "p.csv", images=tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,caption,negative\n1.jpg,a,b\n\n")
    items = read("pairs", annotations=path, images=tmp_path).sets[0].items
    assert [(item.id, item.candidates) for item in items] == [("1", ("a", "b"))]


@pytest.mark.parametrize("name", ["x" * 300, "a\x00b", "../../etc/hostname"])
def test_an_image_of_any_name_that_is_no_file_is_missing(name: str, tmp_path: Path) -> None:
    rows = [{"image": name, "caption": "a", "negative": "b"}]
    (only,) = read("pairs", annotations=write(tmp_path / "p.json", rows), images=tmp_path).sets
    (key,) = image_keys(only.images)
    assert isinstance(key, UnreadableImage)
    assert key.status == "missing"


# Folders of classes to fit a linear probe on


def test_a_probe_needs_the_same_classes_in_both_folders(shared_data: SharedData, tmp_path: Path) -> None:
    folder = shared_data("cifar10_jpg")
    (only,) = read("image_folder_probe", training=folder / "train", images=folder / "test").sets
    assert np.bincount(only.labels[only.training]).tolist() == [50] * 10
    assert np.bincount(only.labels[~only.training]).tolist() == [100] * 10
    assert len({image.id for image in only.images}) == 1500
    for name in ("cat", "dog"):
        write(tmp_path / name / "1.jpg", "")
    with pytest.raises(InputError, match="only one of them has airplane"):
        read("image_folder_probe", training=tmp_path, images=folder / "test")
