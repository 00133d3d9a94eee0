"""Retrieval with every right answer: ranks, R-precision and mAP@R against the definitions, and ECCV-Caption's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded import Encoded
from hypothesis import given
from hypothesis import strategies as st

from degla.errors import DataError, MissingInputError
from degla.evaluate import protocols
from degla.evaluate.benchmark import Benchmark, BenchmarkImage, LabelledRetrievalSet
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.items import score_set, texts_of
from degla.evaluate.readers import read_benchmark
from degla.outcomes import guessing
from degla.outcomes.measures import measures

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


def slow(query: np.ndarray, answers: np.ndarray, right: list[int], absent: int) -> tuple[int, float, float]:
    """From the definitions: a sorted list, walked place by place; wrong answers stand before right ones that are as near."""
    cosines = [float(query @ answer) for answer in answers]
    order = sorted(range(len(answers)), key=lambda index: (-cosines[index], index in right))
    number = len(right) + absent
    hits, precisions = 0, []
    for place, index in enumerate(order[:number], 1):
        hits += index in right
        precisions.append(hits / place if index in right else 0.0)
    precisions += [0.0] * (number - len(precisions))
    return 1 + next(place for place, index in enumerate(order) if index in right), hits / number, float(np.mean(precisions))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 3))
def test_labelled_retrieval_agrees_with_a_slow_loop_with_ties(seed: int, pool: int, absent: int) -> None:
    rng = np.random.default_rng(seed)
    queries, answers = rng.integers(-1, 2, (4, 3)).astype(float), rng.integers(-1, 2, (pool, 3)).astype(float)
    right = [rng.permutation(pool)[: rng.integers(1, pool + 1)].tolist() for _ in queries]
    found = protocols.labelled_retrieval(queries, answers, right, [absent] * 4)
    for row, query in enumerate(queries):
        rank, precision, average = slow(query, answers, right[row], absent)
        assert found.rank[row] == rank
        assert (found.r_precision[row], found.average_precision[row]) == pytest.approx((precision, average))


@given(st.integers(0, 2**32 - 1))
def test_what_is_not_finite_is_not_found_and_stands_before_what_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, answers = rng.normal(size=(2, 3)), rng.normal(size=(6, 3))
    queries[0, 0] = rng.choice([np.nan, np.inf])
    answers[5, 1] = rng.choice([np.nan, np.inf, -np.inf])
    found = protocols.labelled_retrieval(queries, answers, [[0, 1], [0, 5]], [0, 0])
    assert (found.rank[0] > 10, found.r_precision[0], found.average_precision[0]) == (True, 0.0, 0.0)
    wrong = protocols.labelled_retrieval(queries, answers, [[0, 1], [0]], [0, 0])
    nearer = sum(queries[1] @ answers[index] >= queries[1] @ answers[0] for index in range(1, 5))
    assert wrong.rank[1] == 2 + nearer  # answer 5 may be anywhere: it is counted as nearer
    assert found.r_precision[1] <= 0.5


def test_the_chance_of_a_random_order() -> None:
    rng, right, pool = np.random.default_rng(0), 4, 30
    orders = np.argsort(rng.random((40_000, pool)), axis=1)[:, :right] < right
    precision = np.cumsum(orders, axis=1) / np.arange(1, right + 1)
    r_precision, average = guessing.labelled_chance([right], [pool])
    assert r_precision == pytest.approx(orders.mean(), abs=0.004)
    assert average == pytest.approx((precision * orders).mean(), abs=0.004)


COCO = {
    "images": [{"id": 10 * n, "file_name": f"COCO_val2014_{n:012d}.jpg"} for n in range(4)],
    "annotations": [{"id": 100 + n, "image_id": 10 * (n // 2), "caption": f"caption  {n}\n"} for n in range(8)],
}
TEST = [102, 100, 101, 103, 104]  # two captions of image 10, two of image 0, one of image 20; image 30 is in another split


def files(tmp_path: Path, **changes: Any) -> Benchmark:
    content = {
        "annotations": COCO,
        "eccv_image_to_caption": {"0": [100, 101, 104], "20": ["104", 105]},
        "eccv_caption_to_image": {"102": [10, 0], "103": [10]},
        "cxc_image_to_caption": {"10": [102]},
        "cxc_caption_to_image": {"100": [0]},
    } | changes
    for name, value in content.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    np.save(tmp_path / "coco_test_ids.npy", np.array(changes.get("test", TEST)))
    paths = {"annotations": str(tmp_path / "annotations.json"), "labels": str(tmp_path), "images": str(tmp_path)}
    options = {"answers": changes["answers"]} if "answers" in changes else {}
    return read_benchmark(BenchmarkRef(name="eccv_caption", paths=paths, options=options).card())


def test_the_files_of_eccv_caption_make_the_pool_of_the_test_split(tmp_path: Path) -> None:
    benchmark = files(tmp_path, answers=["eccv", "cxc"])
    eccv, cxc = benchmark.sets
    assert isinstance(eccv, LabelledRetrievalSet)
    assert isinstance(cxc, LabelledRetrievalSet)
    assert [image.id[-5] for image in eccv.images] == ["1", "0", "2"]
    assert eccv.texts == ("caption 2", "caption 0", "caption 1", "caption 3", "caption 4")
    assert eccv.text_image.tolist() == [0, 1, 1, 0, 2]
    assert eccv.right_texts == {1: (1, 2, 4), 2: (4, -1)}
    assert eccv.right_images == {0: (0, 1), 3: (0,)}
    assert cxc.right_texts == {0: (0,)}
    assert benchmark.absent == {"eccv": 2593 - 4, "cxc": 29972 - 2}
    assert "1 right captions are not among the 5 of the pool and count as not found" in benchmark.notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": [102, 999]}, "lacks caption 999, which is in the test split"),
        ({"test": [102, 102]}, "expected a list of distinct ids"),
        ({"test": [0.5]}, "expected a list of distinct ids"),
        ({"eccv_image_to_caption": {"30": [106]}}, "'30' is not in the test split"),
        ({"eccv_image_to_caption": {"0": []}}, r"0: \[\] is no list of ids"),
        ({"annotations": {"images": []}}, "is not of COCO's form"),
        ({"annotations": COCO | {"images": []}}, "is of image 0, which is not among its images"),
    ],
)
def test_wrong_files_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        files(tmp_path, **changes)


def test_a_pickle_is_never_opened_and_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a file of NumPy's"):
        files(tmp_path, test=[{"a": 1}])
    (tmp_path / "coco_test_ids.npy").unlink()
    np.save(tmp_path / "x.npy", np.array(TEST))
    paths = {"annotations": str(tmp_path / "annotations.json"), "labels": str(tmp_path), "images": str(tmp_path)}
    with pytest.raises(MissingInputError, match=r"coco_test_ids\.npy does not exist"):
        read_benchmark(BenchmarkRef(name="eccv_caption", paths=paths).card())


def shade(value: int) -> BenchmarkImage:
    return BenchmarkImage(f"{value}", np.full((32, 32, 3), value, dtype=np.uint8))


def test_queries_are_scored_end_to_end_and_those_that_lose_an_answer_are_missing(encoder: Encoded) -> None:
    gone = BenchmarkImage("gone", Path("/nowhere/gone.png"))
    data = LabelledRetrievalSet(
        "eccv",
        (shade(0), shade(90), gone, shade(250)),
        ("a", "b c", "d e f", "g", "h i"),
        np.array([0, 1, 2, 3, 3]),
        {0: (0, 4), 1: (1, -1), 3: (2, 3)},  # the last loses caption 2, which is of the image that is gone
        {0: (0, 1), 2: (3,), 3: (2, 3), 4: (3,)},
    )
    images, texts = encoder.images(data.images), encoder.texts(list(texts_of(data)))
    items = score_set(data, encoder.encoder.features)
    rows = {(row["kind"], row["item"]): row for row in items.to_pylist()}
    assert {key: row["status"] for key, row in rows.items()} == {
        ("text_retrieval", "gone"): "missing",  # no query, but the pool lacks it
        ("text_retrieval", "0"): "ok",
        ("text_retrieval", "90"): "ok",
        ("text_retrieval", "250"): "missing",
        ("image_retrieval", "0#0"): "ok",
        ("image_retrieval", "gone#2"): "missing",
        ("image_retrieval", "250#3"): "missing",
        ("image_retrieval", "250#4"): "ok",
    }
    pool = texts.features[[0, 1, 3, 4]]
    rank, precision, average = slow(images.features[0], pool, [0, 3], 0)
    row = rows["text_retrieval", "0"]
    assert (row["rank"], row["r_precision"]) == (rank, precision)
    assert row["average_precision"] == pytest.approx(average)
    assert (row["targets"], row["candidates"]) == (2, 4)
    assert rows["text_retrieval", "90"]["targets"] == 2
    found = {each.path: each for each in measures(items)}
    assert set(found) >= {"eccv/text_retrieval_map_at_r", "eccv/image_retrieval_r_precision", "eccv/text_retrieval_recall@1"}
    assert (found["eccv/text_retrieval_map_at_r"].items, found["eccv/text_retrieval_map_at_r"].missing) == (2, 2)
    assert found["eccv/image_retrieval_recall@1"].missing == 2
