"""What the settings of generate refuse, and which of them are in the fingerprint."""

from __future__ import annotations

import pytest

from degla.config import effective, validate
from degla.errors import ConfigError
from degla.generate import GenerateConfig


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "0123abc"])
def test_a_model_of_the_hub_is_pinned_by_a_commit(revision):
    with pytest.raises(ConfigError, match="engine: 'some/model' is not pinned.*Set revision"):
        validate(GenerateConfig, {"attempts": ["vllm"], "engine": {"model": "some/model", "revision": revision}}, "here")
    engine = {"model": "some/model", "revision": "0123456789abcdef" * 2 + "01234567"}
    assert validate(GenerateConfig, {"attempts": ["vllm"], "engine": engine}, "here").engine.revision == engine["revision"]


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
