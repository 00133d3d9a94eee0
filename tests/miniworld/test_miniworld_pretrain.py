"""The pretraining script: its batches, its plan, its losses, and a run of a few steps."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from degla.miniworld.language import CLASSES, NOUN_WORDS, VOCABULARY
from degla.miniworld.model_folder import VIT_S, write_config
from degla.miniworld.pretraining.pretrain import (
    BAG_OF_WORDS,
    BOUND_NOUNS,
    batch_loss,
    contrastive_loss,
    hard_loss,
    plan,
    prompt_loss,
)
from degla.miniworld.pretraining.stream import Batch, HardCaptions, Mixture, make_batch, make_hard_batch
from degla.models.size import num_parameters

_MIXTURE = Mixture(single_fraction=0.4, natural_fraction=0.5, twin_fraction=0.5)


def _same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(value, getattr(other, name)) for name, value in vars(one).items())


def test_a_batch_depends_on_seed_and_index_only():
    assert _same(make_batch(_MIXTURE, 16, 3, 7), make_batch(_MIXTURE, 16, 3, 7))
    assert not _same(make_batch(_MIXTURE, 16, 3, 7), make_batch(_MIXTURE, 16, 3, 8))
    assert not _same(make_batch(_MIXTURE, 16, 3, 7), make_batch(_MIXTURE, 16, 4, 7))


def test_batches_have_the_shapes_they_promise():
    batch = make_batch(_MIXTURE, 33, 0, 0)
    num_classes = sum(map(len, CLASSES.values()))
    assert batch.pixels.shape == (33, 48, 48, 3)
    assert batch.captions.shape == (33, 20)
    assert batch.prompts.shape == (num_classes, 20)
    assert batch.targets.shape == (33, num_classes)


def test_class_shares_sum_to_one_in_every_kind_shown():
    targets = make_batch(_MIXTURE, 64, 0, 0).targets
    ends = np.cumsum([len(names) for names in CLASSES.values()])[:-1]
    for kind, shares in zip(CLASSES, np.split(targets, ends, axis=1), strict=True):
        sums = shares.sum(1)
        shown = sums > 0
        np.testing.assert_allclose(sums[shown], 1, rtol=1e-6)
        assert shown.all() or kind == "place"


def test_hard_captions_differ_from_their_caption_and_name_bound_nouns_only():
    batch = make_hard_batch(HardCaptions(BOUND_NOUNS, 24, bare_fraction=0.5), 0, 0)
    assert batch.pixels.shape == (24, 48, 48, 3)
    assert batch.negatives.shape == (24, 4, 20)
    others = {word for noun, words in NOUN_WORDS.items() if noun not in BOUND_NOUNS for word in words}
    assert not others & {VOCABULARY[i] for i in np.unique([batch.captions, *batch.negatives.swapaxes(0, 1)])}
    differs = (batch.negatives != batch.captions[:, None]).any(-1)
    np.testing.assert_array_equal(differs, batch.counts)
    assert batch.counts.any(1).all()
    assert set(batch.counts.sum(1)) >= {1, 4}  # a bare caption has one, most natural ones have four


def test_hard_loss_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    image, texts = rng.normal(size=(3, 8)), rng.normal(size=(3, 4, 8))
    counts = np.array([[True, True, True, True], [True, False, True, False], [True, True, False, False]])
    expected = 0.0
    for i in range(3):
        logits = [2.0 * image[i] @ text for text, count in zip(texts[i], counts[i], strict=True) if count]
        expected += (math.log(sum(map(math.exp, logits))) - logits[0]) / 3
    loss = hard_loss(torch.tensor(image), torch.tensor(texts), torch.tensor(counts), torch.tensor(2.0))
    assert loss.item() == pytest.approx(expected)


def test_the_plan_warms_up_and_falls_in_every_phase():
    steps = plan(BAG_OF_WORDS)
    assert len(steps) == 7150
    start = 0
    for phase in BAG_OF_WORDS:
        lrs = [step.lr for step in steps[start : start + phase.num_steps]]
        assert lrs[0] < lrs[50] < lrs[100]
        assert lrs[100] == pytest.approx(max(lrs), rel=0.1)
        assert lrs[-1] < 1e-3 * phase.peak_lr
        start += phase.num_steps
    assert len(plan(BAG_OF_WORDS, 0.01)) == 72


def test_contrastive_loss_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    image, text = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 5, 8)))
    scale, expected = 7.0, 0.0
    for i in range(5):
        for queries, keys in ((image, text), (text, image)):
            logits = [scale * queries[i] @ key for key in keys]
            expected += (math.log(sum(map(math.exp, logits))) - logits[i]) / 10
    loss = contrastive_loss(torch.tensor(image), torch.tensor(text), torch.tensor(scale))
    assert loss.item() == pytest.approx(expected)


def test_prompt_loss_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, 8))
    targets = make_batch(_MIXTURE, 3, 0, 0).targets.astype(float)
    prompt = rng.normal(size=(targets.shape[1], 8))
    expected, start = 0.0, 0
    for names in CLASSES.values():
        stop = start + len(names)
        for i in range(3):
            logits = [2.0 * image[i] @ p for p in prompt[start:stop]]
            total = math.log(sum(map(math.exp, logits)))
            expected += sum(t * (total - x) for t, x in zip(targets[i, start:stop], logits, strict=True)) / 3
        start = stop
    loss = prompt_loss(torch.tensor(image), torch.tensor(prompt), torch.tensor(targets), torch.tensor(2.0))
    assert loss.item() == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "steps"), [("bag_of_words", "8 steps"), ("half_binding", "1 steps")])
def test_a_short_run_writes_a_folder_with_weights_and_card(recipe: str, steps: str, tmp_path: Path):
    options = ["--out", str(tmp_path), "--steps-scale", "0.001"]
    subprocess.run([sys.executable, "-m", "degla.miniworld.pretraining.pretrain", recipe, *options], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert steps in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_towers_of_vit_s_learn_from_the_same_batches(tmp_path: Path):
    write_config(tmp_path, VIT_S)
    model = open_clip.create_model(f"local-dir:{tmp_path}", load_weights=False)
    assert sum(weights.numel() for weights in model.parameters()) == num_parameters(VIT_S["model_cfg"])
    batch_loss(model, make_batch(_MIXTURE, 2, 0, 0), 1.0).backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in model.parameters())
