"""Trees and fast modules compute open_clip's function: embeddings and gradients are those of open_clip's own modules on whole
token rows."""

import json
import random
from copy import deepcopy

import pytest
import torch
from test_model_encoding import CHANGES, build

from degla.models.encoding import encode_image, encode_text, used_length, used_lengths
from degla.models.fast_modules import make_fast
from degla.models.towers import text_tower
from degla.models.tree_encoding import encode_trees, obstacle
from degla.models.trees import grow, planted

SERVED = ("plain", "eos pooling", "projection with a bias", "no projection", "layer scale", "average", "gelu")
CHANGES = CHANGES | {"gelu": {}}
WORDS = ["ball", "car", "tree", "house", "on", "under", "the", "a", "red", "green", "big"]


def groups(seed: int) -> list[list[str]]:
    """Rows of texts: a caption and rewrites of it, one alone, equal ones, one that begins another, and long ones."""
    draw = random.Random(seed)
    rows = []
    for _ in range(5):
        caption = [draw.choice(WORDS) for _ in range(draw.randint(2, 12))]
        texts = [caption]
        for _ in range(draw.randint(0, 7)):
            text = list(caption)
            text[draw.randrange(len(text))] = draw.choice(WORDS)
            texts.append(text[: draw.randint(1, len(text))] if draw.random() < 0.3 else text)
        rows.append([" ".join(text) for text in texts])
    return [*rows, ["star"], ["a red ball"] * 4, ["a " * 60, "a " * 59 + "ball", "ball"]]


def trees_of(clip, rows):
    def tokens(texts):
        text_TL = clip.tokenizer(texts)
        return [row[:length] for row, length in zip(text_TL.tolist(), used_lengths(clip.model, text_TL).tolist(), strict=True)]

    return planted([grow(tokens(texts)) for texts in rows]).map(torch.from_numpy)


def fast(model):
    """A copy with the fast modules, under the same names."""
    model = deepcopy(model)
    keys = {name: value.shape for name, value in model.state_dict().items()}
    make_fast(model)
    assert {name: value.shape for name, value in model.state_dict().items()} == keys
    return model


def gradients(model, features):
    model.zero_grad()
    weights = torch.linspace(-1, 1, features.numel(), dtype=features.dtype).view_as(features)
    (features * weights).sum().backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def relative(one, two):
    assert one.keys() == two.keys()
    difference = sum((one[name].double() - two[name].double()).square().sum() for name in one)
    return float((difference / sum(value.double().square().sum() for value in two.values())).sqrt())


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", SERVED)
def test_embeddings_and_gradients_of_trees_are_open_clips_in_float64(name, again, architecture):
    if name == "gelu":
        architecture.write_text(json.dumps(json.loads(architecture.read_text()) | {"quick_gelu": False}))
    clip = build(architecture, CHANGES[name])
    plain = clip.model.double()
    assert obstacle(text_tower(plain)) == ""
    rows = groups(seed=1)
    model = fast(plain)
    model.set_grad_checkpointing(again)
    found = encode_trees(model, trees_of(clip, rows))
    expected = plain.encode_text(clip.tokenizer([text for texts in rows for text in texts]))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    assert relative(gradients(model, found), gradients(plain, expected)) < 1e-13


@pytest.mark.parametrize("seed", range(3))
def test_in_float32_gradients_agree_within_1e_5(seed, architecture):
    clip = build(architecture, {})
    rows = groups(seed)
    model = fast(clip.model)
    found = encode_trees(model, trees_of(clip, rows))
    expected = clip.model.encode_text(clip.tokenizer([text for texts in rows for text in texts]))
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
    assert relative(gradients(model, found), gradients(clip.model, expected)) < 1e-5


@pytest.mark.parametrize("name", CHANGES)
def test_the_fast_modules_are_open_clips_on_images_and_token_rows(name, architecture):
    clip = build(architecture, CHANGES[name])
    plain = clip.model.double()
    model = fast(plain)
    texts = clip.tokenizer(["a ball", "a red ball left of a small green car in the snow", "star"])
    cut = texts[:, : used_length(plain, texts)]
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for found, expected in (
        (encode_text(model, cut), plain.encode_text(texts)),
        (encode_image(model, images), plain.encode_image(images)),
        (model.encode_text(texts), plain.encode_text(texts)),
        (model.encode_image(images), plain.encode_image(images)),
    ):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
        assert relative(gradients(model, found), gradients(plain, expected)) < 1e-13


def test_patches_that_do_not_fill_the_image_are_those_of_the_convolution(architecture):
    plain = build(architecture, {}).model
    images = torch.randn(2, 3, 39, 32)
    torch.testing.assert_close(fast(plain).visual.conv1(images), plain.visual.conv1(images), atol=1e-6, rtol=1e-5)


def test_bfloat16_is_as_near_to_float32_as_open_clip_is(architecture):
    clip = build(architecture, {})
    rows = groups(seed=2)
    exact = encode_trees(fast(clip.model), trees_of(clip, rows))
    with torch.autocast("cpu", torch.bfloat16):
        ours = encode_trees(fast(clip.model), trees_of(clip, rows)).float()
        theirs = clip.model.encode_text(clip.tokenizer([text for texts in rows for text in texts])).float()
    assert 1e-4 < (ours - exact).norm() / exact.norm() < 1.2 * (theirs - exact).norm() / exact.norm()


def test_a_part_of_a_batch_is_encoded_as_in_the_batch(architecture):
    clip = build(architecture, {})
    model = fast(clip.model.double())
    trees = trees_of(clip, groups(seed=3))
    parts = torch.cat([encode_trees(model, part) for part in trees.tensor_split(3)])
    torch.testing.assert_close(parts, encode_trees(model, trees), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("not causal", "not causal"), ("first token", "'first'"), ("last token", "'last'"), ("other blocks", "plain blocks")],
)
def test_towers_that_cannot_encode_trees_say_why(name, reason, architecture):
    assert reason in obstacle(text_tower(build(architecture, CHANGES[name]).model))
