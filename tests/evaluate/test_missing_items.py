"""What is missing is left out and counted: each protocol with some or all of its images missing, and sets without items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_items import COUNT, IMAGES, SETS, stored

from degla.errors import MissingInputError
from degla.evaluate.benchmark import BenchmarkImage, BenchmarkSet
from degla.evaluate.items import score_set
from degla.outcomes.measures import Measure, measures
from degla.outcomes.scores import model_records

NOTHING: dict[str, dict[str, Any]] = {
    "strict": {"items": ()},
    "lenient": {"items": ()},
    "paraphrase": {"items": ()},
    "match": {"items": ()},
    "classes": {"labels": np.zeros(0, dtype=np.int64)},
    "retrieval": {"texts": (), "text_image": np.zeros(0, dtype=np.int64)},
    "probe": {"labels": np.zeros(0, dtype=np.int64), "training": np.zeros(0, dtype=bool)},
}


def without(name: str, missing: set[int]) -> BenchmarkSet:
    """The set with the files of some images gone."""
    images = [BenchmarkImage(f"gone {n}", Path("/nowhere") / f"{n}.png") if n in missing else IMAGES[n] for n in range(COUNT)]
    return replace(SETS[name], images=tuple(images))


def scored(folder: Path, benchmark_set: BenchmarkSet) -> dict[str, Measure]:
    table = score_set(benchmark_set, stored(folder, benchmark_set, np.random.default_rng(5)))
    found = measures(table)
    for record in model_records("b", "m", found, ""):  # every metric has a value and an interval
        assert 0 <= record.low <= record.value <= record.high <= 1
    return {measure.path.removeprefix("s/"): measure for measure in found}


@pytest.mark.parametrize("name", sorted(set(SETS) - {"paraphrase"}))
def test_a_set_without_a_single_image_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"^s: .*/nowhere/0\.png"):
        scored(tmp_path, without(name, set(range(COUNT))))


@pytest.mark.parametrize("name", SETS)
def test_a_set_without_items_is_missing(name: str, tmp_path: Path) -> None:
    empty = replace(SETS[name], images=(), **NOTHING[name])
    with pytest.raises(MissingInputError, match=r"^s: .*no items"):
        scored(tmp_path, empty)


def test_pairs_that_all_lack_one_image_are_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"^s: .*/nowhere/1\.png"):
        scored(tmp_path, without("match", set(range(1, COUNT, 2))))


def test_pairs_that_lack_an_image_are_counted(tmp_path: Path) -> None:
    found = scored(tmp_path, without("match", {1, 3, 4, 5}))
    assert {(measure.items, measure.missing) for measure in found.values()} == {(COUNT // 2 - 3, 3)}


def test_the_text_only_test_asks_for_no_image(tmp_path: Path) -> None:
    whole = scored(tmp_path / "whole", SETS["paraphrase"])
    found = scored(tmp_path / "none", without("paraphrase", set(range(COUNT))))
    assert list(found) == ["tot_accuracy"]
    assert (found["tot_accuracy"].items, found["tot_accuracy"].missing) == (COUNT, 0)
    assert found["tot_accuracy"].value == pytest.approx(whole["tot_accuracy"].value, abs=0.15)


@pytest.mark.parametrize("name", ["classes", "probe"])
def test_a_class_without_images_leaves_the_mean_of_the_others(name: str, tmp_path: Path) -> None:
    if name == "probe":
        pytest.importorskip("sklearn")
    third = {n for n in range(COUNT) if n % 4 == 2}
    for path, measure in scored(tmp_path, without(name, third)).items():
        total = COUNT if name == "classes" else COUNT // 2
        assert (measure.items, measure.missing) == (total - total // 4, total // 4), path
        assert len(measure.parts) == (3 if path.endswith("mean_per_class") else 1)


@pytest.mark.parametrize("name", ["strict", "lenient", "retrieval"])
def test_items_on_missing_images_are_counted(name: str, tmp_path: Path) -> None:
    for path, measure in scored(tmp_path, without(name, {0, 7})).items():
        assert measure.missing == (4 if path.startswith("image_retrieval") else 2)
