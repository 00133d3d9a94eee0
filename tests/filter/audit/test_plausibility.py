"""Plausibility: gaps are those of a slow trigram model that read other images, or the row's own; the trade-off counts right."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from text_pairs import drawn_rows, pairs_of, slow_log_odds

from degla.filter.audit.accuracy import SPLIT
from degla.filter.audit.plausibility import GAP_SPLIT, LIMITS, is_plausible, lm_gaps, trade_off
from degla.filter.audit.text_classifier import score_pairs


@pytest.fixture(scope="module")
def rows():
    drawn = [replace(row, type=kind) for k, kind in enumerate(("swap_nouns", "reshuffle")) for row in drawn_rows(60, k)]
    return [replace(row, image=f"{row.type}-{row.image}") for row in drawn]


def test_a_gap_is_that_of_a_slow_model_of_the_captions_of_other_images(rows):
    pairs = pairs_of(rows)
    half = pairs.half(GAP_SPLIT)[pairs.caption]
    slow = [captions for captions, _ in slow_log_odds(rows, list(half), pairs.num_words)]
    assert lm_gaps(pairs) == pytest.approx(slow, abs=1e-4)


def test_the_gap_is_taken_on_other_halves_than_the_audit(rows):
    pairs = pairs_of(rows)
    assert GAP_SPLIT != SPLIT
    assert (pairs.half(GAP_SPLIT) != pairs.half(SPLIT)).any()


def test_a_row_that_a_language_model_scored_keeps_its_gap(rows):
    pairs = pairs_of(rows)
    known = np.full(len(pairs), np.nan)
    known[::3] = np.arange(len(known[::3]))
    gaps = lm_gaps(replace(pairs, lm_gap=known))
    assert (gaps[::3] == known[::3]).all()
    assert (np.delete(gaps, np.s_[::3]) == np.delete(lm_gaps(pairs), np.s_[::3])).all()


def test_a_limit_holds_for_its_type_only(rows):
    pairs = pairs_of(rows)
    gaps, of_type = lm_gaps(pairs), np.array([row.type for row in rows])
    kept = is_plausible(pairs, {"swap_nouns": 1.0})
    assert kept.tolist() == ((gaps <= 1.0) | (of_type != "swap_nouns")).tolist()
    assert 0 < kept[of_type == "swap_nouns"].mean() < 1
    assert is_plausible(pairs, {"replace_nouns": 0.0}).all()


def test_the_trade_off_counts_what_each_limit_keeps_and_how_it_is_told(rows):
    pairs = pairs_of(rows)
    odds, gaps, of_type = score_pairs(pairs, SPLIT).both, lm_gaps(pairs), np.array([row.type for row in rows])
    points = trade_off(pairs, odds)
    assert [point["type"] for point in points] == [name for name in ("all", "reshuffle", "swap_nouns") for _ in (*LIMITS, None)]
    for point in points:
        limit = point["max_lm_gap"]
        chosen = [k for k in range(len(rows)) if point["type"] in ("all", of_type[k])]
        kept = [k for k in chosen if limit is None or gaps[k] <= limit]
        assert point["kept_fraction"] == pytest.approx(len(kept) / len(chosen), abs=1e-4)
        told = [(odds[k] > 0) + 0.5 * (odds[k] == 0) for k in kept]
        assert point["blind_accuracy"] == (pytest.approx(sum(told) / len(told), abs=1e-4) if kept else None)


def test_the_trade_off_of_a_sample_is_about_that_of_all(rows, monkeypatch):
    many = [replace(row, image=f"{k}-{row.image}") for k in range(20) for row in rows]
    pairs = pairs_of(many)
    odds = score_pairs(pairs, SPLIT).both
    whole = trade_off(pairs, odds)
    monkeypatch.setattr("degla.filter.audit.plausibility._SAMPLE", 400)
    sampled = trade_off(pairs, odds)
    assert sampled != whole
    for one, other in zip(whole, sampled, strict=True):
        assert one["kept_fraction"] == pytest.approx(other["kept_fraction"], abs=0.08)
    assert trade_off(pairs_of(many, order=random.Random(1)), odds)[0]["type"] == "all"


def test_nothing_kept_has_no_trade_off(rows):
    none = pairs_of(rows).where(np.zeros(len(rows), bool))
    assert trade_off(none, np.empty(0)) == []
    assert is_plausible(none, {"swap_nouns": 1.0}).tolist() == []
