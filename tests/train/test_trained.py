"""What is frozen stays as it was, bit for bit; adapters alone change, and merged they are the same function."""

import json
from copy import deepcopy

import open_clip
import pytest
import torch
from small_inputs import TINY

from degla.config import validate
from degla.errors import ConfigError, ModelError
from degla.models import ModelRef
from degla.models.encoding import encode_image, encode_image_parts, encode_text, encode_text_parts
from degla.models.export import export
from degla.models.fast_modules import Attention
from degla.models.loading import load
from degla.train.config import TrainConfig
from degla.train.model import TrainingClip
from degla.train.student import parameter_groups
from degla.train.trained import LinearAttention, choose_trained, merged


@pytest.fixture
def clip(tiny):
    return load(ModelRef(architecture=tiny, weights="random"), seed=3)


def batch(clip):
    generator = torch.Generator().manual_seed(0)
    text = clip.tokenizer(["a ball", "a red ball left of a small green car", "star"])
    return torch.randn(2, 3, 32, 32, generator=generator), text


def trained(clip, **settings):
    """A training clip of this configuration after three steps of AdamW, and its configuration."""
    config = validate(TrainConfig, settings, "test")
    model = TrainingClip(clip.model).eval()
    choose_trained(model.clip, config)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=1e-2)
    for _ in range(3):
        image, text, scale = model(*batch(clip))[:3]
        optimizer.zero_grad()
        (scale * image.square().sum() * text.sin().sum()).backward()
        optimizer.step()
    return model, config


def copy_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name].reshape(before[name].shape))}


def is_image(name):
    return name.startswith("visual.")


@pytest.mark.parametrize(
    ("freeze", "trains_image", "trains_text"), [("image", False, True), ("text", True, False), (None, True, True)]
)
def test_a_frozen_tower_keeps_its_bytes_and_the_rest_trains(clip, freeze, trains_image, trains_text):
    before = copy_of(clip.model)
    model, _ = trained(clip, freeze=freeze)
    names = changed(before, model.clip.state_dict())
    assert "logit_scale" in names
    assert any(is_image(name) for name in names) == trains_image
    assert any(not is_image(name) for name in names - {"logit_scale"}) == trains_text
    if trains_image:
        assert {"visual.conv1.weight", "visual.proj", "visual.class_embedding"} <= names
    if trains_text:
        assert {"token_embedding.weight", "text_projection", "positional_embedding"} <= names


@pytest.mark.parametrize("towers", [["image"], ["text"], ["image", "text"]])
def test_with_lora_the_adapters_alone_change(clip, towers):
    before = copy_of(clip.model)
    model, config = trained(clip, lora={"rank": 2, "towers": towers})
    state = model.clip.state_dict()
    adapters = {name for name in state if ".lora_" in name}
    assert {name for name, value in model.clip.named_parameters() if value.requires_grad} == adapters
    assert {is_image(name) for name in adapters} == {tower == "image" for tower in towers}
    assert len(adapters) == len(towers) * 2 * 4 * 2  # blocks, linear layers, A and B
    base = merged({name: torch.zeros_like(value) if "lora_B" in name else value for name, value in state.items()}, config.lora)
    assert base.keys() == before.keys()
    assert changed(before, base) == set()
    assert all(state[name].any() for name in adapters)
    after = changed(before, merged(state, config.lora))
    assert {is_image(name) for name in after} == {tower == "image" for tower in towers}
    assert all(name.endswith(("in_proj_weight", "out_proj.weight", "c_fc.weight", "c_proj.weight")) for name in after)


def test_a_new_adapter_changes_nothing_and_is_the_same_for_every_rank(clip):
    image, text = batch(clip)
    with torch.no_grad():
        expected = clip.model.encode_image(image), clip.model.encode_text(text)
        models = [TrainingClip(deepcopy(clip.model)).eval() for _ in range(2)]
        for seed, model in enumerate(models):
            torch.manual_seed(seed)
            choose_trained(model.clip, TrainConfig(lora={"rank": 2}))
        torch.testing.assert_close(models[0](image, text)[:2], expected, atol=1e-6, rtol=1e-6)
    assert changed(models[0].state_dict(), models[1].state_dict()) == set()


def test_the_merged_export_computes_what_the_adapters_computed_in_plain_open_clip(clip, tmp_path):
    keys = {name: value.shape for name, value in clip.model.state_dict().items()}
    image, text = batch(clip)
    with torch.no_grad():
        start = clip.model.encode_image(image), clip.model.encode_text(text)
    model, config = trained(clip, lora={"rank": 3, "alpha": 6})
    state = merged(model.clip.state_dict(), config.lora)
    export(tmp_path / "model", clip, state | {"logit_scale": state["logit_scale"].reshape(())}, {})
    plain = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'model'}")[0].eval()
    assert {name: value.shape for name, value in plain.state_dict().items()} == keys
    with torch.no_grad():
        features = model(image, text)[:2]
        found = plain.encode_image(image), plain.encode_text(text)
    for ours, theirs, before in zip(features, found, start, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
        assert (ours - before).abs().max() > 0.01


def test_merging_is_what_peft_merges(clip):
    from peft.tuners.lora import LoraLayer

    model, config = trained(clip, lora={"rank": 3, "alpha": 5})
    ours = merged(model.clip.state_dict(), config.lora)
    for name, module in model.clip.named_modules():
        if isinstance(module, LoraLayer):
            expected = module.base_layer.weight + module.get_delta_weight("default")
            name = f"{name}_weight" if name.endswith("in_proj") else f"{name}.weight"
            torch.testing.assert_close(ours[name], expected, atol=1e-7, rtol=1e-6)


def test_rebuilt_attention_is_torchs(clip):
    block = clip.model.transformer.resblocks[0].double()
    other = deepcopy(block)
    other.attn = LinearAttention(Attention(other.attn))
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 7, 16, dtype=torch.float64, generator=generator)
    causal = torch.full((7, 7), float("-inf"), dtype=torch.float64).triu(1)
    for mask in (None, causal):
        torch.testing.assert_close(other(hidden, attn_mask=mask), block(hidden, attn_mask=mask), atol=1e-12, rtol=1e-12)
    padding = torch.arange(7) > torch.tensor([[2], [6], [4]])
    query = hidden[:, :1]
    ours, theirs = (b.attn(query, hidden, hidden, key_padding_mask=padding, need_weights=False)[0] for b in (other, block))
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)


def test_adapters_act_on_every_path_of_encoding(clip):
    image, text = batch(clip)
    model, _ = trained(clip, lora={"rank": 2})
    with torch.no_grad():
        torch.testing.assert_close(
            encode_image(model.clip, image), encode_image_parts(model.clip, image)[0], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(encode_text(model.clip, text), encode_text_parts(model.clip, text)[0], atol=1e-5, rtol=1e-5)


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"leave train.freeze out"):
        validate(TrainConfig, {"freeze": "image", "lora": {"rank": 4}}, "test")
    with pytest.raises(ConfigError, match=r"^test: objective clip has no negatives: leave train.negatives out, [^()]*$"):
        validate(TrainConfig, {"objective": "clip", "negatives": 4}, "test")
    for wrong in ({"crop_scale": [1.0, 0.9]}, {"crop_scale": [0.0, 1.0]}, {"betas": [0.9, 1.0]}, {"types": []}, {"seed": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            validate(TrainConfig, wrong, "test")
    tower = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    (tmp_path / "convolutional.json").write_text(json.dumps(TINY | {"vision_cfg": tower}))
    model = {"architecture": str(tmp_path / "convolutional.json"), "weights": "random"}
    for wanted, words in (
        ({"lora": {"rank": 4}}, r"image tower is not a transformer.*train\.lora\.towers"),
        ({"objective": "fsc_clip"}, r"no patches beside a class token: set train\.fsc_clip\.local_negatives=0"),
    ):
        with pytest.raises(ModelError, match=words):
            TrainConfig.model_validate({"model": model, **wanted}).raw_inputs()
    TrainConfig.model_validate({"model": model, "lora": {"towers": ["text"]}}).raw_inputs()
