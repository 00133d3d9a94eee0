"""The savings of encoding change nothing: embeddings and gradients are those of plain open_clip."""

import json

import open_clip
import pytest
import torch

from degla.models import ModelRef
from degla.models.architecture import parts_obstacle
from degla.models.encoding import (
    encode_image,
    encode_image_parts,
    encode_text,
    encode_text_parts,
    used_length,
    used_lengths,
)
from degla.models.loading import load

TEXTS = ["a ball", "a red ball left of a small green car in the snow", "star"]
CHANGES = {
    "plain": {},
    "eos pooling": {"text_cfg": {"pool_type": "eos", "eos_id": 49407}},
    "not causal": {"text_cfg": {"no_causal_mask": True}},
    "first token": {"text_cfg": {"pool_type": "first"}},
    "last token": {"text_cfg": {"pool_type": "last"}},
    "projection with a bias": {"text_cfg": {"proj_bias": True}},
    "no projection": {"text_cfg": {"proj_type": "none"}},
    "average": {"vision_cfg": {"pool_type": "avg"}},
    "other blocks": {"text_cfg": {"qk_norm": True}, "vision_cfg": {"qk_norm": True}},
    "layer scale": {"text_cfg": {"ls_init_value": 0.3}, "vision_cfg": {"ls_init_value": 0.3}},
}


def build(architecture, changes):
    config = json.loads(architecture.read_text())
    for part, values in changes.items():
        config[part] |= values
    architecture.write_text(json.dumps(config))
    return load(ModelRef(architecture=str(architecture), weights="random"), seed=3)


def gradients(model, features):
    model.zero_grad()
    (features * torch.linspace(-1, 1, features.numel(), dtype=features.dtype).view_as(features)).sum().backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def assert_same(model, ours, plain):
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradients(model, ours), gradients(model, plain), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("name", CHANGES)
def test_embeddings_and_gradients_are_those_of_open_clip(name, architecture):
    clip = build(architecture, CHANGES[name])
    model = clip.model.double()
    text = clip.tokenizer(TEXTS)
    cut = text[:, : used_length(model, text)]
    image = torch.randn(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert_same(model, encode_text(model, cut), model.encode_text(text))
    assert_same(model, encode_image(model, image), model.encode_image(image))


def test_a_convolutional_tower_is_encoded_as_it_is(architecture):
    tower = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    config = json.loads(architecture.read_text()) | {"vision_cfg": tower}
    architecture.write_text(json.dumps(config))
    model = load(ModelRef(architecture=str(architecture), weights="random")).model
    assert isinstance(model.visual, open_clip.modified_resnet.ModifiedResNet)
    image = torch.randn(2, 3, 32, 32)
    assert torch.equal(encode_image(model, image), model.encode_image(image))


def test_texts_are_cut_at_the_longest_and_only_where_that_changes_nothing(architecture):
    clip = build(architecture, {})
    assert used_length(clip.model, clip.tokenizer(TEXTS)) == 14
    assert used_lengths(clip.model, clip.tokenizer(TEXTS)).tolist() == [4, 14, 3]
    assert used_length(clip.model, clip.tokenizer(["a " * 100])) == clip.context_length
    for name in ("not causal", "first token", "last token"):
        other = build(architecture, CHANGES[name])
        assert used_length(other.model, other.tokenizer(TEXTS)) == other.context_length


def test_the_shipped_model_is_encoded_as_open_clip_does():
    clip = load(ModelRef())
    text = clip.tokenizer(TEXTS)
    cut = text[:, : used_length(clip.model, text)]
    with torch.no_grad():
        torch.testing.assert_close(encode_text(clip.model, cut), clip.model.encode_text(text), atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["plain", "eos pooling", "projection with a bias", "no projection", "layer scale"])
def test_patches_and_tokens_are_those_of_open_clip_beside_the_pooled_ones(name, architecture):
    clip = build(architecture, CHANGES[name])
    model = clip.model.double()
    assert parts_obstacle(clip.architecture) == ""
    text = clip.tokenizer(TEXTS)
    cut = text[:, : used_length(model, text)]
    image = torch.randn(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert_same(model, encode_text_parts(model, cut)[0], model.encode_text(text))
    assert_same(model, encode_image_parts(model, image)[0], model.encode_image(image))

    model.visual.output_tokens = True  # open_clip's own way to patches, before the projection
    patches = model.visual(image)[1] @ model.visual.proj
    torch.testing.assert_close(encode_image_parts(model, image)[1], patches, atol=1e-12, rtol=1e-12)
    assert patches.shape == (3, 4, 16)

    tokens = encode_text_parts(model, cut)[1]
    for row, length in enumerate(used_lengths(model, text).tolist()):
        assert not tokens[row, 0].any()
        assert not tokens[row, length:].any()
        for position in range(1, length):
            expected = _state_at(model, text[row : row + 1], position)
            torch.testing.assert_close(tokens[row, position], expected, atol=1e-12, rtol=1e-12)


def _state_at(model, text_1L, position):
    """open_clip's text tower step by step, pooled at another position than the end."""
    hidden = model.token_embedding(text_1L) + model.positional_embedding
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask))[0, position]
    if isinstance(model.text_projection, torch.nn.Linear):
        return model.text_projection(hidden)
    return hidden if model.text_projection is None else hidden @ model.text_projection


@pytest.mark.parametrize(("name", "tower"), [("average", "image"), ("not causal", "text"), ("first token", "text")])
def test_towers_without_patches_or_tokens_are_refused(name, tower, architecture):
    assert parts_obstacle(build(architecture, CHANGES[name]).architecture).startswith(f"the {tower} tower ")
