"""The fine-tuning data: the same images however the work is cut."""

from itertools import pairwise

import numpy as np
import pytest
from world_negatives import reference_negatives

from degla.miniworld.dataset import WorldImage, training_images
from degla.miniworld.truth import judge


def _same(one: WorldImage, other: WorldImage) -> bool:
    return ((one.image_id, one.captions, one.scene) == (other.image_id, other.captions, other.scene)) and np.array_equal(
        one.pixels, other.pixels
    )


@pytest.mark.parametrize("cuts", [(0, 40), (0, 1, 40), (0, 13, 14, 29, 40), (0, 20, 20, 40)])
def test_any_cut_gives_the_same_images(cuts: tuple[int, ...]):
    whole = list(training_images(40, seed=5))
    parts = [image for start, stop in pairwise(cuts) for image in training_images(40, seed=5, start=start, stop=stop)]
    assert len(parts) == 40
    assert all(map(_same, whole, parts))


def test_a_longer_data_set_begins_with_the_shorter_one():
    assert all(map(_same, training_images(5), training_images(500, stop=5)))
    assert [image.image_id for image in training_images(3, start=1, stop=99)] == [
        "miniworld-000001",
        "miniworld-000002",
    ]


def test_another_seed_gives_other_scenes():
    assert not any(map(_same, training_images(20, seed=0), training_images(20, seed=1)))


def test_captions_of_an_image_are_different_and_true():
    for image in training_images(300):
        assert len(set(image.captions)) == 3
        assert all(judge(caption, image.scene) == "true" for caption in image.captions)


def test_reference_negatives_match_the_images_and_are_never_true():
    images = training_images(60, seed=3, start=20)
    for image, negatives in zip(images, reference_negatives(60, seed=3, start=20), strict=True):
        assert [len(set(texts) | {caption}) for texts, caption in zip(negatives, image.captions, strict=True)] == [5] * 3
        assert all(judge(text, image.scene) != "true" for texts in negatives for text in texts)
