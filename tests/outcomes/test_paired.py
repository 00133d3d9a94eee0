"""The tests of two models on the same items, against enumeration, other implementations and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from degla.outcomes.intervals import difference
from degla.outcomes.paired import holm, mid_p, paired, stars, turned_images

REPEATS = 400


def changed(fixed: int, broken: int, same: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two models of which so many are fixed and broken by the second."""
    before = np.array([False] * fixed + [True] * broken + [True] * same)
    after = np.array([True] * fixed + [False] * broken + [True] * same)
    return before, after


@pytest.mark.parametrize(("fixed", "broken"), [(3, 0), (10, 2), (1, 9), (59, 4), (240, 200)])
def test_mcnemars_mid_p_is_the_exact_one_less_half_the_chance_of_the_split(fixed: int, broken: int) -> None:
    exact = binomtest(fixed, fixed + broken, 0.5)
    as_uneven = binomtest(min(fixed, broken), fixed + broken, 0.5, alternative="less").pvalue
    less = binomtest(min(fixed, broken) - 1, fixed + broken, 0.5, alternative="less").pvalue if min(fixed, broken) else 0.0
    assert mid_p(fixed, broken) == pytest.approx(exact.pvalue - (as_uneven - less))


def test_with_one_item_an_image_the_test_is_mcnemars() -> None:
    for fixed, broken in ((7, 1), (30, 21), (5, 5), (0, 0)):
        before, after = changed(fixed, broken)
        found = paired([before], [after])
        assert (found.fixed, found.broken) == (fixed, broken)
        assert found.probability == pytest.approx(found.mcnemar)


@pytest.mark.parametrize("whole", [True, False])
def test_turned_images_are_all_patterns_of_signs(whole: bool) -> None:
    rng = np.random.default_rng(4)
    for _ in range(5):
        sums = rng.integers(-3, 4, 10).astype(float) if whole else rng.normal(0.3, 1, 10)
        totals = np.abs([np.dot(sums, signs) for signs in itertools.product((-1, 1), repeat=10)])
        alike = np.abs(totals - abs(sums.sum())) < 1e-9
        slow = np.mean((totals > abs(sums.sum())) & ~alike) + np.mean(alike) / 2
        assert turned_images(sums) == pytest.approx(1.0 if sums.sum() == 0 else slow, abs=0.003)


def test_many_images_of_uneven_sums_follow_the_normal_distribution() -> None:
    rng = np.random.default_rng(1)
    sums = np.concatenate([rng.normal(2e-5, 4e-4, 3000), rng.normal(0, 1e-2, 40)])
    assert turned_images(sums) == pytest.approx(2 * norm.sf(abs(sums.sum()) / np.sqrt((sums**2).sum())), abs=0.01)


def test_small_sums_beside_large_ones_keep_their_total() -> None:
    """A class of one item weighs 5,000 times as much as an item of a large one, all of which changed for the better."""
    assert turned_images(np.concatenate([np.full(40_000, 1e-4), [0.5, -0.5]])) < 0.001


def test_a_mean_of_subsets_is_tested_with_its_weights() -> None:
    """Equal counts of fixed and broken items, but the broken ones are of the small subset."""
    large, small = changed(30, 0, 970), changed(0, 30, 0)
    found = paired([large[0], small[0]], [large[1], small[1]])
    assert (found.fixed, found.broken, found.mcnemar) == (30, 30, None)
    assert found.probability < 0.001
    pooled = paired([np.concatenate([large[0], small[0]])], [np.concatenate([large[1], small[1]])])
    assert pooled.probability == 1.0


def test_shares_are_tested_too_but_are_not_fixed_or_broken() -> None:
    found = paired([np.array([0.5, 0.2, 0.0, 0.1])], [np.array([1.0, 0.7, 0.9, 0.8])])
    assert (found.fixed, found.broken, found.mcnemar) == (None, None, None)
    assert found.probability == pytest.approx(1 / 16)  # all four changed for the better: 2/16, of which half


def test_swapping_the_models_changes_no_probability() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.random(300) < 0.5, rng.random(300) < 0.6
    images = [rng.integers(0, 60, 300)]
    assert paired([before], [after], (), images).probability == paired([after], [before], (), images).probability


def simulate(alike: bool) -> tuple[float, float, float]:
    """Share of draws in which the test that knows images, and McNemar's, find a difference at 0.05, and in which the interval
    covers the truth: two subsets over 60 images, whose items change together."""
    rng = np.random.default_rng(3)
    known, unaware, covered = [], [], []
    truth = 0.0 if alike else float(np.mean(np.clip(0.5 + rng.normal(0.12, 0.25, 1_000_000), 0, 1))) - 0.5
    for _ in range(REPEATS):
        lean = rng.normal(0.0 if alike else 0.12, 0.25, 60)
        images = [np.sort(rng.integers(0, 60, size)) for size in (300, 120)]
        before = [rng.random(len(own)) < 0.5 for own in images]
        after = [rng.random(len(own)) < np.clip(0.5 + lean[own], 0, 1) for own in images]
        found = paired(before, after, images=images)
        known.append(found.probability < 0.05)
        unaware.append(paired(before[:1], after[:1], images=images[:1]).mcnemar < 0.05)
        interval = difference(before, after, images=images)
        covered.append(interval.low <= truth <= interval.high)
    return float(np.mean(known)), float(np.mean(unaware)), float(np.mean(covered))


def test_a_difference_where_there_is_none_is_as_rare_as_said_only_if_images_are_known() -> None:
    known, unaware, covered = simulate(alike=True)
    assert 0.03 <= known <= 0.07
    assert unaware > 0.1
    assert 0.93 <= covered <= 0.97


def test_a_difference_is_found_and_its_interval_covers_it() -> None:
    known, _, covered = simulate(alike=False)
    assert known > 0.5
    assert 0.93 <= covered <= 0.97


def test_holms_correction_is_step_by_step() -> None:
    """4 p, 3 p, 2 p and p from the least on, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_stars_are_of_levels_and_below() -> None:
    assert [stars(p) for p in (0.0009, 0.001, 0.01, 0.049, 0.05)] == ["***", "**", "*", "*", ""]
