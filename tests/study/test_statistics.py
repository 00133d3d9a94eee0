"""Intervals over seeds and items, fronts, and the choice of settings, against slow or exact computations of the same."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from degla.errors import ConfigError
from degla.outcomes.measures import Measure
from degla.study.choice import Choices, Trial, choose, keep
from degla.study.fronts import composition_at, lost_at, mean_composition, upper_hull
from degla.study.spread import NUM_DRAWS, Draws, Spread
from degla.study.tables import cell


def measure(*parts: np.ndarray, weights: tuple[float, ...] = ()) -> Measure:
    return Measure("x/accuracy", parts, 0.5, 0, weights)


def of_runs(right: np.ndarray) -> list[Measure]:
    """Runs (S) by items (N), bool (S, N)."""
    return [measure(row) for row in right]


def test_the_interval_of_runs_that_agree_is_that_of_their_items() -> None:
    right = np.random.default_rng(0).random(400) < 0.8
    found = Draws("m", measure(right)).spread(of_runs(np.tile(right, (5, 1)))).estimate
    half = 1.96 * 100 * math.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert found.value == pytest.approx(100 * right.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)


def test_the_interval_of_runs_that_differ_holds_their_spread_too() -> None:
    """Every item of a run has the same answer, so items add nothing: what is left is the spread of five means."""
    means = np.array([0, 0, 1, 1, 1], dtype=bool)
    draws = Draws("m", measure(np.ones(50, bool))).spread(of_runs(np.repeat(means[:, None], 50, axis=1))).draws
    exact = [100 * np.mean(drawn) for drawn in itertools.product(means, repeat=5)]
    assert draws.std() == pytest.approx(np.std(exact), rel=0.03)
    assert draws.mean() == pytest.approx(np.mean(exact), rel=0.03)


def test_a_difference_of_two_methods_is_paired_by_seed_and_item() -> None:
    right = np.random.default_rng(1).random((4, 300)) < 0.6
    draws = Draws("m", measure(right[0]))
    same, better = draws.spread(of_runs(right)), draws.spread(of_runs(right | (np.arange(300) < 30)))
    assert (same - same).estimate.low == (same - same).estimate.high == 0
    assert (better - same).is_a_difference
    assert not (same - same).is_a_difference
    alone = better.estimate.high - better.estimate.low
    assert (better - same).estimate.high - (better - same).estimate.low < alone / 2


def test_parts_keep_their_weights() -> None:
    parts = (np.array([True] * 3 + [False]), np.array([True, False]))
    like = measure(*parts, weights=(0.25, 0.75))
    found = Draws("m", like).spread([like])
    assert found.value == pytest.approx(25 * 0.75 + 75 * 0.5)
    assert found.draws.shape == (NUM_DRAWS,)
    assert found.draws.mean() == pytest.approx(found.value, abs=1)


def test_many_items_are_drawn_in_groups_and_those_of_an_image_together() -> None:
    """Against the textbook: sqrt(p (1 - p) / N), and of pairs that agree N is the number of pairs."""
    right = np.random.default_rng(2).random(20_000) < 0.6
    many, pairs = measure(right), Measure("x", (right.repeat(2),), 0.5, 0, (), (np.arange(20_000).repeat(2),))
    error = 100 * math.sqrt(right.mean() * (1 - right.mean()) / 20_000)
    for like in (many, pairs):
        draws = Draws("m", like).spread([like]).draws
        assert draws.std() == pytest.approx(error, rel=0.1)
        assert draws.mean() == pytest.approx(100 * right.mean(), abs=0.05)


POINTS = [(0.0, 60.0), (1.0, 70.0), (3.0, 71.0), (4.0, 78.0), (9.0, 80.0), (12.0, 75.0)]


def brute_front(points: list[tuple[float, float]], lost: float) -> float:
    """The best of all mixtures of two points that lose at most so much."""
    best = -math.inf
    for (x, y), (u, v) in itertools.product(points, repeat=2):
        for share in np.linspace(0, 1, 2001):
            if share * x + (1 - share) * u <= lost + 1e-12:
                best = max(best, share * y + (1 - share) * v)
    return best


@pytest.mark.parametrize("lost", [0.0, 0.5, 2.0, 4.0, 7.0, 9.0, 20.0])
def test_composition_at_equal_loss_is_the_best_of_all_mixtures(lost: float) -> None:
    assert composition_at(POINTS, lost) == pytest.approx(brute_front(POINTS, lost), abs=0.01)


def test_loss_at_equal_composition_is_the_inverse_and_nothing_is_extrapolated() -> None:
    for height in (60.0, 65.0, 74.0, 79.5):
        assert composition_at(POINTS, lost_at(POINTS, height)) == pytest.approx(height)
    assert lost_at(POINTS, 80.1) == math.inf
    assert composition_at([(2.0, 70.0), (3.0, 75.0)], 1.0) == -math.inf
    assert upper_hull([(1.0, 70.0), (0.0, 71.0)]) == [(0.0, 71.0)]


def test_an_interval_is_open_where_a_front_is_not_reached_in_too_many_draws() -> None:
    draws = np.arange(1000.0)
    draws[980:] = np.inf
    assert Spread(3.0, draws).estimate.high == pytest.approx(974, abs=1)
    draws[960:] = np.inf
    found = Spread(3.0, draws)
    assert cell(found.estimate) == "3.0 (24.0 to ?)"
    assert cell(Spread(math.inf, draws).estimate) == "not reached"


def test_the_area_is_the_mean_over_fine_steps() -> None:
    steps = [composition_at(POINTS, lost) for lost in np.linspace(0, 10, 20_001)]
    assert mean_composition(POINTS, 10) == pytest.approx(np.mean(steps), abs=1e-3)
    assert mean_composition([(0.0, 60.0), (-1.0, 65.0)], 10) == 65.0


def trial(number: int, composition: float, lost: float, lr: float = 1e-3) -> Trial:
    return Trial(number=number, overrides=(f"train.lr={lr}",), lr=lr, composition=composition, lost=lost, evaluated="")


def chosen(trials: list[Trial]) -> int:
    return next(each.number for each in choose(trials, 8) if each.chosen)


def test_the_best_trial_within_the_budget_is_chosen() -> None:
    assert chosen([trial(0, 70, 2), trial(1, 75, 8), trial(2, 80, 8.1)]) == 1
    assert chosen([trial(0, 70, 12), trial(1, 75, 20)]) == 0
    assert chosen([trial(0, 70, 2, lr=2e-3), trial(1, 70, 5, lr=1e-3)]) == 1


def test_choices_are_made_once(tmp_path: Path) -> None:
    made = Choices(study="a", trials={"start": {"degla": tuple(choose([trial(0, 70, 2)], 8))}})
    path = tmp_path / "choices.json"
    assert keep(path, made) == made == keep(path, made)
    with pytest.raises(ConfigError, match="other results"):
        keep(path, made.model_copy(update={"trials": {"start": {"degla": (trial(0, 71, 2),)}}}))
    with pytest.raises(ConfigError, match="another protocol"):
        keep(path, made.model_copy(update={"study": "b"}))
    assert made.of("start", "degla") == ("train.lr=0.001",)
