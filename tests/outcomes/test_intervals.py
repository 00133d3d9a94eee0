"""Intervals against published figures, the bootstrap, and the coverage that they promise: shared images, classes of few items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from degla.outcomes.intervals import Estimate, accuracy, difference, wilson

REPEATS = 600  # the standard error of a coverage of 95 % is then 0.9 points


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17: 857-872, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_an_accuracy_of_independent_items_has_the_published_limits(right: int, total: int, low: float, high: float) -> None:
    for images in ((), (np.arange(total),)):
        estimate = accuracy([np.arange(total) < right], images=images)
        assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
        assert estimate.value == pytest.approx(right / total)


def test_a_difference_of_independent_items_has_agresti_and_mins_limits() -> None:
    """Their formula written out: b = 18 gained, c = 7 lost of n = 90."""
    before, after = np.arange(90) < 7, (np.arange(90) >= 7) & (np.arange(90) < 25)
    centre, spread = 11 / 92, np.sqrt(25 + 1 - 11**2 / 92) / 92
    estimate = difference([before], [after])
    assert estimate.value == pytest.approx(11 / 90)
    assert (estimate.low, estimate.high) == pytest.approx((centre - 1.959964 * spread, centre + 1.959964 * spread))


def outcomes(total: int, both: float, gained: float, lost: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    cells = np.random.default_rng(seed).choice(4, size=total, p=[both, gained, lost, 1 - both - gained - lost])
    return (cells == 0) | (cells == 2), (cells == 0) | (cells == 1)


def bootstrap(parts: list[np.ndarray], images: list[np.ndarray]) -> tuple[float, float]:
    """Percentiles of the mean of the parts' means over draws of images, with all items of each."""
    numbers = np.concatenate(images)
    drawn = np.random.default_rng(1).multinomial(numbers.max() + 1, np.ones(numbers.max() + 1) / (numbers.max() + 1), 3000)
    means = np.zeros(3000)
    for part, own in zip(parts, images, strict=True):
        sums = np.bincount(own, part.astype(float), minlength=drawn.shape[1])
        means += drawn @ sums / (drawn @ np.bincount(own, minlength=drawn.shape[1])) / len(parts)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def test_intervals_of_means_agree_with_the_bootstrap() -> None:
    pairs = [outcomes(250, 0.5, 0.3, 0.05, 4), outcomes(600, 0.7, 0.1, 0.08, 5), outcomes(400, 0.3, 0.2, 0.2, 6)]
    images = [np.arange(250), 250 + np.arange(600), 850 + np.arange(400)]
    for parts, found in (
        ([after for _, after in pairs], accuracy([after for _, after in pairs])),
        ([new * 1.0 - old for old, new in pairs], difference(*zip(*pairs, strict=True))),
    ):
        assert (found.low, found.high) == pytest.approx(bootstrap(parts, images), abs=0.006)


def test_intervals_of_shared_images_agree_with_the_cluster_bootstrap_also_across_parts() -> None:
    rng = np.random.default_rng(7)
    chance = rng.beta(2, 1, 300)
    images = [rng.integers(0, 300, count) for count in (400, 900, 250)]
    before, after = ([rng.random(len(own)) < power * chance[own] for own in images] for power in (0.8, 1.0))
    changes = [new * 1.0 - old for old, new in zip(before, after, strict=True)]
    for parts, found in ((after, accuracy(after, images=images)), (changes, difference(before, after, images=images))):
        assert (found.low, found.high) == pytest.approx(bootstrap(parts, images), abs=0.008)
    apart = accuracy(after)
    whole = accuracy(after, images=images)
    assert whole.high - whole.low > 1.3 * (apart.high - apart.low)


def test_the_pairing_counts() -> None:
    before = np.arange(400) % 2 == 0
    after = before.copy()
    after[1:41:2] = True  # 20 items gained, none lost: certain when paired, lost in the noise when not
    assert difference([before], [after]).low > 0.02
    assert accuracy([after]).low < accuracy([before]).high


def test_no_change_still_has_a_width_and_a_larger_one_if_images_are_shared() -> None:
    same = np.ones(50, dtype=bool)
    alone, shared = difference([same], [same]), difference([same], [same], images=[np.arange(50) // 5])
    assert alone.value == 0
    assert -0.06 < alone.low < 0 < alone.high < 0.06
    assert alone.low == -alone.high
    assert shared.low < 2 * alone.low


def test_all_right_counts_images_and_not_items() -> None:
    everything = accuracy([np.ones(60, dtype=bool)], images=[np.arange(60) // 4])
    assert everything.low == pytest.approx(wilson(1.0, 15, 2.1448).low, abs=1e-4)  # Student's quantile of 14 degrees of freedom


def test_swapping_the_models_mirrors_the_interval() -> None:
    before, after = outcomes(120, 0.4, 0.2, 0.1, seed=3)
    images = [np.arange(120) // 3]
    forth, back = difference([before], [after], images=images), difference([after], [before], images=images)
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_splitting_an_accuracy_into_equal_parts_keeps_its_interval() -> None:
    right = np.random.default_rng(2).permutation(np.arange(400) < 300)
    whole, halves = accuracy([right]), accuracy([right[:200], right[200:]])
    assert (halves.value, halves.low, halves.high) == pytest.approx((whole.value, whole.low, whole.high), abs=2e-3)
    weighted = accuracy([right[:100], right[100:]], (0.25, 0.75))
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx((whole.value, whole.low, whole.high), abs=2e-3)


def covered(draw: Callable[[np.random.Generator], tuple[Estimate, float]]) -> float:
    rng = np.random.default_rng(0)
    found = [draw(rng) for _ in range(REPEATS)]
    return float(np.mean([estimate.low <= truth <= estimate.high for estimate, truth in found]))


@pytest.mark.parametrize("count", [8, 40, 300])
@pytest.mark.parametrize("mean", [0.6, 0.93])
@pytest.mark.parametrize("correlation", [0.05, 0.5])
def test_items_that_share_an_image_are_covered(count: int, mean: float, correlation: float) -> None:
    """1 to 9 items an image, whose chances to be right scatter with this correlation."""
    more = (1 - correlation) / correlation

    def one(rng: np.random.Generator) -> tuple[Estimate, float]:
        images = np.repeat(np.arange(count), rng.integers(1, 10, count))
        right = rng.random(len(images)) < rng.beta(mean * more, (1 - mean) * more, count)[images]
        return accuracy([right], images=[images]), mean

    assert covered(one) >= 0.93


@pytest.mark.parametrize("count", [30, 200])
def test_differences_and_means_of_items_that_share_an_image_are_covered(count: int) -> None:
    """Two subsets over the same images; a model is better on some images than on others, and the change too."""

    def one(rng: np.random.Generator) -> tuple[Estimate, float]:
        image = rng.beta(3, 2, count), rng.beta(4, 2, count)
        images = [np.sort(rng.integers(0, count, size)) for size in (3 * count, 5 * count)]
        luck = [rng.random(len(own)) for own in images]
        before, after = ([each < chance[own] for each, own in zip(luck, images, strict=True)] for chance in image)
        return difference(before, after, images=images), 4 / 6 - 3 / 5

    assert covered(one) >= 0.93


@pytest.mark.parametrize("num_classes", [10, 60])
@pytest.mark.parametrize("items", [(1, 1), (2, 2), (5, 5), (1, 5)])
@pytest.mark.parametrize("spread", [(3, 2), (9, 1)])
def test_means_over_classes_of_few_items_are_covered(
    num_classes: int, items: tuple[int, int], spread: tuple[float, float]
) -> None:
    def one(rng: np.random.Generator) -> tuple[Estimate, float]:
        chance, counts = rng.beta(*spread, num_classes), rng.integers(items[0], items[1] + 1, num_classes)
        return accuracy([rng.random(count) < own for count, own in zip(counts, chance, strict=True)]), float(chance.mean())

    assert covered(one) >= 0.93


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(2).binomial(200, 0.9, size=2000)
    found = [wilson(right / 200, 200) for right in draws]
    assert 0.93 < np.mean([estimate.low <= 0.9 <= estimate.high for estimate in found]) < 0.97
