"""Readers: official counts, what each file may look like, and what is said of files that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from degla.catalog import Card, load_card
from degla.errors import ConfigError, DataError, InputError, MissingInputError
from degla.evaluate.benchmark import Benchmark
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.features.contents import image_keys
from degla.evaluate.features.store import StoredFeatures
from degla.evaluate.items import score_set
from degla.evaluate.readers import read_benchmark

SharedData = Callable[[str], Path]


def read(name: str, options: dict[str, Any] | None = None, **paths: Path) -> Benchmark:
    ref = BenchmarkRef(name=name, paths={role: str(path) for role, path in paths.items()}, options=options or {})
    return read_benchmark(ref.card())


def write_subset(folder: Path, content: object, name: str = "swap_obj") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


ENTRY = {"filename": "1.jpg", "caption": "a cat on a mat", "negative_caption": "a mat on a cat"}


def test_the_official_sugarcrepe_files_have_the_official_counts(shared_data: SharedData, tmp_path: Path) -> None:
    benchmark = read("sugarcrepe", annotations=shared_data("sugarcrepe"), images=tmp_path)
    counts = {item.name: (len(item.items), len(item.images)) for item in benchmark.sets}
    assert counts == {  # counted independently from the repository's files, revision 0047054
        "replace_obj": (1652, 823),
        "replace_att": (788, 524),
        "replace_rel": (1406, 777),
        "swap_obj": (245, 224),
        "swap_att": (666, 593),
        "add_obj": (2062, 908),
        "add_att": (692, 497),
    }
    assert len({image.source for item in benchmark.sets for image in item.images}) == 1560
    assert {name: items for name, (items, _) in counts.items()} == load_card("sugarcrepe", "benchmark").counts
    assert benchmark.notes == ()


def test_sugarcrepe_keeps_ids_that_are_not_contiguous(shared_data: SharedData, tmp_path: Path) -> None:
    benchmark = read("sugarcrepe", {"subsets": ["swap_obj"]}, annotations=shared_data("sugarcrepe"), images=tmp_path)
    ids = [item.id for item in benchmark.sets[0].items]
    assert "107" in ids
    assert "108" not in ids  # removed from the benchmark; loaders that count from 0 to n fail here
    assert benchmark.notes == ("1 of 7 subsets",)


def test_a_part_of_sugarcrepe_says_so(shared_data: SharedData) -> None:
    folder = shared_data("coco_mini")
    benchmark = read("sugarcrepe", annotations=folder / "sugarcrepe", images=folder / "val2017")
    assert benchmark.notes == ("351 of 7,511 official items",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([ENTRY], "expected a JSON dict at the top, found list"),
        ("{", "swap_obj.json: not JSON"),
        ({"7": "text"}, "item '7': expected an object with filename, caption, negative_caption, found str"),
        ({"7": {"filename": "1.jpg", "caption": "a"}}, "item '7': negative_caption is missing"),
        ({"7": ENTRY | {"caption": None}}, "item '7': caption is None"),
        ({"7": ENTRY | {"filename": " "}}, "item '7': filename is ' '"),
    ],
)
def test_wrong_sugarcrepe_files_are_named_with_the_item(content: object, message: str, tmp_path: Path) -> None:
    folder = write_subset(tmp_path / "annotations", content)
    with pytest.raises(DataError, match=r"swap_obj\.json") as raised:
        read("sugarcrepe", {"subsets": ["swap_obj"]}, annotations=folder, images=tmp_path)
    assert message in str(raised.value)


def test_a_missing_subset_file_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = write_subset(tmp_path / "annotations", {"1": ENTRY})
    benchmark = read("sugarcrepe", {"subsets": ["swap_obj", "swap_att"]}, annotations=folder, images=tmp_path)
    assert [item.name for item in benchmark.sets] == ["swap_obj"]
    assert benchmark.notes[-1] == f"swap_att is not scored: {folder}/swap_att.json does not exist"
    with pytest.raises(MissingInputError, match=r"swap_att\.json does not exist"):
        read("sugarcrepe", {"subsets": ["swap_att"]}, annotations=folder, images=tmp_path)
    with pytest.raises(MissingInputError, match="sugarcrepe: its files hold no items"):
        read("sugarcrepe", {"subsets": []}, annotations=folder, images=tmp_path)


EMPTY = {
    "sugarcrepe": ("swap_obj.json", "{}"),
    "sugarcrepe_pp": ("swap_obj.json", "[]"),
    "valse": ("relations.json", "{}"),
    "aro_vg_relation": ("a.json", "[]"),
    "aro_vg_attribution": ("a.json", "[]"),
    "winoground": ("a.json", "[]"),
    "match": ("a.csv", "image_0,caption_0,image_1,caption_1\n"),
    "cola": ("a.json", "[]"),
    "negbench": ("a.csv", "image_path,caption_0,caption_1,caption_2,caption_3,correct_answer,correct_answer_template\n"),
    "whatsup": ("a.json", "[]"),
    "word_order": ("a.jsonl", "\n"),
    "aro_coco_order": ("a.jsonl", '{"made_with": {"spacy": "3", "en_core_web_sm": "3", "nltk": "3"}}'),
    "coco_word_order": ("a.json", "[]"),
    "coco_retrieval": ("a.json", "[]"),
    "retrieval_photos": ("a.csv", "image,caption\n"),
    "pairs": ("a.csv", "image,caption,negative\n"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_files_without_items_are_missing_whatever_the_format(name: str, tmp_path: Path) -> None:
    file, content = EMPTY[name]
    (tmp_path / file).write_text(content)
    options = {"subsets": ["swap_obj"]} if name.startswith("sugarcrepe") else {"pieces": ["relations"]} if name == "valse" else {}
    paths = {role: str(tmp_path) for role in load_card(name).files} | (
        {} if options else {role: str(tmp_path / file) for role in ("annotations", "captions") if role in load_card(name).files}
    )
    with pytest.raises(MissingInputError, match="no items"):
        score_all(BenchmarkRef(name=name, paths=paths, options=options), tmp_path)


def score_all(ref: BenchmarkRef, folder: Path) -> None:
    for each in read_benchmark(ref.card()).sets:
        score_set(each, StoredFeatures(folder / "features"))


def test_unknown_options_readers_and_cards_are_answered_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'subset'; did you mean 'subsets'"):
        read("sugarcrepe", {"subset": ["swap_obj"]}, annotations=tmp_path, images=tmp_path)
    card = Card(name="x", kind="benchmark", reader="sugarcrep", description="", source="", licence="", revision="")
    with pytest.raises(ConfigError, match="did you mean 'sugarcrepe'"):
        read_benchmark(card)
    with pytest.raises(InputError, match="miniworld_order"):
        read("miniworld_ordr")
    with pytest.raises(ConfigError, match="kinds"):
        read("miniworld_order", {"kinds": ["swap_objects"]})


def test_word_order_takes_frozen_candidates_and_counts_ties_as_right(tmp_path: Path) -> None:
    rows = [{"id": str(n), "image": f"{n % 2}.jpg", "candidates": ["a b c", "c b a", "b a c"]} for n in range(3)]
    path = tmp_path / "order.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    (only,) = read("word_order", annotations=path, images=tmp_path).sets
    assert only.ties_are_right
    assert [(item.id, item.image, item.candidates[0]) for item in only.items] == [
        ("0", 0, "a b c"),
        ("1", 1, "a b c"),
        ("2", 0, "a b c"),
    ]
    assert len(only.images) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("{", "line 1: not JSON"),
        ('{"id": "1", "image": "a.jpg"}', "line 1: candidates is None"),
        ('{"id": "1", "image": "a.jpg", "candidates": ["one"]}', "line 1: candidates is"),
        ('{"id": "1", "candidates": ["one", "two"]}', "line 1: image is missing"),
        ('{"id": "1", "image": "a", "candidates": ["a", "b"]}\n' * 2, "item '1': its id is repeated"),
    ],
)
def test_wrong_word_order_files_are_named_with_the_line(lines: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "order.jsonl"
    path.write_text(lines)
    with pytest.raises(DataError, match=message):
        read("word_order", annotations=path, images=tmp_path)


def test_class_folders_become_classes(shared_data: SharedData) -> None:
    options = {"templates": ["a photo of a {}.", "a {}."], "class_names": {"automobile": "car"}}
    (only,) = read("image_folder", options, images=shared_data("cifar10_jpg/test")).sets
    assert only.class_names[:3] == ("airplane", "car", "bird")
    assert only.class_prompts[1] == ("a photo of a car.", "a car.")
    assert np.bincount(only.labels).tolist() == [100] * 10
    assert all(image.id.split("/")[0] != "bird" or label == 2 for image, label in zip(only.images, only.labels, strict=True))


def test_underscores_in_folder_names_are_spaces(tmp_path: Path) -> None:
    for name in ("great_white_shark", "tench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.JPG").touch()
    (only,) = read("image_folder", images=tmp_path).sets
    assert only.class_prompts == (("a photo of a great white shark.",), ("a photo of a tench.",))


def test_wrong_class_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two or more classes, found 0"):
        read("image_folder", images=tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="folders that do not exist: horse"):
        read("image_folder", {"class_names": {"horse": "pony"}}, images=tmp_path)
    with pytest.raises(ConfigError, match="needs {} in place"):
        read("image_folder", {"templates": ["a photo"]}, images=tmp_path)


def test_a_class_without_images_stays_a_choice(tmp_path: Path) -> None:
    for name in ("cat", "dog", "horse"):
        (tmp_path / name).mkdir()
    for name in ("cat/1.jpg", "cat/2.jpg", "horse/1.jpg"):
        (tmp_path / name).touch()
    benchmark = read("image_folder", images=tmp_path)
    (only,) = benchmark.sets
    assert (only.class_names, only.labels.tolist()) == (("cat", "dog", "horse"), [0, 0, 2])
    assert benchmark.notes == (f"1 of 3 classes in {tmp_path} have no images: dog",)
    probed = read("image_folder_probe", training=tmp_path, images=tmp_path)
    assert probed.notes == benchmark.notes * 2
    assert probed.sets[0].labels[probed.sets[0].training].tolist() == [0, 0, 2]


def test_a_table_gives_images_with_all_their_captions(shared_data: SharedData) -> None:
    folder = shared_data("flickr8k_224")
    (only,) = read("retrieval_photos", {"max_images": 20}, captions=folder / "captions.tsv", images=folder / "images").sets
    assert (len(only.images), len(only.texts)) == (20, 100)
    assert np.bincount(only.text_image).tolist() == [5] * 20
    assert only.images[0].id == "1012212859_01547e3f17.jpg"
    assert only.texts[0].startswith("A dog shakes its head")


def test_quoted_newlines_in_a_table_are_part_of_the_caption(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text('file,text\na.jpg,"two\nlines"\nb.jpg,"one, line"\n')
    options = {"image_column": "file", "caption_column": "text"}
    (only,) = read("retrieval_photos", options, captions=path, images=tmp_path).sets
    assert only.texts == ("two lines", "one, line")


def test_cocos_own_caption_file_is_read(shared_data: SharedData) -> None:
    captions = shared_data("coco_captions_val2017/captions_val2017.json")
    (only,) = read("retrieval_photos", captions=captions, images=shared_data("coco_mini/val2017")).sets
    assert (len(only.images), len(only.texts)) == (5000, 25014)
    first = only.images[int(only.text_image[0])].id
    annotation = next(a for a in json.loads(captions.read_text())["annotations"] if a["caption"] == only.texts[0])
    assert first == f"{annotation['image_id']:012d}.jpg"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.tsv", "image\tschlagwort\na.jpg\tx\n", "no column of captions among 'image', 'schlagwort'"),
        ("c.csv", "", "is empty"),
        ("c.txt", "a.jpg a\n", "no separator found"),
        ("c.json", '{"images": [{"id": 1, "file_name": "a"}], "annotations": []}', "`annotations` is empty"),
        ("c.json", '{"images": [{"id": 2, "file_name": "a"}], "annotations": [{"image_id": 1, "caption": "a"}]}', "of image 1"),
    ],
)
def test_wrong_caption_files_are_named(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read("retrieval_photos", captions=tmp_path / name, images=tmp_path)


def test_the_mini_world_is_drawn_as_its_card_says() -> None:
    composition = read("miniworld_composition", {"size": 3})
    assert [item.name for item in composition.sets][:5] == ["replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att"]
    assert all(
        len(item.items) == 3 and len(item.items[0].candidates) == 2 and not item.ties_are_right for item in composition.sets
    )
    (order,) = read("miniworld_order", {"size": 3}).sets
    assert order.ties_are_right
    assert all(len(item.candidates) == 5 for item in order.items)
    (pairs,) = read("miniworld_retrieval", {"size": 4}).sets
    assert len(pairs.images) == len(pairs.texts) == 4
    assert composition.notes == ("3 items a set",)


def test_mini_world_images_of_different_draws_have_different_keys() -> None:
    drawn = [read("miniworld_zeroshot", {"size": 2, "split": split}) for split in ("validation", "test")]
    keys = image_keys([image for benchmark in drawn for item in benchmark.sets for image in item.images])
    assert len(set(keys)) == len(keys) == 24
