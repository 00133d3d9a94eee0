"""Scores of features that know nothing: constant ones give each tie rule's value, random ones chance, for every kind of set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from degla.evaluate.benchmark import (
    BenchmarkImage,
    BenchmarkSet,
    ChoiceItem,
    ChoiceSet,
    ClassificationSet,
    LinearProbeSet,
    MatchItem,
    MatchSet,
    ParaphraseItem,
    ParaphraseSet,
    RetrievalSet,
)
from degla.evaluate.features.contents import image_keys, text_keys
from degla.evaluate.features.store import StoredFeatures
from degla.evaluate.items import score_set, texts_of
from degla.outcomes.measures import Measure, measures

COUNT = 400
WIDTH = 64

IMAGES = tuple(BenchmarkImage(str(n), np.full((1, 1, 3), (n % 256, n // 256, 7), dtype=np.uint8)) for n in range(COUNT))


def choice(ties_are_right: bool) -> ChoiceSet:
    items = (ChoiceItem(str(n), n, (f"true {n}", f"false {n}"), group=f"g{n % 4}") for n in range(COUNT))
    return ChoiceSet("s", IMAGES, tuple(items), ties_are_right, both_tie_rules=True)


SETS: dict[str, BenchmarkSet] = {
    "strict": choice(ties_are_right=False),
    "lenient": choice(ties_are_right=True),
    "paraphrase": ParaphraseSet(
        "s", IMAGES, tuple(ParaphraseItem(str(n), n, (f"a {n}", f"b {n}"), f"c {n}") for n in range(COUNT))
    ),
    "match": MatchSet("s", IMAGES, tuple(MatchItem(str(n), (2 * n, 2 * n + 1), (f"a {n}", f"b {n}")) for n in range(COUNT // 2))),
    "classes": ClassificationSet(
        "s", IMAGES, np.arange(COUNT) % 4, tuple("abcd"), tuple((f"one {name}", f"two {name}") for name in "abcd")
    ),
    "retrieval": RetrievalSet("s", IMAGES, tuple(f"text {n}" for n in range(2 * COUNT)), np.arange(2 * COUNT) % COUNT),
    "probe": LinearProbeSet("s", IMAGES, np.arange(COUNT) % 4, tuple("abcd"), np.arange(COUNT) < COUNT // 2),
}

CONSTANT = {
    "strict": {"accuracy": 0, "accuracy_ties_right": 1, "macro_accuracy": 0},
    "lenient": {"accuracy": 1, "accuracy_ties_wrong": 0, "macro_accuracy": 1},
    "paraphrase": {"itt_accuracy": 0, "tot_accuracy": 0},
    "match": {"text_accuracy": 0, "image_accuracy": 0, "group_accuracy": 0},
    "classes": {"accuracy": 0.25, "mean_per_class": 0.25},  # all are the first class
    "retrieval": {f"{way}_retrieval_recall@{k}": 0 for way in ("text", "image") for k in (1, 5, 10)},
    "probe": {"linear_probe_accuracy": 0.25, "linear_probe_mean_per_class": 0.25},
}


def stored(folder: Path, benchmark_set: BenchmarkSet, rng: np.random.Generator | None) -> StoredFeatures:
    """Features of the images and texts that a set has: random ones, or all alike if there is no generator."""
    features = StoredFeatures(folder)
    texts = list(dict.fromkeys(texts_of(benchmark_set)))
    images = [key for key in image_keys(benchmark_set.images) if isinstance(key, bytes)]
    for store, keys in ((features.image_store, images), (features.text_store, text_keys(texts))):
        if keys:
            shape = (len(keys), WIDTH)
            store.add(keys, np.ones(shape) if rng is None else rng.normal(size=shape), [False] * len(keys), keys)
    return features


def scored(folder: Path, name: str, rng: np.random.Generator | None) -> dict[str, Measure]:
    if name == "probe":
        pytest.importorskip("sklearn")
    table = score_set(SETS[name], stored(folder, SETS[name], rng))
    assert isinstance(table, pa.Table)
    return {measure.path.removeprefix("s/"): measure for measure in measures(table)}


@pytest.mark.parametrize("name", SETS)
def test_constant_features_give_the_value_of_the_tie_rule(name: str, tmp_path: Path) -> None:
    assert {path: measure.value for path, measure in scored(tmp_path, name, None).items()} == pytest.approx(CONSTANT[name])


@pytest.mark.parametrize("name", SETS)
def test_random_features_give_chance(name: str, tmp_path: Path) -> None:
    for path, measure in scored(tmp_path, name, np.random.default_rng(5)).items():
        error = 4 * np.sqrt(measure.chance * (1 - measure.chance) / measure.items) + 1 / measure.items
        assert measure.value == pytest.approx(measure.chance, abs=error), path


def test_classes_of_one_name_are_two_in_the_mean_per_class(tmp_path: Path) -> None:
    """As ImageNet's two called missile, here of unequal size."""
    labels = np.repeat([0, 1, 2], [COUNT // 2, COUNT // 4, COUNT // 4])
    prompts = (("a missile",), ("missiles",), ("a dog",))
    data = ClassificationSet("s", IMAGES, labels, ("missile", "missile", "dog"), prompts)
    table = score_set(data, stored(tmp_path, data, np.random.default_rng(5)))
    right = table["correct"].to_numpy(zero_copy_only=False)
    expected = np.mean([right[labels == label].mean() for label in range(3)])
    found = {measure.path: measure.value for measure in measures(table)}
    assert found["s/mean_per_class"] == pytest.approx(expected)
    assert set(table["label"].to_pylist()) == {"missile (0)", "missile (1)", "dog"}


def test_features_of_a_text_that_was_cut_are_remembered_as_such(tmp_path: Path) -> None:
    features = StoredFeatures(tmp_path)
    keys = text_keys(["long", "short"])
    features.text_store.add(keys, np.eye(2), [True, False], keys)
    again = StoredFeatures(tmp_path)
    assert again.texts(["short", "long"]).truncated.tolist() == [False, True]
    assert again.texts(["short", "long"]).features.tolist() == [[0, 1], [1, 0]]
