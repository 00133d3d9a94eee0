"""Loading is strict: what does not match is refused, with the file, the keys and the way out."""

import json
import pickle

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from degla.errors import MissingInputError, ModelError
from degla.models import ModelRef
from degla.models.loading import load


def save(state, path):
    save_file({key: value.clone() for key, value in state.items()}, path)
    return str(path)


def test_random_weights_follow_from_the_seed_alone(architecture, clip):
    torch.manual_seed(123)
    again = load(ModelRef(architecture=str(architecture), weights="random"), seed=1)
    other = load(ModelRef(architecture=str(architecture), weights="random"), seed=2)
    assert torch.equal(again.model.text_projection, clip.model.text_projection)
    assert not torch.equal(other.model.text_projection, clip.model.text_projection)


def test_a_weights_file_gives_the_same_features(architecture, clip, tmp_path):
    path = save(clip.model.state_dict(), tmp_path / "w.safetensors")
    again = load(ModelRef(architecture=str(architecture), weights=path))
    text = clip.tokenizer(["a red ball", "two dogs under a tree"])
    assert torch.equal(again.model.encode_text(text), clip.model.encode_text(text))
    assert not again.model.training


def test_containers_and_prefixes_of_training_checkpoints_are_removed(architecture, clip, tmp_path):
    state = {f"module.{key}": value for key, value in clip.model.state_dict().items()}
    state["module.logit_scale"] = state["module.logit_scale"].reshape(1)
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "w.pt")
    again = load(ModelRef(architecture=str(architecture), weights=str(tmp_path / "w.pt")))
    assert torch.equal(again.model.logit_scale, clip.model.logit_scale)
    assert again.model.logit_scale.shape == ()


def test_missing_unexpected_and_misshapen_keys_are_named(architecture, clip, tmp_path):
    state = dict(clip.model.state_dict())
    del state["ln_final.bias"]
    state["teacher.weight"] = torch.zeros(2)
    state["text_projection"] = torch.zeros(16, 8)
    path = save(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as refused:
        load(ModelRef(architecture=str(architecture), weights=path))
    for part in (path, "ln_final.bias", "teacher.weight", "text_projection is (16, 8), expected (16, 16)"):
        assert part in str(refused.value)


def test_position_embeddings_of_another_size_are_not_resized(architecture, clip, tmp_path):
    state = dict(clip.model.state_dict())
    state["positional_embedding"] = torch.zeros(77, 16)
    path = save(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"positional_embedding is \(77, 16\), expected \(24, 16\)"):
        load(ModelRef(architecture=str(architecture), weights=path))


def test_plain_gelu_with_weights_trained_with_quickgelu_is_refused_with_the_right_name():
    with pytest.raises(ModelError, match="ViT-B-32-quickgelu"):
        load(ModelRef(architecture="ViT-B-32", weights="openai"))


def test_quickgelu_with_weights_trained_with_plain_gelu_is_refused(monkeypatch):
    from open_clip.pretrained import _PRETRAINED

    monkeypatch.setitem(_PRETRAINED["ViT-B-32-quickgelu"], "plain", {"url": "", "hf_hub": ""})
    with pytest.raises(ModelError, match="model.architecture=ViT-B-32\\."):
        load(ModelRef(architecture="ViT-B-32-quickgelu", weights="plain"))


def test_the_activation_written_into_a_weights_file_is_compared(architecture, clip, tmp_path):
    save_file(dict(clip.model.state_dict()), tmp_path / "w.safetensors", metadata={"activation": "gelu"})
    with pytest.raises(ModelError, match="trained with activation gelu.*asks for quickgelu"):
        load(ModelRef(architecture=str(architecture), weights=str(tmp_path / "w.safetensors")))


def test_nothing_is_unpickled(architecture, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    with (tmp_path / "w.pt").open("wb") as file:
        pickle.dump({"state_dict": Evil()}, file)
    with pytest.raises(ModelError, match=r"w\.pt"):
        load(ModelRef(architecture=str(architecture), weights=str(tmp_path / "w.pt")))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("reference", "kind", "words"),
    [
        ({"architecture": "ViT-B-33", "weights": "openai"}, ModelError, "unknown architecture 'ViT-B-33'"),
        ({"architecture": "ViT-B-32", "weights": "opnai"}, ModelError, "has no weights 'opnai'.*openai"),
        ({"architecture": "ViT-B-32"}, ModelError, "expected an open_clip tag"),
        ({"architecture": "ViT-B-16-SigLIP", "weights": "random"}, ModelError, "cannot be fine-tuned: .*sigmoid loss"),
        ({"architecture": "roberta-ViT-B-32", "weights": "random"}, ModelError, "cannot be fine-tuned: .*of transformers"),
        ({"architecture": "local-dir:nowhere"}, MissingInputError, "nowhere"),
        ({"architecture": "small-photo-clip", "weights": "nowhere.safetensors"}, MissingInputError, "nowhere.safetensors"),
    ],
)
def test_wrong_names_are_refused_with_what_there_is(reference, kind, words):
    with pytest.raises(kind, match=words):
        load(ModelRef(**reference))


def test_a_config_that_is_no_architecture_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"embed_dim": 3}))
    with pytest.raises(ModelError, match="vision_cfg, text_cfg missing"):
        load(ModelRef(architecture=str(path), weights="random"))


def test_a_vocabulary_smaller_than_the_tokenizer_is_refused(architecture):
    config = json.loads(architecture.read_text())
    config["text_cfg"]["vocab_size"] = 1000
    architecture.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="vocab_size 1000"):
        load(ModelRef(architecture=str(architecture), weights="random"))


def test_the_model_that_degla_ships_equals_plain_open_clip():
    ref = ModelRef()
    clip = load(ref)
    plain, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{ref.folder()}")
    tokens = open_clip.get_tokenizer(f"local-dir:{ref.folder()}")(["a red ball left of a car"])
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 50, 3), dtype=np.uint8))
    assert torch.equal(clip.tokenizer(["a red ball left of a car"]), tokens)
    assert torch.equal(clip.preprocess(image), preprocess(image))
    with torch.no_grad():
        assert torch.equal(clip.model.encode_text(tokens), plain.eval().encode_text(tokens))
        assert torch.equal(clip.model.encode_image(clip.preprocess(image)[None]), plain.encode_image(preprocess(image)[None]))
    assert clip.activation == "gelu"
