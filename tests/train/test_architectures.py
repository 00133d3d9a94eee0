"""Runs with two ranks of models that keep their text tower elsewhere, or encode it otherwise, than OpenAI's CLIP."""

import json

import open_clip
import pytest
import torch
from small_inputs import TINY
from test_train_stage import settings

from degla.models import ModelRef
from degla.models.loading import load
from degla.train import run
from degla.train.batches.pixels import Crop

COCA = {
    "text_cfg": {"embed_cls": True, "output_tokens": True},
    "vision_cfg": {"output_tokens": True, "attentional_pool": True, "attn_pooler_heads": 2},
    "multimodal_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
RESNET = {"layers": [1, 1, 1, 1], "width": 16, "head_width": 8, "image_size": 32}
SQUASH = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}


def written(path, change):
    config = {key: {**value, **change.get(key, {})} if isinstance(value, dict) else value for key, value in TINY.items()}
    config |= {key: value for key, value in change.items() if key not in TINY}
    if change.get("vision_cfg") is RESNET:
        config["vision_cfg"] = RESNET
    path.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": SQUASH}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "zero_stage", "line"),
    [
        ({"custom_text": True}, 3, None),
        ({"custom_text": True, **COCA}, 1, "class token"),
        ({"text_cfg": {"no_causal_mask": True, "pool_type": "last"}, "vision_cfg": RESNET}, 0, "not causal"),
    ],
    ids=["custom", "coca", "not causal, ResNet"],
)
def test_other_architectures_train_and_leave_as_open_clip_models(change, zero_stage, line, inputs, tmp_path, capfd):
    path = written(tmp_path / "other.json", change)
    artifact = run(settings(path, steps=3, zero_stage=zero_stage, lr=1e-2), inputs, tmp_path / "out")
    said = capfd.readouterr().out
    assert ("texts are encoded one by one" in said) == (line is not None)
    assert (line or "") in said
    before = load(ModelRef(architecture=str(path), weights="random"), seed=settings(path).seed).model.state_dict()
    folder = f"local-dir:{artifact.path / 'model'}"
    after, _ = open_clip.create_model_from_pretrained(folder)
    assert load(ModelRef(architecture=folder)).preprocessing.resize_mode == "squash"
    same = {key for key, value in after.state_dict().items() if torch.equal(value, before[key])}
    frozen = {
        key for key in before if key.startswith("text_decoder.") or "running_" in key or key.endswith("num_batches_tracked")
    }
    assert frozen <= same
    assert not {key for key in same - frozen if key.endswith("weight")}


def test_crops_are_made_as_the_model_is_evaluated(tmp_path):
    clip = load(ModelRef(architecture=str(written(tmp_path / "squash.json", {})), weights="random"))
    crop = Crop.of(clip.preprocessing, (0.9, 1.0), 7)
    assert (crop.size, crop.resize_mode, crop.interpolation) == ((32, 32), "squash", "bilinear")


@pytest.mark.slow
def test_an_objective_that_compares_tokens_says_that_it_has_no_trees(inputs, tiny, tmp_path, capfd):
    run(settings(tiny, steps=1, ranks=1, objective="fsc_clip"), inputs, tmp_path / "out")
    assert "not as prefix trees: the objective compares their tokens" in capfd.readouterr().out
