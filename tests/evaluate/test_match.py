"""Images to match with captions, from tables of every form that their authors publish."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cards import lines, read, shades, write
from encoded import Encoded, read_scores
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from degla.catalog import card_names, load_card
from degla.errors import ConfigError, DataError
from degla.evaluate import EvaluateConfig, protocols, run
from degla.evaluate.benchmark import (
    Benchmark,
    BenchmarkImage,
    MatchItem,
    MatchSet,
    UnreadableImage,
)
from degla.evaluate.features.contents import image_keys
from degla.evaluate.items import score_set, texts_of
from degla.outcomes import guessing
from degla.outcomes.measures import measures

SharedData = Callable[[str], Path]


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


# Match


PAIR = {"image_0": "ex_0_img_0", "image_1": "ex_0_img_1", "caption_0": "a b", "caption_1": "b a"}


def test_winoground_pairs_two_images_with_two_captions(tmp_path: Path) -> None:
    rows = [{"id": 7} | PAIR, {"id": 9} | PAIR | {"image_1": "other.png"}]
    (tmp_path / "ex_0_img_1.png").touch()
    benchmark = read("winoground", annotations=lines(tmp_path / "examples.jsonl", rows), images=tmp_path)
    (only,) = benchmark.sets
    assert isinstance(only, MatchSet)
    assert [(item.id, item.images, item.captions) for item in only.items] == [
        ("7", (0, 1), ("a b", "b a")),
        ("9", (0, 2), ("a b", "b a")),
    ]
    assert (only.images[1].id, only.images[1].source) == ("ex_0_img_1", tmp_path / "ex_0_img_1.png")
    assert benchmark.absent == {"winoground": 398}


def test_colas_real_file_has_210_pairs_in_lists_of_addresses_and_captions(shared_data: SharedData, tmp_path: Path) -> None:
    path = shared_data("cola/COLA_multiobjects_matching_benchmark.json")
    benchmark = read("cola", annotations=path, images=tmp_path)
    (only,) = benchmark.sets
    assert isinstance(only, MatchSet)
    assert (len(only.items), benchmark.absent) == (210, {})
    for row, item in zip(json.loads(path.read_text()), only.items, strict=True):
        assert [only.images[index].id for index in item.images] == [row[0].rpartition("/")[2], row[2].rpartition("/")[2]]
        assert item.captions == (row[1], row[3])
    assert only.images[0].source == tmp_path / "2390970.jpg"
    assert benchmark.notes == ("defined by scripts/eval.py, ColaMultiObjAcc: image, strict",)


def test_bivlc_is_read_from_parquet_with_both_images_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "bivlc"
    folder.mkdir()
    for part in range(2):
        rows = [
            {
                "image": {"bytes": picture(10 * part + n), "path": "image.png"},  # a name that says nothing
                "caption": f"a {n}",
                "negative_caption": f"b {n}",
                "negative_image": {"bytes": picture(100 + 10 * part + n), "path": None},
                "type": "swap" if n else "add",
                "subtype": "obj",
            }
            for n in range(3)
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"test-0000{part}-of-00002.parquet")
    benchmark = read("bivlc", annotations=folder)
    assert {each.name: len(each.items) for each in benchmark.sets} == {"add": 2, "swap": 4}
    shades = {each.name: [np.asarray(image.open())[0, 0, 0] for image in each.images] for each in benchmark.sets}
    assert shades == {"add": [0, 100, 10, 110], "swap": [1, 101, 2, 102, 11, 111, 12, 112]}
    paths = [average.path for average in benchmark.averages]
    assert paths[:2] == ["mean_of_sets/text_accuracy", "mean_of_sets/image_accuracy"]
    assert {"all_items/group_accuracy", "all_items/text_rewritten_accuracy"} <= set(paths)
    assert all(isinstance(each, MatchSet) and each.rewritten for each in benchmark.sets)


def test_the_same_items_in_columns_of_bytes(tmp_path: Path) -> None:
    rows = [PAIR | {"image_0": picture(1), "image_1": picture(2), "id": "x"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    (only,) = read("match", annotations=tmp_path / "p.parquet").sets
    assert [np.asarray(image.open())[0, 0, 0] for image in only.images] == [1, 2]
    with pytest.raises(DataError, match="has no 'image_2'; did you mean"):
        read("match", {"images": ["image_0", "image_2"]}, annotations=tmp_path / "p.parquet")
    with pytest.raises(DataError, match="columns of parquet files have names"):
        read("match", {"images": ["image_0", 2]}, annotations=tmp_path / "p.parquet")


def test_frames_that_are_arrays_are_read_in_the_order_of_colours_that_the_card_says(tmp_path: Path) -> None:
    for number in (0, 1):
        np.save(tmp_path / f"{number}.npy", np.full((2, 3, 3), [10 * number, 1, 2], np.uint8))
    np.save(tmp_path / "grey.npy", np.zeros((2, 3), np.uint8))
    rows = [PAIR | {"image0": "0.npy", "image1": name, "caption0": "a", "caption1": "b"} for name in ("1.npy", "grey.npy")]
    (tmp_path / "items.json").write_text(json.dumps(rows))
    files = {"annotations": tmp_path / "items.json", "images": tmp_path}
    images = read("eqben", **files).sets[0].images
    assert np.asarray(images[1].open())[0, 0].tolist() == [2, 1, 10]
    with pytest.raises(UnreadableImage, match=r"uint8 \(2, 3\), expected"):
        images[2].open()
    with pytest.raises(UnreadableImage, match="set the card's array_channels"):
        read("eqben", {"array_channels": ""}, **files).sets[0].images[0].open()
    keys = [image_keys(read("eqben", {"array_channels": order}, **files).sets[0].images)[0] for order in ("rgb", "bgr")]
    assert keys[0] != keys[1]


MMVP = "Question ID,Type,Statement\n1,Texts,one word\n2,Texts,two words\n3,Colour,red\n4,Colour,blue\n"


def test_mmvp_pairs_rows_of_one_image_and_one_statement(tmp_path: Path) -> None:
    benchmark = read("mmvp_vlm", annotations=write(tmp_path / "Questions.csv", MMVP), images=tmp_path)
    assert [each.name for each in benchmark.sets] == ["Texts", "Colour"]
    texts = benchmark.sets[0]
    assert isinstance(texts, MatchSet)
    assert texts.items[0].captions == ("a photo of one word", "a photo of two words")
    assert [image.source for image in texts.images] == [tmp_path / "Texts/1.jpg", tmp_path / "Texts/2.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MMVP + "5,Colour,green\n", "5 rows cannot make items of 2 rows each"),
        (MMVP.replace("2,Texts", "2,Colour"), "the 2 rows of an item are of the sets Colour, Texts"),
        (MMVP.replace("two words", ""), "found 2 images and 1 captions, expected two or more of each"),
        (MMVP.replace("3,Colour", "3, "), "'2' is '.*', expected a text"),
    ],
)
def test_wrong_rows_of_an_item_are_named(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read("mmvp_vlm", annotations=write(tmp_path / "Questions.csv", content), images=tmp_path)


def test_wrong_tables_of_images_to_match_are_named(tmp_path: Path) -> None:
    def of(rows: list[Any], **options: Any) -> Benchmark:
        return read("match", options, annotations=write(tmp_path / "m.json", rows), images=tmp_path)

    with pytest.raises(DataError, match="has no 'caption_1'; did you mean 'caption_0'"):
        of([{key: value for key, value in PAIR.items() if key != "caption_1"}])
    with pytest.raises(DataError, match="entry 1 has no 'image_1'"):
        of([{key: value for key, value in PAIR.items() if key != "image_1"}])
    with pytest.raises(DataError, match="item '1': its id is repeated"):
        of([PAIR | {"id": 1}] * 2)
    with pytest.raises(DataError, match="found 1 images and 1 captions, expected two or more"):
        of([PAIR], images=["image_0"], captions=["caption_0"])
    with pytest.raises(DataError, match="'5d' formats no text"):
        of([PAIR], image_name="{image:5d}")
    with pytest.raises(ConfigError, match="template needs"):
        of([PAIR], template="a photo")


def test_one_table_gives_the_same_items_in_every_form(tmp_path: Path) -> None:
    rows = [PAIR | {"id": str(n), "caption_0": f"a b, {n}"} for n in range(3)]
    head = ",".join(rows[0])
    cells = "\n".join(",".join(f'"{value}"' for value in row.values()) for row in rows)
    by_name: dict[str, Any] = {"subset": "set-{caption_0}"}
    by_number = {"images": [1, 2], "captions": [3, 4], "id": 5, "subset": "set-{3}"}
    files = {
        "list": (write(tmp_path / "l.json", rows), by_name),
        "lines": (lines(tmp_path / "l.jsonl", rows), by_name),
        "csv": (write(tmp_path / "l.csv", f"{head}\n{cells}\n"), by_name),
        "lists": (write(tmp_path / "ll.json", [list(row.values()) for row in rows]), by_number),
    }
    found = {name: read("match", options, annotations=path, images=tmp_path).sets for name, (path, options) in files.items()}
    first = found["list"]
    assert [each.name for each in first] == ["set-a b, 0", "set-a b, 1", "set-a b, 2"]
    for sets in found.values():
        assert [(each.name, each.items[0].captions) for each in sets] == [(e.name, e.items[0].captions) for e in first]


def slow_match(images: np.ndarray, texts: np.ndarray) -> dict[str, bool]:
    """Straight from the definition, one comparison after another."""
    n = len(images)
    s = {(c, i): float((texts[c] * images[i]).sum()) for c in range(n) for i in range(n)}
    text = all(s[k, k] > s[c, k] for k in range(n) for c in range(n) if c != k)
    image = all(s[k, k] > s[k, i] for k in range(n) for i in range(n) if i != k)
    return {"text": text, "image": image, "group": text and image}


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_match_margins_agree_with_a_slow_loop_with_ties_and_numbers_that_are_none(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, texts = rng.integers(-1, 2, (2, size, 3)).astype(float)  # so few values tie often
    if rng.random() < 0.2:
        (images if rng.random() < 0.5 else texts)[rng.integers(size), 0] = rng.choice([np.nan, np.inf])
    with np.errstate(all="ignore"):
        margins, slow = protocols.match_margins(images, texts), slow_match(images, texts)
    broken = not (np.isfinite(images).all() and np.isfinite(texts).all())
    for kind, margin in margins.items():
        assert not (broken and margin > 0)
        assert broken or (margin > 0) == slow[kind]


@pytest.mark.parametrize("size", [2, 3])
def test_the_chance_of_a_match_is_that_of_random_similarities(size: int) -> None:
    similarity = np.random.default_rng(1).random((60_000, size, size))  # text, image
    own = np.diagonal(similarity, axis1=1, axis2=2)
    text, image = (own == similarity.max(axis=1)).all(axis=1), (own == similarity.max(axis=2)).all(axis=1)
    chance = {kind: right / of for kind, (right, of) in guessing.match_chance(size).items()}
    assert chance["text"] == pytest.approx(text.mean(), abs=0.006)
    assert chance["image"] == pytest.approx(image.mean(), abs=0.006)
    assert chance["group"] == pytest.approx((text & image).mean(), abs=0.006)
    assert guessing.match_chance(2)["group"] == (1, 6)


def test_three_images_and_three_captions_are_scored_end_to_end(encoder: Encoded) -> None:
    pair = MatchItem("y", (2, 0), ("q", "q"))
    data = MatchSet("three", shades(0, 90, 250), (MatchItem("x", (0, 1, 2), ("a", "b c", "d e f")), pair))
    images, texts = encoder.images(data.images), encoder.texts(list(texts_of(data)))
    items = score_set(data, encoder.encoder.features)
    slow = slow_match(images.features, texts.features[:3])
    found = {(row["item"], row["kind"]): row for row in items.to_pylist()}
    assert {kind: found["x", kind]["correct"] for kind in slow} == slow
    assert found["x", "text"]["candidates"] == 27
    assert (found["y", "text"]["correct"], found["y", "text"]["margin"]) == (False, 0.0)  # equal captions tie
    assert {each.path: each.items for each in measures(items)} == {f"three/{kind}_accuracy": 2 for kind in slow}


def test_of_rewrites_each_image_says_too_whether_it_chose_its_own_caption(encoder: Encoded) -> None:
    """`text` is right where both halves are; a half lacks only its own image."""
    captions = ("a dog left of a cat", "a cat left of a dog")
    pairs = [MatchItem(str(n), (n, n + 1), captions) for n in range(4)]
    images = (*shades(0, 60, 120, 250), BenchmarkImage("torn", b"no image"))
    plain, rewritten = (MatchSet("m", images, tuple(pairs), rewritten=flag) for flag in (False, True))
    encoder.images(images)
    encoder.texts(captions)
    assert set(score_set(plain, encoder.encoder.features)["kind"].to_pylist()) == {"text", "image", "group"}
    rows = {(row["kind"], row["item"]): row for row in score_set(rewritten, encoder.encoder.features).to_pylist()}
    assert len(rows) == 5 * 4
    for item in map(str, range(3)):
        halves = [rows[f"text_{half}", item] for half in ("original", "rewritten")]
        assert rows["text", item]["margin"] == pytest.approx(min(half["margin"] for half in halves), abs=1e-12)
        assert rows["text", item]["correct"] == all(half["correct"] for half in halves)
        assert [half["image"] for half in halves] == [images[int(item)].id, images[int(item) + 1].id]
        assert [half["candidates"] for half in halves] == [2, 2]
        if item != "0":  # the image that was the rewrite's before is now the caption's
            before = rows["text_rewritten", str(int(item) - 1)]
            assert halves[0]["margin"] == pytest.approx(-before["margin"], abs=1e-12)
    status = {kind: rows[kind, "3"]["status"] for kind in ("text", "group", "text_original", "text_rewritten")}
    assert status == {"text": "undecodable", "group": "undecodable", "text_original": "ok", "text_rewritten": "undecodable"}


def test_tables_of_ones_own_are_scored_by_a_run_with_what_is_missing_counted(tiny_json: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abcdef":
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    choice = "photo,t0,t1,t2,answer,kind\n" + "".join(
        f"{name},red {n},blue {n},green {n},B,{n % 2}\n" for n, name in enumerate("abcgh")
    )
    match = [
        {"id": n, "images": names, "texts": [f"{each} {n}" for each in names]} for n, names in enumerate(["abc", "def", "abg"])
    ]
    rows = [[*each["images"], *each["texts"]] for each in match]
    benchmarks = [
        {
            "name": "choice",
            "label": "mine",
            "paths": {"annotations": str(write(tmp_path / "c.csv", choice)), "images": str(tmp_path)},
            "options": {"image": "photo", "texts": ["t0", "t1", "t2"], "answer": "answer", "subset": "kind"},
        },
        {
            "name": "match",
            "label": "threes",
            "paths": {"annotations": str(write(tmp_path / "m.json", rows)), "images": str(tmp_path)},
            "options": {"images": [1, 2, 3], "captions": [4, 5, 6]},
        },
    ]
    models = {"tiny": {"architecture": str(tiny_json), "weights": "random"}}
    artifact = run(EvaluateConfig(benchmarks=benchmarks, models=models, trained=False), {}, tmp_path / "out")
    found = {record.metric: record for record in read_scores(artifact.file("scores.json"))}
    whole = found["mine/all_items/accuracy"]
    assert (whole.items, whole.items_missing, whole.incomplete, whole.chance) == (3, 2, True, pytest.approx(1 / 3))
    assert {"mine/0/accuracy", "mine/1/accuracy", "mine/mean_of_sets/accuracy"} <= set(found)
    group = found["threes/match/group_accuracy"]
    assert (group.items, group.items_missing) == (2, 1)
    assert group.chance == pytest.approx(guessing.match_chance(3)["group"][0] / guessing.match_chance(3)["group"][1])
    assert found["threes/match/text_accuracy"].chance == pytest.approx(1 / 27)


@pytest.mark.parametrize("name", [n for n in card_names() if load_card(n).reader in ("match", "choice")])
def test_every_card_of_the_families_cites_its_definition_and_says_how_to_get_its_files(name: str) -> None:
    card = load_card(name)
    if name in ("match", "choice"):
        return
    assert card.citation
    assert card.options.get("definition") or name == "winoground"
    for entry in card.files.values():
        assert entry.steps or entry.url or entry.members
