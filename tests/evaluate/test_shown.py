"""What evaluate keeps for the report's page: the texts of every item, and small pictures of those that say most."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from degla.artifacts import Artifact
from degla.evaluate import EvaluateConfig, run
from degla.evaluate.benchmark import (
    Benchmark,
    BenchmarkImage,
    ChoiceItem,
    ChoiceSet,
    ClassificationSet,
    MatchItem,
    MatchSet,
    ParaphraseItem,
    ParaphraseSet,
    RetrievalSet,
)
from degla.evaluate.shown import PICTURES_FILE, shown_file, write_shown
from degla.outcomes.items import ITEMS
from degla.outcomes.outcome import unit
from degla.schemas import PICTURES, SHOWN, read_table, write_table


def picture(number: int, size: int = 200) -> BenchmarkImage:
    pixels = np.random.default_rng(number).integers(0, 256, (size, size // 2, 3), dtype=np.uint8)
    return BenchmarkImage(f"{number}.png", pixels)


IMAGES = tuple(picture(number) for number in range(4))
SETS = (
    ChoiceSet("choice", IMAGES, tuple(ChoiceItem(str(n), n, (f"a {n}", f"b {n}")) for n in range(4))),
    ParaphraseSet("two", IMAGES, (ParaphraseItem("p", 1, ("one", "uno"), "due"),)),
    MatchSet("match", IMAGES, (MatchItem("m", (2, 3), ("left", "right")),)),
    ClassificationSet("classes", IMAGES, np.array([0, 0, 1, 1]), ("dog", "cat"), (("a dog",), ("a cat",))),
    RetrievalSet("retrieval", IMAGES, ("x", "y", "z"), np.array([0, 1, 1])),
)


def scored(folder: Path, model: str, right: str, margins: list[float]) -> None:
    """The unit of a model on four choices."""
    name = unit(model, "b")[0]
    rows = [
        {"set": "choice", "kind": "choice", "item": str(n), "image": f"{n}.png", "status": "ok", "correct": one == "1"}
        | {"margin": margins[n], "targets": 1, "candidates": 2, "truncated": False, "indistinct": False}
        for n, one in enumerate(right)
    ]
    (folder / name).parent.mkdir(parents=True)
    write_table(folder / name, pa.Table.from_pylist(rows, ITEMS), ITEMS)


def shown(
    folder: Path, *, pictures: float = 9.0, **models: tuple[str, list[float]]
) -> tuple[dict[tuple[str, str], Any], list[Any]]:
    for model, (right, margins) in models.items():
        scored(folder, model, right, margins)
    config = EvaluateConfig(trained=False, models={name: {"architecture": "miniworld"} for name in models}, pictures=pictures)
    files = write_shown(config, {"b": Benchmark(SETS)}, {}, folder)
    assert files == [shown_file("b"), PICTURES_FILE]
    rows = read_table(folder / files[0], SHOWN).to_pylist()
    return {(row["set"], row["item"]): row for row in rows}, read_table(folder / PICTURES_FILE, PICTURES).to_pylist()


def test_each_kind_of_item_has_its_texts_with_the_right_ones_first_and_its_images(tmp_path: Path) -> None:
    rows, _ = shown(tmp_path, one=("1111", [0.1] * 4))
    said = {key: (row["texts"], row["right"], row["images"]) for key, row in rows.items()}
    assert said["choice", "2"] == (["a 2", "b 2"], 1, ["2.png"])
    assert said["two", "p"] == (["one", "uno", "due"], 2, ["1.png"])
    assert said["match", "m"] == (["left", "right"], 2, ["2.png", "3.png"])
    assert said["classes", "3.png"] == ([], 0, ["3.png"])
    assert said["retrieval", "1.png"] == (["y", "z"], 2, ["1.png"])
    assert said["retrieval", "1.png#2"] == (["z"], 1, ["1.png"])


def test_pictures_of_changed_items_come_first_then_those_that_all_have_wrong_the_smallest_margin_first(tmp_path: Path) -> None:
    models = {"one": ("1001", [0.3, -0.1, -0.2, 0.1]), "two": ("1011", [0.3, -0.3, 0.2, 0.05])}
    _, pictures = shown(tmp_path, **models)
    assert [each["image"] for each in pictures] == ["2.png", "1.png", "3.png", "0.png"]
    small = Image.open(io.BytesIO(pictures[0]["picture"]))
    assert (small.format, small.size) == ("WEBP", (80, 160))


def test_pictures_stop_at_their_limit_and_none_are_made_at_zero(tmp_path: Path) -> None:
    models = {"one": ("1001", [0.3, -0.1, -0.2, 0.1])}
    _, every = shown(tmp_path / "every", **models)
    two = sum(len(each["picture"]) for each in every[:2])
    assert shown(tmp_path / "two", pictures=(two + 1) / 1e6, **models)[1] == every[:2]
    assert shown(tmp_path / "none", pictures=0, **models)[1] == []


def test_an_image_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    scored(tmp_path, "one", "1001", [0.1] * 4)
    images = (BenchmarkImage("0.png", tmp_path / "gone.png"), *IMAGES[1:])
    choice = ChoiceSet("choice", images, SETS[0].items)
    write_shown(
        EvaluateConfig(trained=False, models={"one": {"architecture": "miniworld"}}), {"b": Benchmark((choice,))}, {}, tmp_path
    )
    found = read_table(tmp_path / PICTURES_FILE, PICTURES)["image"].to_pylist()
    assert sorted(found) == ["1.png", "2.png", "3.png"]


def test_outcomes_that_are_brought_keep_their_texts_and_the_images_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    IMAGES[0].open().save(tmp_path / "photos" / "0.png")
    rows = ["photo,said,false,m:a,m:b", "0.png,a cat,a dog,1,0", "1.png,<b>,,0,1"]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    columns = {"subset": "{said}", "image": "photo", "caption": "said", "negative": "false"}
    ref = {"path": str(tmp_path / "table.csv"), "benchmark": "own", "columns": columns, "models": ["a", "b"]}
    ref |= {"right": {"choice": ["m:{model}"]}, "images": str(tmp_path / "photos")}
    artifact = run(EvaluateConfig(outcomes=[ref], trained=False, benchmarks=[]), {}, tmp_path / "out")
    found = read_table(artifact.file("shown/own.parquet"), SHOWN).to_pylist()
    assert [(row["texts"], row["right"], row["images"]) for row in found] == [
        (["a cat", "a dog"], 1, ["0.png"]),
        (["<b>"], 1, []),
    ]
    assert read_table(artifact.file(PICTURES_FILE), PICTURES)["image"].to_pylist() == ["0.png"]


def test_every_scored_item_has_its_row(small_world: Artifact) -> None:
    for name in small_world.manifest.files:
        if name.startswith("items/after/"):
            items = read_table(small_world.file(name), ITEMS).to_pylist()
            rows = read_table(small_world.file(shown_file(Path(name).stem)), SHOWN).to_pylist()
            assert {(item["set"], item["item"]) for item in items} == {(row["set"], row["item"]) for row in rows}
            images = {(row["set"], row["item"]): row["images"] for row in rows}
            assert all(images[item["set"], item["item"]] == [item["image"]] for item in items)


@pytest.mark.parametrize("kind", ["text", "group"])
def test_the_captions_of_a_match_are_both_right(tmp_path: Path, kind: str) -> None:
    (tmp_path / "table.csv").write_text("subset,caption,negative,a\nall,one,two,1\n")
    ref = {"path": str(tmp_path / "table.csv"), "benchmark": "own", "models": ["a"], "right": {kind: ["{model}"]}}
    artifact = run(EvaluateConfig(outcomes=[ref], trained=False, benchmarks=[]), {}, tmp_path / "out")
    row = read_table(artifact.file("shown/own.parquet"), SHOWN).to_pylist()[0]
    assert (row["texts"], row["right"]) == (["one", "two"], 2)
