"""Features of many texts and images are open_clip's own, one by one, whatever the batches and the neighbours in a tree."""

import random

import numpy as np
import pytest
import torch
from test_model_encoding import CHANGES, build
from torch.nn import functional

from degla.models import features
from degla.models.fast_modules import make_fast

WORDS = ["ball", "car", "tree", "house", "on", "under", "the", "a", "red", "green", "big"]


def texts() -> list[str]:
    draw = random.Random(1)
    some = [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(25)]
    rewrites = [" ".join([*text.split()[:-1], "star"]) for text in some]
    return [*some, *rewrites, "A  ball", "a ball", "a", "", "a " * 60, "a " * 59 + "ball"]


@torch.inference_mode()
def one_by_one(clip, token_TL):
    rows = torch.cat([clip.model.encode_text(row[None]) for row in token_TL])
    return functional.normalize(rows.double(), dim=-1).numpy()


@pytest.mark.parametrize("name", CHANGES)
def test_features_of_texts_are_open_clips(name, architecture, monkeypatch):
    clip = build(architecture, CHANGES[name])
    token_TL = clip.tokenizer(texts())
    expected = one_by_one(clip, token_TL)
    make_fast(clip.model)
    for size, batch_size in ((1, 1000), (30, 7), (96, 1000), (1000, 30)):
        monkeypatch.setattr(features, "_TREE_SIZE", size)
        done = []
        found = features.text_features(clip, token_TL, batch_size, done.append)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        assert done[-1] == len(token_TL)
        assert len(done) == -(-len(token_TL) // batch_size)


def test_what_texts_share_at_their_beginning_is_computed_once(architecture, monkeypatch):
    clip = build(architecture, {})
    make_fast(clip.model)
    sizes = []

    def counted(model, trees):
        sizes.append((len(trees.token_M), max(trees.nodes_B)))
        return encode_trees(model, trees)

    encode_trees = features.encode_trees
    monkeypatch.setattr(features, "encode_trees", counted)
    some = [f"a red ball on the big green {word}" for word in WORDS]
    # start and 7 words once a tree, then a word and the end for each text: 8 + 2 * 11 = 30 nodes
    features.text_features(clip, clip.tokenizer(some), 64)
    monkeypatch.setattr(features, "_TREE_SIZE", 12)
    features.text_features(clip, clip.tokenizer(some), 64)
    assert sizes == [(30, 30), (6 * 8 + 22, 12)]


def test_features_of_images_are_open_clips(architecture):
    clip = build(architecture, {})
    image = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = functional.normalize(clip.model.encode_image(image).double(), dim=-1).numpy()
        make_fast(clip.model)
        np.testing.assert_allclose(features.image_features(clip, list(image)), expected, rtol=0, atol=2e-6)
