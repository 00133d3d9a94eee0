"""The scoring rules against hand-computed cases, slow versions written from the definitions, and their tie rules."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from degla.evaluate import protocols
from degla.outcomes import guessing


def random_features(rows: int, seed: int, width: int = 16) -> np.ndarray:
    return protocols.normalised(np.random.default_rng(seed).normal(size=(rows, width)))


def test_features_are_scaled_to_norm_one_and_zeros_stay_zeros() -> None:
    rows = protocols.normalised(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_margin_is_true_cosine_minus_the_nearest_false_one() -> None:
    image = np.array([1.0, 0.0])
    candidates = np.array([[0.6, 0.8], [0.0, 1.0], [0.8, 0.6]])
    assert protocols.choice_margin(image, candidates) == pytest.approx(0.6 - 0.8)


@pytest.mark.parametrize(("margin", "pairs", "order"), [(0.1, True, True), (0.0, False, True), (-0.1, False, False)])
def test_a_tie_is_wrong_for_pairs_and_right_for_order(margin: float, pairs: bool, order: bool) -> None:
    assert protocols.choice_is_right(margin, ties_are_right=False) is pairs
    assert protocols.choice_is_right(margin, ties_are_right=True) is order


def test_order_rule_equals_argmax_with_the_true_caption_first() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        image, candidates = np.array([1.0]), rng.integers(0, 3, size=(5, 1)).astype(float)
        right = protocols.choice_is_right(protocols.choice_margin(image, candidates), ties_are_right=True)
        assert right == (np.argmax(candidates @ image) == 0)


def test_equal_texts_tie_exactly() -> None:
    image, text = random_features(1, 1, 512)[0], random_features(1, 2, 512)[0]
    assert protocols.choice_margin(image, np.stack([text, text])) == 0.0


def test_class_embedding_is_the_mean_of_unit_vectors_made_unit_again() -> None:
    prompts = protocols.normalised(np.array([[10.0, 0.0], [0.0, 1.0]]))
    assert protocols.class_embedding(prompts) == pytest.approx([0.5**0.5, 0.5**0.5])  # the longer prompt has no greater say


def test_classification_agrees_with_a_slow_version() -> None:
    images, classes = random_features(60, 3), random_features(7, 4)
    labels = np.random.default_rng(5).integers(0, 7, 60)
    predicted, margins = protocols.classify(images, classes, labels)
    for index, label in enumerate(labels):
        cosines = [float(np.dot(images[index], row)) for row in classes]
        assert predicted[index] == max(range(7), key=lambda c: cosines[c])
        assert margins[index] == pytest.approx(cosines[label] - max(c for k, c in enumerate(cosines) if k != label))
        assert (margins[index] > 0) == (predicted[index] == label)


def test_constant_features_make_classification_choose_the_first_class() -> None:
    ones = np.ones((6, 4)) / 2
    predicted, margins = protocols.classify(ones, ones[:3], np.array([0, 1, 2, 0, 1, 2]))
    assert predicted.tolist() == [0] * 6
    assert margins.tolist() == [0.0] * 6


def slow_ranks(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> tuple[list[int], list[int]]:
    text_ranks, image_ranks = [], []
    for index, image in enumerate(images):
        scores = sorted(((float(image @ text), owner[t] != index) for t, text in enumerate(texts)), reverse=True)
        text_ranks.append(1 + next(place for place, (_, wrong) in enumerate(scores) if not wrong))
    for text, own in zip(texts, owner, strict=True):
        scores = sorted(((float(image @ text), index != own) for index, image in enumerate(images)), reverse=True)
        image_ranks.append(1 + next(place for place, (_, wrong) in enumerate(scores) if not wrong))
    return text_ranks, image_ranks


@pytest.mark.parametrize("block", [3, 512])
def test_retrieval_ranks_agree_with_sorting(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "_BLOCK", block)
    images, texts = random_features(10, 6), random_features(35, 7)
    owner = np.concatenate([np.arange(10), np.random.default_rng(8).integers(0, 10, 25)])
    text_ranks, image_ranks = slow_ranks(images, texts, owner)
    assert protocols.text_retrieval_ranks(images, texts, owner).tolist() == text_ranks
    assert protocols.image_retrieval_ranks(images, texts, owner).tolist() == image_ranks


def test_retrieval_by_hand() -> None:
    images = np.eye(3)
    texts = np.array([[1.0, 0, 0], [0, 0, 1], [0, 0.6, 0.8], [0.6, 0, 0.8]])
    owner = np.array([0, 1, 1, 2])
    # image 1 is nearest to its second caption (.6); image 2 to the captions 1 (1.0), 2 and 3 (.8 each): its own, 3, ties with 2
    assert protocols.text_retrieval_ranks(images, texts, owner).tolist() == [1, 1, 3]
    # caption 1 (0 0 1) has its own image at 0, tied with image 0, behind image 2
    assert protocols.image_retrieval_ranks(images, texts, owner).tolist() == [1, 3, 2, 1]


def test_constant_features_put_the_true_answer_last_in_retrieval() -> None:
    images, texts, owner = np.ones((3, 1)), np.ones((6, 1)), np.array([0, 0, 1, 1, 2, 2])
    assert protocols.text_retrieval_ranks(images, texts, owner).tolist() == [5, 5, 5]
    assert protocols.image_retrieval_ranks(images, texts, owner).tolist() == [3] * 6


def test_random_features_score_near_chance() -> None:
    images, texts, owner = random_features(500, 9), random_features(1000, 10), np.arange(1000) % 500
    ranks = protocols.text_retrieval_ranks(images, texts, owner)
    assert (ranks <= 10).mean() == pytest.approx(guessing.chance([2] * 500, [1000] * 500, 10), abs=0.02)
    predicted, _ = protocols.classify(images, random_features(5, 11), owner[:500] % 5)
    assert (predicted == np.arange(500) % 5).mean() == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize(("targets", "candidates", "within"), [(1, 2, 1), (1, 5, 1), (2, 5, 1), (2, 5, 3), (1, 4, 4), (3, 3, 1)])
def test_chance_agrees_with_counting_all_orders(targets: int, candidates: int, within: int) -> None:
    orders = list(permutations(range(candidates)))
    hits = sum(any(place < targets for place in order[:within]) for order in orders)
    assert guessing.chance([targets], [candidates], within) == pytest.approx(hits / len(orders))


def test_chance_of_a_hopeless_item_is_zero_and_of_no_choice_is_one() -> None:
    assert guessing.chance([0], [1]) == 0.0
    assert guessing.chance([1], [1]) == 1.0
    assert guessing.chance([1, 0], [2, 2]) == 0.25
    assert guessing.chance([1], [3], within=10) == 1.0


def test_a_paraphrase_pair_must_both_be_nearer_than_the_negative() -> None:
    image = np.array([1.0, 0.0])
    triple = np.array([[0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    assert protocols.image_to_text_margin(image, triple) == pytest.approx(0.6)
    assert protocols.image_to_text_margin(image, triple[[0, 2, 1]]) == pytest.approx(-0.6)  # one of the two is farther
    # texts alone: cos(P1, P2) = .96, cos(P1, N) = .6, cos(P2, N) = .8
    assert protocols.text_to_text_margin(triple) == pytest.approx(0.96 - 0.8)
    assert protocols.text_to_text_margin(np.stack([triple[0], triple[0], triple[0]])) == 0.0  # a tie, which is wrong


def test_paraphrase_margins_agree_with_the_definition_read_aloud() -> None:
    for seed in range(100):
        image, triple = random_features(1, seed, 3)[0], random_features(3, 1000 + seed, 3)
        p1, p2, n = triple
        itt = float(image @ p1) > float(image @ n) and float(image @ p2) > float(image @ n)
        tot = float(p1 @ p2) > float(p1 @ n) and float(p1 @ p2) > float(p2 @ n)
        assert (protocols.image_to_text_margin(image, triple) > 0) == itt
        assert (protocols.text_to_text_margin(triple) > 0) == tot


def test_winograds_scores_agree_with_the_definition_read_aloud() -> None:
    shares = {"text": 0, "image": 0, "group": 0}
    for seed in range(300):
        images, texts = random_features(2, seed, 8), random_features(2, 500 + seed, 8)
        s = {(c, i): float(texts[c] @ images[i]) for c in (0, 1) for i in (0, 1)}
        text = s[0, 0] > s[1, 0] and s[1, 1] > s[0, 1]
        image = s[0, 0] > s[0, 1] and s[1, 1] > s[1, 0]
        margins = protocols.match_margins(images, texts)
        assert {name: margin > 0 for name, margin in margins.items()} == {"text": text, "image": image, "group": text and image}
        for name in shares:
            shares[name] += margins[name] > 0
    assert shares["text"] / 300 == pytest.approx(0.25, abs=0.08)
    assert shares["group"] / 300 == pytest.approx(1 / 6, abs=0.07)


def test_winograds_scores_of_constant_features_are_ties_and_wrong() -> None:
    assert protocols.match_margins(np.ones((2, 1)), np.ones((2, 1))) == {"text": 0.0, "image": 0.0, "group": 0.0}
