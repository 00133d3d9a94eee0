"""Which negatives a caption trains with."""

from collections import Counter

import numpy as np

from degla.train.batches.negatives import choose, other_negatives


def test_surplus_negatives_are_drawn_anew_each_epoch():
    surplus, types = np.arange(20, 26), np.array([0, 1, 2, 3, 4, 4], np.int8)
    drawn = [tuple(choose(surplus, types, 4, seed=3, epoch=epoch, caption_id=5).tolist()) for epoch in range(20)]
    assert all(len(set(each)) == 4 and set(each) <= set(surplus.tolist()) for each in drawn)
    assert len(set(drawn)) > 10
    assert drawn == [tuple(choose(surplus, types, 4, 3, epoch, 5).tolist()) for epoch in range(20)]
    assert choose(surplus[:3], types[:3], 4, 3, 0, 5).tolist() == [20, 21, 22]


def test_no_type_is_drawn_again_before_the_others_had_their_turn():
    types = np.array([0] * 10 + [1] * 3 + [2] + [4] * 6, np.int8)
    numbers = np.random.default_rng(1).permutation(1_000)[: len(types)]
    type_of = dict(zip(numbers.tolist(), types.tolist(), strict=True))
    for limit, most in ((3, {1}), (4, {1}), (7, {2}), (10, {3})):
        for epoch in range(30):
            drawn = Counter(type_of[number] for number in choose(numbers, types, limit, 0, epoch, 9).tolist())
            assert sum(drawn.values()) == limit
            assert max(drawn.values()) in most
            least = min(drawn.get(kind, 0) for kind, count in Counter(types.tolist()).items() if count > max(most))
            assert max(drawn.values()) - least <= 1


def test_types_and_the_negatives_of_a_type_are_equally_likely():
    types = np.array([0, 0, 0, 0, 0, 1, 2, 3, 3, 4], np.int8)
    draws = 4_000
    seen = np.zeros(len(types))
    for epoch in range(draws):
        seen[choose(np.arange(len(types)), types, 4, 1, epoch, 2)] += 1
    by_type = np.bincount(types, seen) / draws
    np.testing.assert_allclose(by_type, 4 / 5, atol=4 * np.sqrt(0.16 / draws))
    np.testing.assert_allclose(seen[:5] / draws, 4 / 25, atol=4 * np.sqrt(0.16 * 0.84 / draws))


def test_the_control_has_no_fixed_point_where_all_captions_are_of_one_image():
    others = other_negatives(np.zeros(5, int), seed=0)
    assert (others != np.arange(5)).all()
    assert sorted(others.tolist()) == list(range(5))
