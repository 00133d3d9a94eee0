"""Texts to choose from, one by one and in groups that count together, from tables of every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cards import read, shades, write
from encoded import Encoded
from PIL import Image

from degla.errors import ConfigError, DataError
from degla.evaluate.benchmark import (
    BenchmarkImage,
    ChoiceItem,
    ChoiceSet,
    Together,
)
from degla.evaluate.items import score_set, texts_of
from degla.outcomes.measures import measures


def test_negbench_takes_the_answer_from_its_column_and_its_sets_from_the_template(tmp_path: Path) -> None:
    head = "image_path,caption_0,caption_1,caption_2,caption_3,correct_answer,correct_answer_template\n"
    rows = "data/val2017/1.jpg,a,b,c,d,2,hybrid\ndata/val2017/2.jpg,a,b,c,d,0,negative\ndata/val2017/3.jpg,a,b,c,d,1.0,hybrid\n"
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "1.jpg").touch()
    benchmark = read("negbench", annotations=write(tmp_path / "n.csv", head + rows), images=tmp_path / "val2017")
    hybrid, negative = benchmark.sets
    assert isinstance(hybrid, ChoiceSet)
    assert (hybrid.name, negative.name) == ("hybrid", "negative")
    assert [item.candidates for item in hybrid.items] == [("c", "a", "b", "d"), ("b", "a", "c", "d")]
    assert hybrid.images[0].source == tmp_path / "val2017" / "1.jpg"
    assert [average.path for average in benchmark.averages] == ["mean_of_sets/accuracy", "all_items/accuracy"]
    assert not hybrid.ties_are_right


@pytest.mark.parametrize(
    ("answer", "options", "right"),
    [
        (1, {}, "y"),
        ("1", {}, "y"),
        (1, {"first_answer": 1}, "x"),
        ("B", {}, "y"),
        ("c", {}, "z"),
        ("y", {}, "y"),
        ("t2", {}, "z"),
    ],
)
def test_an_answer_is_a_number_a_letter_a_text_or_a_column(
    answer: object, options: dict[str, Any], right: str, tmp_path: Path
) -> None:
    row = {"image": "1.jpg", "t0": "x", "t1": "y", "t2": "z", "right": answer}
    options = {"texts": ["t0", "t1", "t2"], "answer": "right", **options}
    (only,) = read("choice", options, annotations=write(tmp_path / "c.json", [row]), images=tmp_path).sets
    assert only.items[0].candidates[0] == right
    assert sorted(only.items[0].candidates) == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"right": 3}, "the answer 3 is none of the 3 texts, counted from 0"),
        ({"right": -1}, "the answer -1 is none"),
        ({"right": "E"}, "the answer 'E' is none"),
        ({"right": None}, "the answer None is none"),
        ({"t1": ""}, "one of the texts to choose from is none: empty caption"),
        ({"image": ""}, "'image' is '', expected a text"),
    ],
)
def test_wrong_choices_are_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    whole = {"image": "1.jpg", "t0": "x", "t1": "y", "t2": "z", "right": 0} | row
    options = {"image": "image", "texts": ["t0", "t1", "t2"], "answer": "right"}
    with pytest.raises(DataError, match=f"entry 1.*{message}"):
        read("choice", options, annotations=write(tmp_path / "c.json", [whole]), images=tmp_path)


def test_a_pattern_that_is_none_and_a_taken_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", [{"image": "1.jpg", "caption": ["x", "y"]}])
    for together, message in (({"pair": {"patterns": ["("]}}, "is no regular expression"), ({"choice": {}}, "is no name")):
        with pytest.raises(ConfigError, match=message):
            read("choice", {"together": together}, annotations=path, images=tmp_path)
    with pytest.raises(DataError, match="'1.jpg' matches none of the patterns"):
        read("choice", {"together": {"pair": {"patterns": ["a(.)"]}}}, annotations=path, images=tmp_path)


def whatsup_rows(*names: str) -> list[dict[str, Any]]:
    folder = "data/controlled_images"
    return [{"image_path": f"{folder}/{name}.jpeg", "caption_options": [f"{name} 0", f"{name} 1"]} for name in names]


MUG = ("mug_left_of_table", "mug_right_of_table", "mug_on_table", "mug_under_table")
CAT = ("cat_left_of_tv-stand", "cat_right_of_tv-stand", "cat_on_tv-stand")


def official_whatsup(names: list[str], right: list[bool]) -> tuple[float, float]:
    """Pair and set accuracy as the authors' code counts them (dataset_zoo/aro_datasets.py, Controlled_Images)."""
    table: dict[tuple[str, str], dict[str, bool]] = {}
    for name, correct in zip(names, right, strict=True):
        parts = name.split("_")
        table.setdefault((parts[0], parts[-1]), {})[parts[1]] = correct
    pairs = sum((t["left"] and t["right"]) + (t["on"] and t["under"]) for t in table.values())
    return pairs / (len(names) / 2), sum(all(t.values()) for t in table.values()) / (len(names) / 4)


def test_whatsup_counts_pairs_and_sets_as_its_authors_do(encoder: Encoded, tmp_path: Path) -> None:
    names = [each.replace("mug", f"mug{n}") for n in range(12) for each in MUG]
    rng, folder = np.random.default_rng(3), tmp_path / "controlled_images"
    folder.mkdir()
    for name in names:
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{name}.jpeg", "PNG")
    rows = whatsup_rows(*names)
    for row in rows[::5]:
        row["caption_options"] = ["the same"] * 2  # a tie, which is right here
    for row in rows:
        rng.shuffle(row["caption_options"])
    benchmark = read("whatsup", annotations=write(tmp_path / "w.json", rows), images=folder)
    (only,) = benchmark.sets
    assert isinstance(only, ChoiceSet)
    encoder.images(only.images)
    encoder.texts(list(texts_of(only)))
    items = score_set(only, encoder.encoder.features)
    right = [row["correct"] for row in items.to_pylist() if row["kind"] == "choice"]
    found = {each.path: each for each in measures(items)}
    assert (found["whatsup/pair_accuracy"].value, found["whatsup/set_accuracy"].value) == official_whatsup(names, right)
    assert 0 < found["whatsup/set_accuracy"].value < found["whatsup/pair_accuracy"].value < found["whatsup/accuracy"].value
    assert found["whatsup/pair_accuracy"].items == 24


def test_groups_that_are_not_whole_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "w.json", whatsup_rows(*MUG, *CAT))
    benchmark = read("whatsup", annotations=path, images=tmp_path)
    (only,) = benchmark.sets
    assert isinstance(only, ChoiceSet)
    assert [(each.kind, each.items) for each in only.together] == [
        ("pair", (0, 1)),
        ("pair", (2, 3)),
        ("pair", (4, 5)),
        ("set", (0, 1, 2, 3)),
    ]
    assert "whatsup: 1 of 4 groups (pair) are not whole and left out" in benchmark.notes
    assert "whatsup: 1 of 2 groups (set) are not whole and left out" in benchmark.notes


def test_whatsups_lists_name_coco_photos_by_number(tmp_path: Path) -> None:
    rows = [[397133, "A photo of a cup on the left", "A photo of a cup on the right"], [42, "a b", "b a"]]
    benchmark = read("whatsup_coco1", annotations=write(tmp_path / "c.json", rows), images=tmp_path)
    (only,) = benchmark.sets
    assert isinstance(only, ChoiceSet)
    assert [image.id for image in only.images] == ["000000397133.jpg", "000000000042.jpg"]
    assert only.items[0].candidates == ("A photo of a cup on the left", "A photo of a cup on the right")
    assert (only.ties_are_right, benchmark.absent) == (True, {"whatsup_coco1": 2245})
    (photos,) = read("whatsup_vg2", annotations=tmp_path / "c.json", images=tmp_path).sets
    assert photos.images[1].source == tmp_path / "42.jpg"


def test_a_group_without_one_of_its_images_is_missing_and_one_wrong_item_makes_it_wrong(encoder: Encoded) -> None:
    gone = BenchmarkImage("gone", Path("/nowhere/gone.png"))
    images = (*shades(0, 90), gone)
    items = tuple(ChoiceItem(str(n), n % 3, ("same", "same")) for n in range(4))
    groups = (Together("pair", "a", (0, 1)), Together("pair", "b", (1, 2)), Together("pair", "c", (0, 3)))
    for ties, right in ((True, True), (False, False)):
        data = ChoiceSet("s", images, items, ties, together=groups)
        encoder.images(images)
        encoder.texts(["same"])
        rows = {row["item"]: row for row in score_set(data, encoder.encoder.features).to_pylist() if row["kind"] == "pair"}
        assert {key: (row["status"], row["correct"]) for key, row in rows.items()} == {
            "a": ("ok", right),
            "b": ("missing", None),
            "c": ("ok", right),
        }
        assert (rows["b"]["image"], rows["b"]["margin"]) == ("gone", None)
