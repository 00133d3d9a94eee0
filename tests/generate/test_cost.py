"""The cost estimate: its arithmetic against figures worked out elsewhere, its counts against what a run then does."""

from __future__ import annotations

import json
import re

import pytest
from caption_tables import captions_table, prepare_artifact

from degla.errors import ConfigError
from degla.generate import GenerateConfig, run
from degla.generate.cost import _LLAMA_8B, _hours, describe, estimate
from degla.generate.language_models.tiny_model import make_tiny_model
from degla.generate.machine import Machine, _speed, machine

NOUNS, ADJECTIVES = ["dog", "cat", "horse", "ball", "box", "chair"], ["red", "blue", "small", "big", "old"]


@pytest.mark.parametrize(("computed", "hours"), [(8.456e9, 93), (0.078e9, 3.1)])
def test_the_hours_of_two_million_eight_hundred_thousand_requests(computed, hours):
    """2.8 M requests of 3,000 shared and 20 own tokens, 20 written, batch 1024, on one H200: without and with the cache."""
    least, most = _hours(_LLAMA_8B, computed, 0.056e9, 3020, 1024, Machine("an H200", 1, *_speed("H200"), 2.0))
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


@pytest.fixture
def no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A driver that tells these names."""

    def told(*names):
        program = tmp_path / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{name}'\n" for name in names))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return told


def sized(tmp_path, width, layers, positions=8192):
    """A folder with the config of a model of this size."""
    size = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 8, "intermediate_size": 3 * width}
    (tmp_path / "config.json").write_text(json.dumps(size | {"vocab_size": 50_000, "max_position_embeddings": positions}))
    return GenerateConfig(attempts=("vllm", "rules"), engine={"model": str(tmp_path)})


def test_without_a_gpu_the_hours_are_the_cpu_s(no_gpu, tmp_path):
    text = "\n".join(describe(estimate(sized(tmp_path, 576, 30), None, 1000)))
    assert "of this CPU" in text
    assert "no GPU was found" in text
    assert "H200" not in text
    assert 1e9 < machine().flops < 1e14


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("NVIDIA H200", 433), ("NVIDIA A100-SXM4-80GB", 137), ("NVIDIA L40", 79), ("NVIDIA L40S", 159), ("Tesla T4", 28)],
)
def test_a_gpu_is_known_by_its_name(gpus, name, tflops, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus(name, name)
    assert (machine().name, machine().devices, round(machine().flops / 1e12)) == (name, 2, tflops)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machine().devices == 1


def test_an_unknown_gpu_is_said_to_be_one(gpus):
    gpus("NVIDIA Z9000")
    assert "its speed is not known" in machine().name


def test_what_is_kept_of_a_model_s_rewrites_depends_on_its_size(no_gpu, tmp_path):
    """Models of 0.2, 1.2 and 8 billion parameters: the smaller, the more is left to the rules."""
    left_to_the_rules = []
    for width, layers, told in ((576, 30, "4 of 753"), (1536, 28, "37 of 375"), (4096, 32, "59 to 82 %")):
        expected = estimate(sized(tmp_path, width, layers), None, 10_000)
        assert any(told in each for each in expected.assumptions)
        left_to_the_rules.append(expected.requests["rules"] / expected.requests["vllm"])
    assert left_to_the_rules == sorted(left_to_the_rules, reverse=True)
    assert left_to_the_rules[0] > 0.9 > 0.6 > left_to_the_rules[-1]


def test_prompts_that_do_not_fit_the_context_are_refused_before_the_run(tmp_path):
    with pytest.raises(ConfigError, match=r"context of .* is 1,024 tokens; the longest prompt has .*characters a token"):
        estimate(sized(tmp_path, 576, 30, positions=1024), None, 1000)


def test_the_model_s_own_tokenizer_counts_and_captions_that_do_not_fit_are_counted(no_gpu, tmp_path):
    folder = make_tiny_model(tmp_path / "tiny")
    captions = ["a red dog on the old box", "a red dog on the old box " * 40, "a cat on the big chair"]
    prepared = prepare_artifact(tmp_path / "prepare", captions_table(captions))
    config = GenerateConfig(attempts=("vllm",), types=("swap_nouns",), engine={"model": str(folder)})
    text = "\n".join(describe(estimate(config, prepared.file("captions.parquet"), None)))
    assert "(by its tokenizer)" in text
    longest = GenerateConfig(**config.model_dump() | {"engine": {"model": str(folder), "max_model_len": needed(text) + 250}})
    told = "\n".join(describe(estimate(longest, prepared.file("captions.parquet"), None)))
    assert "33.3 % of the captions (about 1) do not fit" in told


def needed(text):
    """The tokens of the shared part of a prompt, as the estimate tells them."""
    return int(re.search(r"([\d,]+) tokens of a prompt are shared", text)[1].replace(",", ""))
