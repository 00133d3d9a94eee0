"""State dicts in every shape that training codes of the field leave them in; all made here, from the model they must give."""

import logging
import os

import open_clip
import pytest
import torch

from degla.errors import ModelError
from degla.models import ModelRef
from degla.models.loading import LoadedClip, load

# NegCLIP, CE-CLIP and DeGLA are trained with forks of open_clip: the state under `state_dict`, wrapped by DDP, beside the
# epoch and the optimizer. `model` is BLIP's and FSC-CLIP's habit; OpenAI's own files are half precision with three sizes.
SHAPES = {
    "plain": lambda state: state,
    "wrapped": lambda state: prefixed(state),
    "open_clip": lambda state: {"epoch": 5, "name": "negclip", "state_dict": prefixed(state), "optimizer": optimizer(state)},
    "model": lambda state: {"model": state, "epoch": 5, "config": {"lr": 1e-6, "betas": [0.9, 0.98]}},
    "openai": lambda state: {
        **{key: value.half() for key, value in state.items()},
        **{"input_resolution": torch.tensor(32), "context_length": torch.tensor(24), "vocab_size": torch.tensor(49408)},
    },
}


def prefixed(state):
    return {f"module.{key}": value for key, value in state.items()}


def optimizer(state):
    return {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-6, "params": [0]}]}


@pytest.fixture
def clip(architecture) -> LoadedClip:
    return load(ModelRef(architecture=str(architecture), weights="random"), seed=1)


def load_file(architecture, path) -> LoadedClip:
    return load(ModelRef(architecture=str(architecture), weights=str(path)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_state_dict_of_the_field_gives_the_model_it_was_taken_from(shape, legacy, architecture, clip, tmp_path):
    path = tmp_path / "w.pt"
    torch.save(SHAPES[shape](clip.model.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    loaded = load_file(architecture, path).model.state_dict()
    assert loaded.keys() == clip.model.state_dict().keys()
    for key, value in clip.model.state_dict().items():
        assert loaded[key].dtype == torch.float32
        expected = value.half().float() if shape == "openai" else value
        assert torch.equal(loaded[key], expected), key


def test_the_names_are_those_of_openai():
    """As OpenAI's public code names them: with any of them missing, strict loading would fail."""
    with torch.device("meta"):
        names = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu")).state_dict().keys()
    assert len(names) == 302
    assert {"visual.conv1.weight", "transformer.resblocks.11.mlp.c_proj.bias", "token_embedding.weight", "logit_scale"} < names


def test_a_pickle_bomb_is_refused_and_does_not_go_off(architecture, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    for content in ({"state_dict": Bomb()}, {"state_dict": {"logit_scale": torch.zeros(())}, "args": Bomb()}):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(ModelError, match=r"w\.pt holds more than tensors.*\.safetensors"):
            load_file(architecture, tmp_path / "w.pt")
    assert not (tmp_path / "owned").exists()
    torch.load(tmp_path / "w.pt", weights_only=False)  # it is a bomb
    assert (tmp_path / "owned").exists()


def test_a_torchscript_archive_is_refused_by_name(architecture, tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "ViT-B-32.pt"))
    with pytest.raises(ModelError, match="TorchScript archive.*weights=openai"):
        load_file(architecture, tmp_path / "ViT-B-32.pt")


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {"logit_scale": 4.6}}, {"model": {"a": {}}}])
def test_what_is_no_state_dict_is_refused(content, architecture, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="not a state dict.*'state_dict' or 'model'"):
        load_file(architecture, tmp_path / "w.pt")


def test_weights_of_another_architecture_are_refused_with_the_names_that_fit(tmp_path):
    """A file with ViT-B/16's names and shapes (its values are nowhere in memory) for a ViT-B/32."""
    with torch.device("meta"):
        other = open_clip.CLIP(**open_clip.get_model_config("ViT-B-16"))
    state = {key: torch.zeros(()).expand(value.shape) for key, value in other.state_dict().items()}
    torch.save({"state_dict": prefixed(state)}, tmp_path / "w.pt")
    with pytest.raises(ModelError) as refused:
        load_file("ViT-B-32-quickgelu", tmp_path / "w.pt")
    for part in ("ViT-B-32-quickgelu", "visual.conv1.weight is (768, 3, 16, 16), expected (768, 3, 32, 32)", "ViT-B-16"):
        assert part in str(refused.value)


def test_weights_under_the_names_of_transformers_are_named_as_such(architecture, tmp_path):
    torch.save({"text_model.final_layer_norm.weight": torch.zeros(16)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="transformers' names"):
        load_file(architecture, tmp_path / "w.pt")


def test_a_file_without_activation_is_warned_of_where_quickgelu_would_load_as_well(tmp_path, monkeypatch, caplog):
    small = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 1, "head_width": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    for name, quick in (("ViT-B-32", False), ("ViT-B-32-quickgelu", True)):
        config = {**small, "quick_gelu": quick}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
        torch.save(load(ModelRef(architecture=name, weights="random")).model.state_dict(), tmp_path / "w.pt")
    with caplog.at_level(logging.WARNING, logger="degla"):
        load_file("ViT-B-32-quickgelu", tmp_path / "w.pt")
        assert not caplog.records
        load_file("ViT-B-32", tmp_path / "w.pt")
    assert "model.architecture=ViT-B-32-quickgelu" in caplog.text
