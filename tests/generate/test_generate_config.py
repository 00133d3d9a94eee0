"""What the settings of generate refuse, and which of them are in the fingerprint."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from degla.config import effective
from degla.errors import MissingInputError
from degla.generate import GenerateConfig
from degla.generate.backends import resolve_model

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def cached_hub(tmp_path, monkeypatch):
    """A cache of the hub, out of reach of the hub, in which `main` of some/model is COMMIT."""
    folder = tmp_path / "hub" / "models--some--model"
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "snapshots" / COMMIT / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_model_of_the_hub_is_in_the_fingerprint_by_its_commit_which_is_loaded(cached_hub, tmp_path):
    config = GenerateConfig(attempts=("vllm",), engine={"model": "some/model"})
    assert config.raw_inputs()["model"] == COMMIT
    assert resolve_model(config, tmp_path).engine.revision == COMMIT
    assert resolve_model(config.model_copy(update={"attempts": ("rules",)}), tmp_path).engine.revision is None


def test_a_model_of_the_hub_whose_commit_is_unknown_is_refused_unless_it_is_given(cached_hub):
    other = GenerateConfig(attempts=("vllm",), engine={"model": "some/model", "revision": "v2"})
    with pytest.raises(MissingInputError, match=r"the commit of 'some/model' \(v2\) is unknown.*engine.revision a commit"):
        other.raw_inputs()
    pinned = GenerateConfig(attempts=("vllm",), engine={"model": "not/cached", "revision": COMMIT})
    assert pinned.raw_inputs()["model"] == COMMIT


def test_a_model_in_a_folder_needs_no_revision(tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for model in ("models/mine", str(tmp_path / "models" / "mine"), "tiny-random-llama", "/not/there/yet", "./models/mine"):
        GenerateConfig(attempts=("vllm",), engine={"model": model})


def test_what_changes_logits_by_rounding_only_is_not_in_the_fingerprint():
    engine = {"model": "tiny-random-llama"}
    usual = effective(GenerateConfig(attempts=("vllm",), engine=engine))
    for other in ({"max_num_seqs": 7}, {"gpu_memory_utilization": 0.5}):
        assert effective(GenerateConfig(attempts=("vllm",), engine=engine | other)) == usual
    assert effective(GenerateConfig(attempts=("vllm",), engine=engine | {"dtype": "float32"})) != usual


@pytest.mark.parametrize("model", ["/models/qwen2.5-1.5b-q8_0.gguf", "qwen/model.GGUF"])
def test_a_gguf_file_says_what_to_do(model):
    with pytest.raises(ValueError, match=r"is a GGUF file: convert it .*docs/generation\.md.*attempts=\[openai\]"):
        GenerateConfig(attempts=("vllm",), engine={"model": model})


def test_a_folder_with_nothing_but_gguf_files_says_what_to_do(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "README.md").write_text("")
    config = GenerateConfig(attempts=("choice",), engine={"model": str(tmp_path)})
    with pytest.raises(MissingInputError, match="holds only GGUF files: convert it"):
        config.raw_inputs()
    (tmp_path / "model.safetensors").touch()
    assert "model" in config.raw_inputs()
