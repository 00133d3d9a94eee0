"""Three steps of training on trees are three steps on open_clip's own modules and whole token rows, in float64: losses, weights
and the teacher's weights."""

import random
from copy import deepcopy

import numpy as np
import pytest
import torch
from plain_steps import PlainClip

from degla.models import ModelRef
from degla.models.encoding import used_lengths
from degla.models.loading import load
from degla.models.trees import grow, planted
from degla.train.chunks import encode_in_chunks, joined, shares, split, stand_in
from degla.train.config import TrainConfig
from degla.train.engine import MAX_LOGIT_SCALE, parameter_groups
from degla.train.model import TrainingClip, features
from degla.train.objective import Objective
from degla.train.parts import held
from degla.train.teacher import Teacher

WORDS = "ball car tree house on under the a red green big small left right of and dog cat".split()  # noqa: SIM905
NEGATIVES = 3
ROWS = 5
CONFIG = TrainConfig(lr=1e-3, eps=1e-3, loss={"distill": 5.0})  # an eps that does not turn rounding into whole steps


def batches(clip, seed):
    """Images, whole token rows, trees, places and types of texts: from none to all of the negatives, and equal ones."""
    draw = random.Random(seed)
    while True:
        rows, kind = [], np.full((ROWS, NEGATIVES), -1)
        for row in range(ROWS):
            caption = [draw.choice(WORDS) for _ in range(draw.randint(2, 14))]
            texts = [caption]
            for _ in range(draw.randint(0, NEGATIVES)):
                texts.append([draw.choice(WORDS) if draw.random() < 0.2 else word for word in caption])
            kind[row, : len(texts) - 1] = 0
            rows.append([" ".join(text) for text in texts])
        slot = torch.from_numpy(np.flatnonzero(np.c_[np.ones(ROWS, bool), kind >= 0]))
        text_TL = clip.tokenizer([text for texts in rows for text in texts])
        each = iter([row[:n] for row, n in zip(text_TL.tolist(), used_lengths(clip.model, text_TL).tolist(), strict=True)])
        trees = planted([grow([next(each) for _ in texts]) for texts in rows]).map(torch.from_numpy)
        image = torch.randn(ROWS, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(draw.randrange(99)))
        yield image, text_TL, trees, slot, torch.from_numpy(kind)


def train(model, batch, pick, chunks=1):
    """Losses of three steps, and the weights of student and teacher after them."""
    teacher = Teacher(model, alpha=0.9)
    with torch.no_grad():
        for parameter in teacher.model.parameters():  # so that the distillation has a gradient at once
            parameter.mul_(1.01)
    adam = torch.optim.AdamW(parameter_groups(model, 0.1), lr=CONFIG.lr, betas=CONFIG.betas, eps=CONFIG.eps)
    objective, losses = Objective(CONFIG), []
    for _ in range(3):
        image, *texts, slot, kind = next(batch)
        inputs = (image, texts[pick])
        if chunks == 1:
            outputs = model(*inputs)
        else:
            parts = encode_in_chunks(model, *inputs, chunks)
            outputs = tuple(output.requires_grad_() for output in joined(parts))
        *student, scale = outputs
        *target, _ = teacher(*inputs, chunks)
        loss = objective(features(slot, kind, *student), features(slot, kind, *target), scale.squeeze())
        losses.append([float(value.detach()) for value in (loss.total, *loss.parts.values())])
        adam.zero_grad()
        if chunks == 1:
            loss.total.backward()
        else:
            gradients = torch.autograd.grad(loss.total, outputs)
            for chunk, share in zip(split(*inputs, chunks), shares(gradients, parts), strict=True):
                stand_in(model(*chunk), share).backward()
        adam.step()
        with torch.no_grad():
            model.clip.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        teacher.follow(held(model.parameters()))
    return torch.tensor(losses), dict(model.named_parameters()), dict(teacher.model.named_parameters())


@pytest.mark.parametrize(("chunks", "again"), [(1, False), (1, True), (2, False)])
def test_three_steps_on_trees_are_those_of_open_clip(tiny, chunks, again):
    clip = load(ModelRef(architecture=tiny, weights="random"), seed=3)
    clip.model.double()
    plain, ours = PlainClip(deepcopy(clip.model)).eval(), TrainingClip(deepcopy(clip.model)).eval()
    ours.clip.set_grad_checkpointing(again)
    expected = train(plain, batches(clip, seed=5), pick=0)
    found = train(ours, batches(clip, seed=5), pick=1, chunks=chunks)
    tolerance = 1e-12 if chunks == 1 else 1e-6  # what stands in for the loss of a chunk is summed in float32
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance)
    before = dict(TrainingClip(deepcopy(clip.model)).named_parameters())
    for now, then in zip(found[1:], expected[1:], strict=True):
        assert now.keys() == then.keys()
        for name, value in now.items():
            torch.testing.assert_close(value, then[name], rtol=tolerance, atol=tolerance)
        assert sum((now[name] - before[name]).abs().max() > 1e-4 for name in now) > len(now) / 2
