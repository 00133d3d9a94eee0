"""Which pairs become items, which images do not, and how many items an interval needs."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from caption_tables import captions_table, prepare_artifact
from PIL import Image

from degla.artifacts import Building
from degla.benchmark.draw import Candidate, draw
from degla.benchmark.excluded import excluded_images
from degla.benchmark.precision import items_for_accuracy, items_for_difference
from degla.errors import DataError, MissingInputError
from degla.filter import FilterConfig
from degla.negative_types import NEGATIVE_TYPES
from degla.outcomes.intervals import accuracy, difference
from degla.schemas import TRAINING, write_table
from degla.train import TrainConfig


def candidates(counts):
    """As many pairs of each type, on images in turn."""
    return [
        Candidate(f"image-{k % 20}", f"caption {k % 40}", f"{name} {k}", name, "rules")
        for name, count in zip(NEGATIVE_TYPES, counts, strict=True)
        for k in range(count)
    ]


def test_types_are_equal_as_far_as_they_go_and_images_are_spread():
    drawn = draw(candidates([200, 200, 7, 200, 200]), 87, seed=0)
    assert Counter(each.type for each in drawn) == dict(zip(NEGATIVE_TYPES, [20, 20, 7, 20, 20], strict=True))
    per_image = Counter(each.image for each in drawn)
    assert max(per_image.values()) - min(per_image.values()) <= 2
    assert len({(each.image, each.caption, each.type) for each in drawn}) == 87


def test_the_order_of_the_pairs_changes_nothing_and_the_seed_does():
    pool = candidates([50] * 5)
    mixed = random.Random(1).sample(pool, len(pool))
    assert draw(pool, 40, 0) == draw(mixed, 40, 0) != draw(pool, 40, 1)
    assert len(draw(pool, 1000, 0)) == 5 * 40  # one of a type for each caption


@pytest.mark.parametrize(("points", "share"), [(0.02, 0.5), (0.05, 0.8), (0.1, 0.5)])
def test_an_accuracy_of_so_many_items_has_the_wanted_interval_and_of_fewer_not(points, share):
    needed = items_for_accuracy(points, share)
    halves = []
    for items in (needed, needed - max(5, needed // 20)):
        right = np.arange(items) < round(share * items)
        interval = accuracy([right])
        halves.append((interval.high - interval.low) / 2)
    assert halves[0] <= points * 1.01
    assert halves[1] > points
    assert items_for_accuracy(0.02) == pytest.approx(1.96**2 * 0.25 / 0.02**2, rel=0.01)  # the usual formula


@pytest.mark.parametrize(("points", "disagreement"), [(0.02, 0.1), (0.05, 0.3)])
def test_so_does_a_difference_of_two_models(points, disagreement):
    needed = items_for_difference(points, disagreement)
    halves = []
    for items in (needed, needed - needed // 20):
        either = np.arange(items) < round(items * disagreement / 2)
        interval = difference([either], [either[::-1]])
        halves.append((interval.high - interval.low) / 2)
    assert halves[0] <= points * 1.01
    assert halves[1] > points
    assert items_for_difference(0.02, disagreement) == pytest.approx(1.96**2 * disagreement / 0.02**2, rel=0.03)  # Connor


def test_images_are_excluded_by_artifacts_captions_folders_and_lists(tmp_path):
    prepared = prepare_artifact(tmp_path / "root" / "prepare" / "a", captions_table(["A dog", "A cat"], ["1.jpg", "2.jpg"]))
    folder = tmp_path / "root" / "filter" / ("f" * 16)
    folder.mkdir(parents=True)
    rows = [{"caption_id": 0, "image_id": "COCO_train2014_000000000007.jpg", "caption": "A cow", "negatives": []}]
    write_table(folder / "training.parquet", TRAINING.empty_table().from_pylist(rows, TRAINING), TRAINING)
    filtered = Building(folder, FilterConfig(), {}, {}, "f" * 16).finish({}, ["training.parquet"])
    train = tmp_path / "root" / "train" / "t"
    train.mkdir(parents=True)
    trained = Building(train, TrainConfig(), {"filter": "f" * 16}, {}, "0" * 16).finish({}, [])
    (tmp_path / "list.txt").write_text("photos/9.jpg\n\n  Über.JPG \n")
    (tmp_path / "captions.csv").write_text("image,caption\n11.jpg,A dog\n")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "images" / "img_12.png")
    places = [prepared.path, filtered.path, tmp_path / "list.txt", tmp_path / "captions.csv", tmp_path / "images"]
    assert excluded_images(places) == {"1", "2", "7", "9", "über", "11", "img_12"}
    assert excluded_images([trained.path]) == {"7"}
    assert excluded_images([]) == set()


def test_what_names_no_image_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no image"):
        excluded_images([tmp_path / "empty.txt"])
    with pytest.raises(MissingInputError, match="does not exist"):
        excluded_images([tmp_path / "gone"])
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\xfa\x00\xff")
    with pytest.raises(DataError):
        excluded_images([tmp_path / "x.bin"])
