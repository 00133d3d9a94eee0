"""Intervals against published figures and against the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from degla.evaluate.intervals import Estimate, mean_of, paired_difference, wilson


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17: 857-872, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_limits(right: int, total: int, low: float, high: float) -> None:
    estimate = wilson(right, total)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
    assert estimate.value == right / total


def outcomes(total: int, both: float, gained: float, lost: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    cells = np.random.default_rng(seed).choice(4, size=total, p=[both, gained, lost, 1 - both - gained - lost])
    return (cells == 0) | (cells == 2), (cells == 0) | (cells == 1)


def bootstrap(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    means = np.zeros(4000)
    for before, after in parts:
        change = after.astype(float) - before
        means += change[rng.integers(0, len(change), (4000, len(change)))].mean(axis=1) / len(parts)
    return tuple(np.quantile(means, [0.025, 0.975]))


def test_paired_interval_agrees_with_the_paired_bootstrap() -> None:
    before, after = outcomes(500, 0.5, 0.3, 0.05)
    estimate = paired_difference(before, after)
    low, high = bootstrap([(before, after)])
    assert estimate.value == pytest.approx(after.mean() - before.mean())
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_paired_interval_uses_the_pairing() -> None:
    before = np.arange(400) % 2 == 0
    after = before.copy()
    after[1:41:2] = True  # 20 items gained, none lost: certain when paired, lost in the noise when not
    paired = paired_difference(before, after)
    assert paired.low > 0.02
    assert wilson(after.sum(), 400).low < wilson(before.sum(), 400).high


def test_no_change_still_has_a_width() -> None:
    before = np.ones(50, dtype=bool)
    estimate = paired_difference(before, before)
    assert estimate.value == 0
    assert -0.06 < estimate.low < 0 < estimate.high < 0.06
    assert estimate.low == -estimate.high


def test_swapping_the_models_mirrors_the_interval() -> None:
    before, after = outcomes(120, 0.4, 0.2, 0.1, seed=3)
    forth, back = paired_difference(before, after), paired_difference(after, before)
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_mean_of_means_agrees_with_the_bootstrap() -> None:
    parts = [outcomes(250, 0.5, 0.3, 0.05, 4), outcomes(600, 0.7, 0.1, 0.08, 5), outcomes(400, 0.3, 0.2, 0.2, 6)]
    estimate = mean_of([paired_difference(*part) for part in parts])
    low, high = bootstrap(parts)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_the_mean_of_one_is_that_one_and_of_four_has_half_its_width() -> None:
    one = wilson(30, 40)
    assert mean_of([one]) == Estimate(one.value, pytest.approx(one.low), pytest.approx(one.high))
    four = mean_of([one] * 4)
    assert four.high - four.low == pytest.approx((one.high - one.low) / 2)


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(2).binomial(200, 0.9, size=2000)
    covered = [wilson(int(right), 200).low <= 0.9 <= wilson(int(right), 200).high for right in draws]
    assert 0.93 < np.mean(covered) < 0.97
