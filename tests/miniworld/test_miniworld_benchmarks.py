"""The evaluation sets: deterministic, checked, and apart from each other and from the training data."""

from typing import get_args

import numpy as np
import pytest

from degla.miniworld.benchmarks import (
    CaptionChoice,
    CaptionChoiceKind,
    ClassificationKind,
    Split,
    caption_choice,
    classification,
    retrieval,
)
from degla.miniworld.dataset import training_images
from degla.miniworld.language import NOUN_WORDS, words_of
from degla.miniworld.scenes import SEEN_NOUNS, UNSEEN_NOUNS
from degla.miniworld.truth import parse


def _hashes(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("kind", get_args(CaptionChoiceKind))
def test_caption_choice_is_deterministic_and_well_formed(kind: CaptionChoiceKind):
    data, again = (caption_choice(kind, "validation", 40) for _ in range(2))
    assert data.items == again.items
    assert np.array_equal(data.images, again.images)
    assert data.images.shape == (40, 48, 48, 3)
    for index, candidates in data.items:
        assert 0 <= index < 40
        assert len(candidates) == len(set(candidates)) == (5 if kind == "aro_order" else 2)


@pytest.mark.parametrize("kind", get_args(ClassificationKind))
def test_classification_is_deterministic_and_well_formed(kind: ClassificationKind):
    data, again = (classification(kind, "test", 120) for _ in range(2))
    assert np.array_equal(data.images, again.images)
    assert data.labels.dtype == np.int64
    assert len(data.images) == len(data.labels) == 120
    assert len(data.class_names) == len(data.class_prompts) == len(data.seen_classes) > data.labels.max()
    assert all(data.seen_classes) == (kind == "texture")
    assert np.bincount(data.labels).max() < 120 / 2


def test_a_larger_set_begins_with_the_smaller_one():
    assert caption_choice("swap_obj", "test", 20).items == caption_choice("swap_obj", "test", 50).items[:20]
    assert np.array_equal(classification("colour", "test", 9).images, classification("colour", "test", 30).images[:9])


def test_splits_and_training_data_share_no_image():
    parts = [_hashes(np.stack([image.pixels for image in training_images(200)]))]
    splits: tuple[Split, ...] = ("validation", "test")
    for split in splits:
        parts += [_hashes(caption_choice(kind, split, 25).images) for kind in get_args(CaptionChoiceKind)]
        parts += [_hashes(classification(kind, split, 25).images) for kind in get_args(ClassificationKind)]
        parts.append(_hashes(retrieval(split, 25).images))
    assert len(set.union(*parts)) == sum(map(len, parts)) == 200 + 2 * 25 * (10 + 6 + 1)


def _nouns(data: CaptionChoice) -> set[str]:
    words = {word for _, candidates in data.items for caption in candidates for word in words_of(caption)}
    return {noun for noun, names in NOUN_WORDS.items() if words & set(names)}


def test_unseen_sets_have_no_seen_noun_and_the_others_no_unseen_one():
    kinds: tuple[CaptionChoiceKind, ...] = ("swap_obj", "swap_att", "replace_obj")
    for kind in kinds:
        assert _nouns(caption_choice(kind, "validation", 60)) <= set(SEEN_NOUNS)
        unseen: CaptionChoiceKind = f"unseen_{kind}"  # type: ignore[assignment]
        assert _nouns(caption_choice(unseen, "validation", 60)) <= set(UNSEEN_NOUNS)


def test_wrong_captions_of_two_way_sets_contradict_the_true_one():
    # The sets hold no scenes; but two captions of one meaning could not be told apart by any model.
    kinds: tuple[CaptionChoiceKind, ...] = ("swap_obj", "swap_att", "replace_rel", "aro_relation")
    for kind in kinds:
        for _, (right, wrong) in caption_choice(kind, "validation", 60).items:
            assert parse(right) is not None
            assert parse(wrong) is not None
            assert parse(right) != parse(wrong)


def test_retrieval_pairs_each_text_with_an_image():
    data = retrieval("validation", 30)
    assert data.images.shape == (30, 48, 48, 3)
    assert len(data.texts) == len(data.text_image) == 30
    assert data.text_image.tolist() == list(range(30))
