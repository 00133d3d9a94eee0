"""Text towers in open_clip's other classes: features as open_clip's own, by trees where that is exact."""

import json
from pathlib import Path

import open_clip
import pytest
import torch

from degla.errors import ModelError
from degla.models import ModelRef
from degla.models.architecture import list_architectures
from degla.models.encoding import encode_image, encode_text
from degla.models.fast_modules import make_fast
from degla.models.features import text_features
from degla.models.loading import load
from degla.models.support import TREES, support, table
from degla.models.towers import text_tower
from degla.models.tree_encoding import obstacle

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 2, "head_width": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}

COCA = {"text_cfg": {"embed_cls": True, "output_tokens": True}, "vision_cfg": {"output_tokens": True, "attentional_pool": True}}
COCA["vision_cfg"]["attn_pooler_heads"] = 2
COCA["multimodal_cfg"] = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
SIGLIP = {
    "custom_text": True,
    "init_logit_bias": -10,
    "text_cfg": {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}},
}
KINDS = {
    "custom": {"custom_text": True},
    "coca": {"custom_text": True, **COCA},
    "siglip": SIGLIP,
    "noncausal": {"custom_text": True, "text_cfg": {"no_causal_mask": True}},
    "clipa": {"text_cfg": {"no_causal_mask": True, "pool_type": "last"}, "vision_cfg": {"no_ln_pre": True, "pool_type": "avg"}},
    "eos": {"text_cfg": {"pool_type": "eos", "eos_id": 49407}},
    "ls": {"vision_cfg": {"ls_init_value": 0.1}, "text_cfg": {"ls_init_value": 0.1}},
}


def changed(change):
    return {
        key: TINY[key] | change[key] if isinstance(TINY.get(key), dict) and key in change else change.get(key, TINY.get(key))
        for key in TINY | change
    }


@pytest.fixture
def make(tmp_path):
    def make(kind, **options):
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(changed(KINDS[kind])))
        return load(ModelRef(architecture=str(path), weights="random"), seed=1, **options)

    return make


TEXTS = ["a red ball", "a red ball left of a car", "two dogs under a tree", "a red ball left of a tree", ""]


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_open_clip(kind, make):
    clip = make(kind, any_tower=True)
    tokens, pixels = clip.tokenizer(TEXTS), torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert tokens.shape[1] == clip.context_length == 24
    with torch.no_grad():
        expected = clip.model.encode_text(tokens, normalize=True), clip.model.encode_image(pixels, normalize=True)
        make_fast(clip.model)
        ours = encode_text(clip.model, tokens), encode_image(clip.model, pixels)
    for our, their in zip(ours, expected, strict=True):
        assert (our / our.norm(dim=-1, keepdim=True) - their).abs().max() < 1e-6
    assert (torch.from_numpy(text_features(clip, tokens, batch_size=2)) - expected[0]).abs().max() < 1e-6


def test_a_custom_text_tower_that_is_causal_encodes_trees_and_coca_does_not(make):
    assert obstacle(text_tower(make("custom").model)) == ""
    assert "class token" in obstacle(text_tower(make("coca").model))
    assert "not causal" in obstacle(text_tower(make("noncausal").model))


def test_siglip_is_scored_and_not_fine_tuned(make):
    assert make("siglip", any_tower=True).model.logit_bias.item() == -10
    with pytest.raises(ModelError, match="cannot be fine-tuned: it was trained with the sigmoid loss .SigLIP.*can be scored"):
        make("siglip")


def test_weights_of_a_plain_clip_are_named_where_a_custom_one_is_asked_for(make, tmp_path):
    clip = make("custom")
    torch.save(clip.model.state_dict(), tmp_path / "w.pt")
    again = load(ModelRef(architecture=str(tmp_path / "custom.json"), weights=str(tmp_path / "w.pt")))
    assert torch.equal(again.model.text.positional_embedding, clip.model.text.positional_embedding)


def test_what_is_said_of_an_architecture_is_what_the_built_model_does():
    """The table looks at text towers alone; here is the whole model, on no memory, of one architecture of each kind."""
    seen = set()
    for name in list_architectures():
        config = open_clip.get_model_config(name)
        kind = support(config)
        if kind in seen or kind.startswith("scored") or "timm_model_name" in config["vision_cfg"]:
            continue
        seen.add(kind)
        cls = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CLIP
        config.pop("custom_text", None)
        with torch.device("meta"):
            reason = obstacle(text_tower(cls(**config)))
        assert kind == TREES if not reason else reason in kind
    assert len(seen) == 3


def test_the_table_in_the_docs_is_made_from_all_architectures():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert table() in text, "run: python -m degla.models architectures, and put its output into docs/models.md"
    assert all(f"`{name}`" in text for name in open_clip.list_models())
