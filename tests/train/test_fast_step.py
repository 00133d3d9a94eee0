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
from degla.train.chunks import forward_in_chunks
from degla.train.config import TrainConfig
from degla.train.embeddings import embed
from degla.train.model import TrainingClip
from degla.train.objective import View
from degla.train.student import MAX_LOGIT_SCALE, held, parameter_groups
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
    losses = []
    for _ in range(3):
        image, *texts, slot, kind = next(batch)
        inputs = (image, texts[pick])
        adam.zero_grad()
        if chunks == 1:
            encoded, backward = model(*inputs), torch.Tensor.backward
        else:
            forward = forward_in_chunks(model, lambda scalar, _: scalar.backward(), *inputs, chunks)
            encoded, backward = forward.encoded, forward.backward
        student, target = embed(encoded, slot, kind), embed(teacher(*inputs, chunks), slot, kind)
        loss = CONFIG.chosen(View(student, target, student, 0, encoded.scale.squeeze(), {}))
        losses.append([float(value.detach()) for value in (loss.total, *loss.parts.values())])
        backward(loss.total)
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
