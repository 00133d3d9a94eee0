"""The shipped model: plain open_clip loads it, it sees well, and it takes captions for bags of words."""

import subprocess
import sys

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from degla.miniworld import CLIP_DIR, CLIP_DIRS
from degla.miniworld.benchmarks import CaptionChoiceKind, ClassificationKind, caption_choice, classification
from degla.miniworld.language import CONTEXT_LENGTH, VOCABULARY, encode, natural_caption
from degla.miniworld.pretraining import scores as probe
from degla.miniworld.scenes import sample_scene

LOCATION = f"local-dir:{CLIP_DIR}"


@pytest.fixture(scope="module")
def clip() -> open_clip.CLIP:
    return open_clip.create_model_from_pretrained(LOCATION, return_transform=False).eval()


def test_importing_the_package_loads_no_torch():
    modules = "degla.miniworld.benchmarks, degla.miniworld.dataset"
    code = f"import sys, {modules}; print({{'torch', 'open_clip'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_the_model_is_float32_and_small(clip: open_clip.CLIP):
    assert {p.dtype for p in clip.parameters()} == {torch.float32}
    assert sum(p.numel() for p in clip.parameters()) < 600_000
    assert (CLIP_DIR / "open_clip_model.safetensors").stat().st_size < 1_200_000


def test_the_tokenizer_agrees_with_the_worlds_own_encoding():
    tokenizer = open_clip.get_tokenizer(LOCATION)
    rng = np.random.default_rng(0)
    texts = [natural_caption(sample_scene(rng), rng).text for _ in range(100)]
    texts += [text.capitalize() + "." for text in texts] + ["", "a zebra, on the moon", "ball " * 40, "red-hot"]
    ids = tokenizer(texts)
    assert ids.shape == (len(texts), CONTEXT_LENGTH)
    assert np.array_equal(ids.numpy(), encode(texts))


def test_every_text_ends_in_the_highest_id_even_when_it_is_too_long():
    ids = open_clip.get_tokenizer(LOCATION)(["a ball", "a ball " * 30])
    assert ids.max(1).values.tolist() == [len(VOCABULARY) - 1] * 2
    assert ids.argmax(1).tolist() == [3, CONTEXT_LENGTH - 1]


def test_preprocessing_is_that_of_pretraining():
    _, preprocess = open_clip.create_model_from_pretrained(LOCATION)
    images = caption_choice("swap_obj", "validation", 3).images
    ours = probe.to_pixels(images)
    theirs = torch.stack([preprocess(Image.fromarray(image)) for image in images])
    torch.testing.assert_close(theirs, ours)


def _accuracy(clip: open_clip.CLIP, kind: ClassificationKind, size: int) -> float:
    data = classification(kind, "validation", size)
    first_prompts = [prompts[0] for prompts in data.class_prompts]
    scores = probe.embed_images(clip, data.images) @ probe.embed_texts(clip, first_prompts).T
    return float((scores.argmax(1).numpy() == data.labels).mean())


@pytest.mark.parametrize(("kind", "at_least"), [("noun_photo", 0.6), ("noun_sketch", 0.7), ("colour", 0.7), ("place", 0.8)])
def test_zero_shot_classification_is_far_above_chance(clip: open_clip.CLIP, kind: ClassificationKind, at_least: float):
    assert _accuracy(clip, kind, 150) > at_least


def _choice_accuracy(clip: open_clip.CLIP, kind: CaptionChoiceKind, size: int) -> float:
    data = caption_choice(kind, "validation", size)
    right, wrong = (probe.embed_texts(clip, [candidates[i] for _, candidates in data.items]) for i in (0, 1))
    images = probe.embed_images(clip, data.images)
    return float(((images * right).sum(1) > (images * wrong).sum(1)).float().mean())


def test_the_model_reads_a_bag_of_words(clip: open_clip.CLIP):
    assert _choice_accuracy(clip, "replace_obj", 200) > 0.9
    for kind in ("swap_obj", "swap_att"):
        # 0.5 give or take three standard deviations of 400 fair coins.
        assert _choice_accuracy(clip, kind, 400) == pytest.approx(0.5, abs=0.075)


def test_the_half_binding_model_tells_some_swaps_and_recognises_as_much():
    second = open_clip.create_model_from_pretrained(
        f"local-dir:{CLIP_DIRS['miniworld-half-binding']}", return_transform=False
    ).eval()
    swaps = [_choice_accuracy(second, kind, 400) for kind in ("swap_obj", "swap_att")]
    assert 0.58 <= sum(swaps) / 2 <= 0.66  # docs/study.md, question 5
    assert _accuracy(second, "noun_photo", 150) > 0.6


def test_plain_open_clip_finds_the_caption_of_an_image(clip: open_clip.CLIP):
    model, preprocess = open_clip.create_model_from_pretrained(LOCATION)
    tokenizer = open_clip.get_tokenizer(LOCATION)
    data = caption_choice("replace_obj", "test", 8)
    with torch.no_grad():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in data.images])
        image = normalize(model.encode_image(pixels), dim=-1)
        text = normalize(model.encode_text(tokenizer([candidates[0] for _, candidates in data.items])), dim=-1)
    assert ((image @ text.T).argmax(1) == torch.arange(8)).float().mean() >= 0.75
