"""transformers' CLIP, both ways, against transformers itself: the same features and tokens within rounding."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from degla.errors import ModelError
from degla.miniworld import CLIP_DIR
from degla.models import ModelRef, hf_clip
from degla.models.loading import load

TEXTS = ["A red ball, left of the dog's car!", "two dogs under a tree", "a house"]
TOWER = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture
def make_theirs(tmp_path):
    """A folder as `save_pretrained` writes it, with random weights."""

    def make(activation="quick_gelu", epsilon=1e-5, eos=49407, **processor):
        torch.manual_seed(0)
        shared = {"hidden_act": activation, "layer_norm_eps": epsilon, **TOWER}
        config = CLIPConfig(
            text_config=shared | {"max_position_embeddings": 24, "eos_token_id": eos},
            vision_config=shared | {"image_size": 32, "patch_size": 8},
            projection_dim=16,
        )
        model = CLIPModel(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(tmp_path / "theirs")
        sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        CLIPImageProcessor(**sizes | processor).save_pretrained(tmp_path / "theirs")
        return model, tmp_path / "theirs"

    return make


def image(size=(32, 32), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8))


def features(model, tokens, pixels):
    with torch.no_grad():
        found = model.get_text_features(input_ids=tokens), model.get_image_features(pixel_values=pixels)
    return [each if isinstance(each, torch.Tensor) else each.pooler_output for each in found]


def assert_same(clip, theirs, tokens, their_tokens, pixels):
    """The most that a feature of norm 1 differs."""
    text, visual = features(theirs, their_tokens, pixels)
    with torch.no_grad():
        ours = clip.model.encode_text(tokens), clip.model.encode_image(pixels)
    for our, their in zip(ours, (text, visual), strict=True):
        assert (our / our.norm(dim=-1, keepdim=True) - their / their.norm(dim=-1, keepdim=True)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("settings", "stated"),
    [
        ({}, {}),
        ({"activation": "gelu", "epsilon": 1e-3}, {}),
        ({"eos": 2}, {}),
        ({"resample": 2, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}, {"interpolation": "bilinear", "mean": (0.5,) * 3}),
        ({"do_center_crop": False, "size": {"height": 32, "width": 32}}, {"resize_mode": "squash"}),
    ],
)
def test_a_folder_of_transformers_loads_with_its_features_and_preprocessing(settings, stated, make_theirs):
    theirs, folder = make_theirs(**settings)
    clip = load(ModelRef(architecture=f"local-dir:{folder}"))
    for key, value in stated.items():
        assert getattr(clip.preprocessing, key) == value
    tokens = clip.tokenizer(TEXTS)
    pixels = torch.stack([clip.preprocess(image(seed=seed)) for seed in range(3)])
    assert_same(clip, theirs, tokens, tokens, pixels)
    processor = CLIPImageProcessor.from_pretrained(folder)
    for size, most in (((32, 32), 1e-6), ((48, 36), 0.02)):  # their scaling is torchvision's on tensors, ours Pillow's
        both = clip.preprocess(image(size)), processor(image(size), return_tensors="pt")["pixel_values"][0]
        assert (both[0] - both[1]).abs().mean() < most


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("config.json", {"model_type": "siglip"}, "is of a 'siglip' model"),
        ("config.json", {"vision_config": {"hidden_act": "relu"}}, "hidden_act is relu for images and quick_gelu for texts"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 64}}, "open_clip has no such preprocessing.*64"),
        ("preprocessor_config.json", {"do_normalize": False}, "no such preprocessing"),
        ("preprocessor_config.json", {"resample": 1}, "no such preprocessing"),
    ],
)
def test_what_open_clip_cannot_compute_is_refused(file, change, words, make_theirs):
    _, folder = make_theirs()
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(ModelError, match=words):
        load(ModelRef(architecture=f"local-dir:{folder}"))


def test_a_processor_that_names_no_colours_has_the_default_ones_of_transformers(make_theirs):
    _, folder = make_theirs()
    path = folder / "preprocessor_config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in said.items() if key not in ("image_mean", "image_std")}))
    found = load(ModelRef(architecture=f"local-dir:{folder}")).preprocessing
    theirs = CLIPImageProcessor.from_pretrained(folder)
    assert (found.mean, found.std) == (tuple(theirs.image_mean), tuple(theirs.image_std))


@pytest.mark.parametrize("name", ["tiny", "miniworld", "squash"])
def test_an_exported_model_gives_transformers_the_same_features_tokens_and_pixels(name, architecture, tmp_path):
    config = json.loads(architecture.read_text())
    if name == "squash":
        squash = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
        config = {"model_cfg": config | {"custom_text": True, "quick_gelu": False}, "preprocess_cfg": squash}
    architecture.write_text(json.dumps(config))
    clip = load(ModelRef() if name == "miniworld" else ModelRef(architecture=str(architecture), weights="random"))
    files = hf_clip.export(tmp_path / "out", clip)
    assert files == sorted(path.name for path in (tmp_path / "out").iterdir())

    theirs = CLIPModel.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    texts = ["a red ball left of a car"] if name == "miniworld" else TEXTS
    their_tokens = tokenizer(texts, return_tensors="pt", padding=True, truncation=True).input_ids
    tokens = clip.tokenizer(texts)
    for our, their in zip(tokens.tolist(), their_tokens.tolist(), strict=True):
        end = min(our.index(max(our)), len(their) - 1) + 1
        assert our[:end] == their[:end]
    pixels = torch.stack([clip.preprocess(image(clip.preprocessing.height_width, seed)) for seed in range(3)])
    processor = CLIPProcessor.from_pretrained(tmp_path / "out")
    their_pixels = processor(images=[image(clip.preprocessing.height_width, seed) for seed in range(3)], return_tensors="pt")
    assert (their_pixels["pixel_values"] - pixels).abs().max() < 1e-5
    assert_same(clip, theirs, tokens, their_tokens, pixels)
    again = load(ModelRef(architecture=f"local-dir:{tmp_path / 'out'}"))
    assert (again.preprocessing, again.activation) == (clip.preprocessing, clip.activation)
    for key, value in clip.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key.removeprefix("text.")], value), key
    assert torch.equal(again.tokenizer(texts), tokens)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 8, "image_size": 32}}, "ResNet"),
        ({"text_cfg": {"no_causal_mask": True, "pool_type": "last"}}, "no text_cfg.no_causal_mask=True"),
        ({"vision_cfg": {"ls_init_value": 0.1}}, "no vision_cfg.ls_init_value=0.1"),
    ],
)
def test_what_a_clip_of_transformers_cannot_compute_is_not_exported(change, words, architecture, tmp_path):
    config = json.loads(architecture.read_text())
    for section, settings in change.items():
        config[section] = settings if "head_width" in settings else config[section] | settings
    architecture.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"cannot compute this model: .*{words}"):
        hf_clip.export(tmp_path / "out", load(ModelRef(architecture=str(architecture), weights="random")))
    assert not (tmp_path / "out").exists()


def test_the_miniature_that_degla_ships_is_untouched():
    assert not (CLIP_DIR / "config.json").exists()
