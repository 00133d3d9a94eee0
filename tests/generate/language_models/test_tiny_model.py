"""The model made on the spot: real in form, the same bytes every time."""

import hashlib
import subprocess
import sys

import pytest

from degla.errors import ConfigError
from degla.generate.language_models.prompts import load_prompt, shown_text
from degla.generate.language_models.tiny_model import CONTROL_TOKENS, Size, make_tiny_model
from degla.home import prompts_dir
from degla.negative_types import NEGATIVE_TYPES


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(tiny_model, tmp_path):
    script = "import sys, pathlib\nfrom degla.generate.language_models import tiny_model as tiny\n"
    script += "tiny.make_tiny_model(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "other")], check=True, timeout=120)
    assert contents(tmp_path / "other") == contents(tiny_model)


def test_making_it_leaves_the_random_numbers_of_the_process_alone(tmp_path):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_tiny_model(tmp_path / "model", Size(layers=1, vocabulary=512))
    assert torch.equal(torch.rand(3), expected)


def test_a_model_that_is_there_is_not_made_again(tiny_model):
    before = {path: path.stat().st_mtime_ns for path in tiny_model.iterdir()}
    assert make_tiny_model(tiny_model) == tiny_model
    assert {path: path.stat().st_mtime_ns for path in tiny_model.iterdir()} == before


def test_nothing_is_left_behind_when_it_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.setenv("DEGLA_PROMPTS", str(tmp_path / "nothing here"))
    with pytest.raises(ConfigError):
        make_tiny_model(tmp_path / "models" / "tiny")
    assert not any((tmp_path / "models").iterdir())


def test_it_loads_as_a_language_model_and_gives_every_token_a_score(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    ids = tokenizer("A dog runs.", return_tensors="pt").input_ids
    scores = model(ids).logits
    assert scores.shape == (1, ids.shape[1], len(tokenizer))
    assert torch.isfinite(scores).all()


def test_its_tokenizer_has_the_control_tokens_and_encodes_any_text_without_loss(tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    text = 'A café, 漢字 🐕‍🦺 & "quotes"\n\x07 end'
    assert all(
        tokenizer.encode(each, add_special_tokens=False) == [tokenizer.convert_tokens_to_ids(each)] for each in CONTROL_TOKENS
    )
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert tokenizer.encode("A dog")[0] == tokenizer.bos_token_id  # as Llama-3's does by itself


@pytest.mark.parametrize("negative_type", NEGATIVE_TYPES)
def test_a_prompt_is_about_as_long_for_it_as_for_a_large_model(tiny_model, negative_type):
    from transformers import AutoTokenizer

    prompt = load_prompt(prompts_dir(), negative_type)
    tokens = AutoTokenizer.from_pretrained(tiny_model).encode(prompt.rule + shown_text(prompt.shown()))
    assert 1400 <= len(tokens) <= 2500
