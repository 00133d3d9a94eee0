"""Three steps in plain torch and open_clip's own modules, the comparison for the ranks: one process, the whole batch and whole
token rows, no DeepSpeed, nothing split, shared or computed again. In bfloat16 it is the trainer's modules and trees, which
round as the ranks' do."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional

from degla.models.loading import load
from degla.train.embeddings import Encoded, embed
from degla.train.job import Job
from degla.train.model import ImageNormaliser, TrainingClip
from degla.train.objective import View
from degla.train.training import batch_maker

SCALE = 4.7
"""The logit scale at the start: above its bound, so that the clamp acts."""
TEACHER = 1.01
"""The teacher's weights at the start, relative to the student's, so that the distillation has a gradient at once."""
NO_DECAY = ("bias", *(f"ln_{which}.weight" for which in ("1", "2", "pre", "post", "final")), "logit_scale", "class_embedding")


Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Steps:
    """What three steps were and came to."""

    losses: list[dict[str, float]]
    gradients: Arrays
    """Of the first step."""
    student: Arrays
    """After the last step."""
    teacher: Arrays
    start: Arrays
    """The student before the first step."""


class PlainClip(nn.Module):
    """open_clip's own encoding, with the names and the scale of `TrainingClip`."""

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        self.clip = clip
        clip.logit_scale = nn.Parameter(clip.logit_scale.detach().reshape(1))

    def forward(self, image_BCHW: Tensor, text_TL: Tensor) -> Encoded:
        whole_TL = functional.pad(text_TL, (0, self.clip.context_length - text_TL.shape[1]))
        return Encoded(self.clip.encode_image(image_BCHW), self.clip.encode_text(whole_TL), self.clip.logit_scale.exp())


def plain_steps(job: Job) -> Steps:
    config = job.config
    clip = load(config.model, seed=config.seed)
    bf16 = config.precision == "bf16"
    make, objective = batch_maker(job, clip, not bf16, 0, 1), config.chosen
    alpha = 0.5 ** (config.batch_size / config.ema_half_life_samples)
    student = TrainingClip(clip.model).eval() if bf16 else PlainClip(clip.model).eval()
    with torch.no_grad():
        student.clip.logit_scale.fill_(SCALE)
    teacher = deepcopy(student).requires_grad_(False)
    for parameter in teacher.parameters():
        parameter.mul_(TEACHER)
    start = arrays(student)
    named = list(student.named_parameters())
    groups = [
        {"params": [value for name, value in named if not name.endswith(NO_DECAY)], "weight_decay": config.weight_decay},
        {"params": [value for name, value in named if name.endswith(NO_DECAY)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, foreach=False)
    normalise = ImageNormaliser(clip.preprocessing.mean, clip.preprocessing.std, torch.device("cpu"))

    lines, gradients = [], {}
    for step in range(3):
        batch = make(step)
        image, slot, kind = map(torch.from_numpy, (batch.image_BHW3, batch.slot_T, batch.type_BK))
        text = batch.text.map(torch.from_numpy) if bf16 else torch.from_numpy(batch.text)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            encoded, target = student(normalise(image), text), teacher(normalise(image), text)
        own, old = embed(encoded, slot, kind), embed(target, slot, kind)
        losses = objective(View(own, old, own, 0, encoded.scale.squeeze(), {}))
        lines.append({name: float(part.detach()) for name, part in {"total": losses.total, **losses.parts}.items()})
        optimizer.zero_grad()
        losses.total.backward()
        gradients = gradients or {name: value.grad.numpy().copy() for name, value in named}
        optimizer.step()
        with torch.no_grad():
            student.clip.logit_scale.clamp_(max=torch.tensor(100.0).log())
            for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                old.copy_(alpha * old + (1 - alpha) * new)
    return Steps(lines, gradients, arrays(student), arrays(teacher), start)


def arrays(model: nn.Module) -> Arrays:
    """A copy of its parameters by name."""
    return {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
