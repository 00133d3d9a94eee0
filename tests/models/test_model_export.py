"""An exported folder is an open_clip model: plain open_clip gives the same features and tokens."""

import json
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from degla.errors import ModelError
from degla.models import ModelRef
from degla.models.export import export
from degla.models.loading import load


@pytest.mark.parametrize("name", ["miniworld", "tiny"])
def test_plain_open_clip_loads_an_exported_folder(name, architecture, tmp_path):
    ref = ModelRef() if name == "miniworld" else ModelRef(architecture=str(architecture), weights="random")
    clip = load(ref)
    with torch.no_grad():
        clip.model.text_projection.mul_(1.5)
    files = export(tmp_path / "model", clip, clip.model.state_dict(), {"steps": 3})
    assert sorted(files) == sorted(path.name for path in (tmp_path / "model").iterdir())

    plain, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'model'}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'model'}")
    texts = ["a red ball left of a car", "a house by night"]
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 70, 3), dtype=np.uint8))
    assert torch.equal(tokenizer(texts), clip.tokenizer(texts))
    assert torch.equal(preprocess(image), clip.preprocess(image))
    with torch.no_grad():
        assert torch.equal(plain.eval().encode_text(tokenizer(texts)), clip.model.encode_text(clip.tokenizer(texts)))
        assert torch.equal(plain.encode_image(preprocess(image)[None]), clip.model.encode_image(clip.preprocess(image)[None]))
    assert plain.logit_scale.shape == ()

    again = load(ModelRef(architecture=f"local-dir:{tmp_path / 'model'}"))
    assert (again.activation, again.preprocessing) == (clip.activation, clip.preprocessing)
    assert json.loads((tmp_path / "model" / "training.json").read_text()) == {"steps": 3}


def test_a_tokenizer_that_came_by_its_name_leaves_with_the_model(tmp_path):
    """As of `ViT-H-14-CLIPA`, whose tokenizer open_clip takes from the hub."""
    clip = replace(load(ModelRef()), tokenizer_files=())
    files = export(tmp_path / "model", clip, clip.model.state_dict(), {})
    assert sorted(files) == sorted(path.name for path in (tmp_path / "model").iterdir())
    texts = ["a red ball left of a car"]
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'model'}")
    assert torch.equal(tokenizer(texts), clip.tokenizer(texts))


def test_an_exported_model_refuses_another_activation_and_other_preprocessing(architecture, tmp_path):
    clip = load(ModelRef(architecture=str(architecture), weights="random"))
    export(tmp_path / "model", clip, clip.model.state_dict(), {})
    path = tmp_path / "model" / "open_clip_config.json"
    written = json.loads(path.read_text())
    for section, key, value in (("model_cfg", "quick_gelu", False), ("preprocess_cfg", "mean", [0.5, 0.5, 0.5])):
        changed = json.loads(json.dumps(written))
        changed[section][key] = value
        path.write_text(json.dumps(changed))
        with pytest.raises(ModelError, match="activation" if section == "model_cfg" else "preprocess_cfg"):
            load(ModelRef(architecture=f"local-dir:{tmp_path / 'model'}"))
