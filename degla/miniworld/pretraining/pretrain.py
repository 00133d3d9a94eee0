"""Pretrains the CLIP of the mini world from scratch: `python -m degla.miniworld.pretraining.pretrain --out DIR`.

The loss is CLIP's InfoNCE plus a class-prompt loss: each image against one random text of each of the 32 nouns, 12
colours, 4 textures and 8 places. It stands in for the batch of 32k pairs of a real CLIP, in which every class word is
always among the negatives; so this is not pure InfoNCE. The three phases are one command; the result reads its captions
as a bag of words, as a web-trained CLIP does.
Knows no stage of the pipeline. Run by hand, about twelve minutes on two cores; the result is committed in `clip/`.
"""

import argparse
import logging
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch.nn.functional import cross_entropy, log_softmax, normalize
from torch.utils.data import DataLoader, Dataset

from degla.miniworld.language import CLASSES
from degla.miniworld.model_card import write_card
from degla.miniworld.model_folder import write_config, write_weights
from degla.miniworld.pretraining import scores as probe
from degla.miniworld.pretraining.stream import Batch, Mixture, make_batch

logger = logging.getLogger(__name__)

BATCH_SIZE = 64
_WARMUP_STEPS = 100
_MAX_LOGIT_SCALE = math.log(100)
_LOG_EVERY, _PROBE_EVERY = 100, 300

# Without these half the time goes into page faults, as the allocator returns memory after every step.
_MALLOC_SETTINGS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with its own data mixture and its own cycle of the learning rate."""

    num_steps: int
    peak_lr: float
    mixture: Mixture
    prompt_weight: float
    """Weight of the class-prompt loss beside InfoNCE."""


PHASES = (
    # What things are called: places, then colours, then nouns, slowly textures.
    Phase(4900, 1e-3, Mixture(single_fraction=0.6, natural_fraction=0.1), prompt_weight=1.0),
    # Sentences about two objects, for all nouns; without them fine-tuning does not bind words to objects in time.
    Phase(750, 8e-4, Mixture(single_fraction=0.4, natural_fraction=0.7), prompt_weight=1.0),
    Phase(1500, 1e-3, Mixture(single_fraction=0.25, natural_fraction=0.9, twin_fraction=0.6), prompt_weight=0.5),
)


@dataclass(frozen=True)
class Step:
    """One step of the run: the phase it belongs to and its learning rate."""

    phase: Phase
    lr: float


def plan(phases: tuple[Phase, ...], steps_scale: float = 1.0) -> list[Step]:
    """Every step of the run. Each phase warms up linearly and falls to zero along a cosine."""
    steps = []
    for phase in phases:
        num_steps = max(1, round(phase.num_steps * steps_scale))
        for i in range(num_steps):
            warmup = min(1.0, (i + 1) / _WARMUP_STEPS)
            steps.append(Step(phase, phase.peak_lr * warmup * 0.5 * (1 + math.cos(math.pi * i / num_steps))))
    return steps


class _Batches(Dataset[Batch]):
    """Batch i of the plan, for the worker process that draws ahead of the training."""

    def __init__(self, steps: list[Step], seed: int) -> None:
        self._steps, self._seed = steps, seed

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Batch:
        return make_batch(self._steps[index].phase.mixture, BATCH_SIZE, self._seed, index)


def _keep(batch: Any) -> Any:
    return batch


def contrastive_loss(image_BD: torch.Tensor, text_BD: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """CLIP's symmetric InfoNCE over a batch of unit vectors."""
    logits_BB = scale * image_BD @ text_BD.T
    labels_B = torch.arange(len(logits_BB))
    return (cross_entropy(logits_BB, labels_B) + cross_entropy(logits_BB.T, labels_B)) / 2


def prompt_loss(image_BD: torch.Tensor, prompt_CD: torch.Tensor, targets_BC: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each image over the classes of a kind, summed over kinds; a row of zero targets adds 0."""
    logits_BC = scale * image_BD @ prompt_CD.T
    num_classes = [len(names) for names in CLASSES.values()]
    kinds = zip(logits_BC.split(num_classes, dim=1), targets_BC.split(num_classes, dim=1), strict=True)
    return -sum((targets * log_softmax(logits, dim=1)).sum(1).mean() for logits, targets in kinds)


def batch_loss(model: open_clip.CLIP, batch: Batch, prompt_weight: float) -> torch.Tensor:
    """InfoNCE of the pairs plus the weighted class-prompt loss."""
    image_BD = model.encode_image(probe.to_pixels(batch.pixels), normalize=True)
    texts = torch.cat([torch.from_numpy(batch.captions), torch.from_numpy(batch.prompts)])
    text_BD, prompt_CD = normalize(model.encode_text(texts), dim=-1).split([len(batch.captions), len(batch.prompts)])
    scale = model.logit_scale.exp()
    loss = contrastive_loss(image_BD, text_BD, scale)
    return loss + prompt_weight * prompt_loss(image_BD, prompt_CD, torch.from_numpy(batch.targets), scale)


def _optimizer(model: torch.nn.Module) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)


def train(model: open_clip.CLIP, steps: list[Step], seed: int) -> None:
    """Trains the model in place through all steps."""
    optimizer = _optimizer(model)
    batches = DataLoader(_Batches(steps, seed), batch_size=None, collate_fn=_keep, num_workers=1, prefetch_factor=8)
    started = time.monotonic()
    for done, (step, batch) in enumerate(zip(steps, batches, strict=True), start=1):
        for group in optimizer.param_groups:
            group["lr"] = step.lr
        loss = batch_loss(model, batch, step.phase.prompt_weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=_MAX_LOGIT_SCALE)
        if done % _LOG_EVERY == 0:
            left = (time.monotonic() - started) / done * (len(steps) - done)
            logger.info("step %d of %d, loss %.3f, %.0f s left", done, len(steps), loss.item(), left)
        if done % _PROBE_EVERY == 0:
            _log_zero_shot(model)


def _log_zero_shot(model: open_clip.CLIP) -> None:
    model.eval()
    scores = probe.zero_shot(model, "validation", num_images=256)
    logger.info("zero-shot %s", " ".join(f"{kind} {score:.1f}" for kind, score in scores.items()))
    model.train()


def _restart_with_malloc_settings() -> None:
    """The allocator reads its settings when a process starts, so the process is started again with them."""
    if not _MALLOC_SETTINGS.keys() <= os.environ.keys():
        os.execve(
            sys.executable,
            [sys.executable, "-m", "degla.miniworld.pretraining.pretrain", *sys.argv[1:]],
            {**os.environ, **_MALLOC_SETTINGS},
        )


def main() -> None:
    """Reads the command line, trains, writes the model folder and its card."""
    parser = argparse.ArgumentParser(description="Pretrain the CLIP of the mini world.")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="multiplies the number of steps of each phase")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights and of the data")
    arguments = parser.parse_args()
    _restart_with_malloc_settings()
    logging.basicConfig(format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    write_config(arguments.out)
    model = open_clip.create_model(f"local-dir:{arguments.out}", load_weights=False)
    model.train()
    steps = plan(PHASES, arguments.steps_scale)
    train(model, steps, arguments.seed)
    write_weights(arguments.out, model)
    command = f"python -m degla.miniworld.pretraining.pretrain --steps-scale {arguments.steps_scale:g} --seed {arguments.seed}"
    write_card(arguments.out, command, len(steps))


if __name__ == "__main__":
    main()
