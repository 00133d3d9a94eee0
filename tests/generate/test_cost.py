"""The cost estimate: its arithmetic against figures worked out elsewhere, its counts against what a run then does."""

from __future__ import annotations

import pytest
from caption_tables import captions_table, prepare_artifact

from degla.generate import GenerateConfig, run
from degla.generate.cost import _LLAMA_8B, _hours, describe, estimate

NOUNS, ADJECTIVES = ["dog", "cat", "horse", "ball", "box", "chair"], ["red", "blue", "small", "big", "old"]


@pytest.mark.parametrize(("computed", "hours"), [(8.456e9, 93), (0.078e9, 3.1)])
def test_the_hours_of_two_million_eight_hundred_thousand_requests(computed, hours):
    """2.8 M requests of 3,000 shared and 20 own tokens, 20 written, batch 1024, on one H200: without and with the cache."""
    least, most = _hours(_LLAMA_8B, computed, 0.056e9, 3020, 1024)
    assert (least * most) ** 0.5 == pytest.approx(hours, rel=0.1)
    assert most / least == pytest.approx(4)


def test_with_captions_at_hand_the_counts_are_those_of_the_run(tmp_path):
    captions = [f"a {a} {m} on the {b} {n}" for a in ADJECTIVES for b in ADJECTIVES for m in NOUNS for n in NOUNS[:2] if m != n]
    prepared = prepare_artifact(tmp_path / "prepare", captions_table(captions))
    config = GenerateConfig(workers=1, vocabulary="lexicon")
    expected = estimate(config, prepared.file("captions.parquet"), None)
    made = run(config, {"prepare": prepared}, tmp_path / "out")
    assert expected.captions == len(captions)
    assert expected.requests["rules"] == made.counts["asked"] - made.counts["inapplicable"]


def test_before_prepare_it_says_what_it_goes_by_and_a_cache_saves_most_of_the_prefill():
    config = GenerateConfig(attempts=("vllm", "choice", "rules"), engine={"model": "some/model-of-8b"})
    expected = estimate(config, None, 414_113)
    text = "\n".join(describe(expected))
    assert "prepare has not run yet" in text
    assert 0.95 < expected.hit_rate < 1
    assert expected.hours_without_cache[0] > 10 * expected.hours[0]
    assert expected.requests["vllm"] > expected.requests["choice"] > expected.requests["rules"] > 0
    assert 4 * 414_113 < expected.kept <= 5 * 414_113


def test_how_many_captions_there_are_may_be_unknown():
    assert "for 1,000" in "\n".join(describe(estimate(GenerateConfig(), None, None)))
