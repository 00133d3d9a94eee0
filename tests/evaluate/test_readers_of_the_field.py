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
from cards import lines, read, write

from degla.errors import DataError, InputError, MissingInputError
from degla.evaluate.readers.aro import symmetric_relations
from degla.evaluate.readers.caption_order import plain, reorderings

SharedData = Callable[[str], Path]


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
