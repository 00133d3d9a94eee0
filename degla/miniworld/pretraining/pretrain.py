"""Pretrains the CLIPs of the mini world: `python -m degla.miniworld.pretraining.pretrain RECIPE --out DIR`.

The loss is CLIP's InfoNCE plus a class-prompt loss: each image against one random text of each of the 32 nouns, 12
colours, 4 textures and 8 places. It stands in for the batch of 32k pairs of a real CLIP, in which every class word is
always among the negatives; so this is not pure InfoNCE. `bag_of_words`, from scratch in three phases, reads its captions as
a bag of words; `half_binding` goes on from there and learns for a quarter of the nouns which word belongs to what, which makes
it right in about as many swaps as a web-trained CLIP.
`vit_s` is as `bag_of_words` with towers of ViT-S, for `--device cuda`.
Knows no stage of the pipeline. Run by hand, twelve and three minutes on two cores; the results are committed in `clip/` and
`clip_half_binding/`.
"""

import argparse
import logging
import math
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch.nn.functional import cross_entropy, log_softmax, normalize
from torch.utils.data import DataLoader, Dataset

from degla.miniworld import CLIP_DIR
from degla.miniworld.language import CLASSES
from degla.miniworld.model_card import write_card
from degla.miniworld.model_folder import CONFIG, VIT_S, write_config, write_weights
from degla.miniworld.pretraining import scores as probe
from degla.miniworld.pretraining.stream import Batch, HardBatch, HardCaptions, Mixture, make_batch, make_hard_batch
from degla.miniworld.scenes import SEEN_NOUNS, UNSEEN_NOUNS

logger = logging.getLogger(__name__)

BATCH_SIZE = 64
_WARMUP_STEPS = 100
_MAX_LOGIT_SCALE = math.log(100)
_LOG_EVERY, _PROBE_EVERY = 100, 250

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
    hard: HardCaptions | None = None
    """Scenes with hard captions beside the batch; their loss has weight 1."""


@dataclass(frozen=True)
class Recipe:
    """How a model came about."""

    phases: tuple[Phase, ...]
    start: Path | None
    """Model folder whose weights it goes on from; None for random weights."""
    history: str
    """The phases in words, for the model card."""
    binding: str
    """What it makes of who is what, for the model card."""
    config: dict[str, Any] = field(default_factory=lambda: CONFIG)
    """The model's, as open_clip has it."""


BAG_OF_WORDS = (
    # What things are called: places, then colours, then nouns, slowly textures.
    Phase(4900, 1e-3, Mixture(single_fraction=0.6, natural_fraction=0.1), prompt_weight=1.0),
    # Sentences about two objects, for all nouns; without them fine-tuning does not bind words to objects in time.
    Phase(750, 8e-4, Mixture(single_fraction=0.4, natural_fraction=0.7), prompt_weight=1.0),
    Phase(1500, 1e-3, Mixture(single_fraction=0.25, natural_fraction=0.9, twin_fraction=0.6), prompt_weight=0.5),
)
BOUND_NOUNS = (*SEEN_NOUNS[:4], *UNSEEN_NOUNS[:4])
"""The nouns that `half_binding` binds words to: as many of those that fine-tuning shows as of the others."""

RECIPES = {
    "bag_of_words": Recipe(
        BAG_OF_WORDS,
        None,
        "from random weights, in three phases (web captions; sentences; near duplicates)",
        "Choosing between a caption and the same with two words swapped is at chance (swap_obj, swap_att, aro_relation), and so\n"
        "are replaced relations. That is the point: it is what fine-tuning with hard negatives is to cure.",
    ),
    "half_binding": Recipe(
        (Phase(1000, 7e-4, BAG_OF_WORDS[-1].mixture, prompt_weight=0.5, hard=HardCaptions(BOUND_NOUNS, 32, bare_fraction=0.5)),),
        CLIP_DIR,
        "from the weights in `clip/`, in one phase: their third one, and beside each batch 32 scenes of eight of the 32 nouns,\n"
        "each caption against the same with words swapped or replaced (cross-entropy, weight 1)",
        "Choosing between a caption and the same with two words swapped is right about as often as a web-trained CLIP is\n"
        "(61 to 64 % for OpenAI's): it binds words to things, weakly, and relations hardly. The model in `clip/` is at chance.",
    ),
    "vit_s": Recipe(
        # a network four times as wide learns at a quarter of the learning rate (Yang et al. 2022, arXiv 2203.03466)
        tuple(replace(phase, peak_lr=phase.peak_lr / 4) for phase in BAG_OF_WORDS),
        None,
        "from random weights, in the three phases of `bag_of_words`, at a quarter of its learning rates",
        "What it makes of word order: swap_obj, swap_att and aro_relation above. It is for a GPU.",
        VIT_S,
    ),
}


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


class _Batches(Dataset[tuple[Batch, HardBatch | None]]):
    """Batch i of the plan, for the worker process that draws ahead of the training."""

    def __init__(self, steps: list[Step], seed: int) -> None:
        self._steps, self._seed = steps, seed

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> tuple[Batch, HardBatch | None]:
        phase = self._steps[index].phase
        hard = make_hard_batch(phase.hard, self._seed, index) if phase.hard else None
        return make_batch(phase.mixture, BATCH_SIZE, self._seed, index), hard


def _keep(batch: Any) -> Any:
    return batch


def contrastive_loss(image_BD: torch.Tensor, text_BD: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """CLIP's symmetric InfoNCE over a batch of unit vectors."""
    logits_BB = scale * image_BD @ text_BD.T
    labels_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (cross_entropy(logits_BB, labels_B) + cross_entropy(logits_BB.T, labels_B)) / 2


def prompt_loss(image_BD: torch.Tensor, prompt_CD: torch.Tensor, targets_BC: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each image over the classes of a kind, summed over kinds; a row of zero targets adds 0."""
    logits_BC = scale * image_BD @ prompt_CD.T
    num_classes = [len(names) for names in CLASSES.values()]
    kinds = zip(logits_BC.split(num_classes, dim=1), targets_BC.split(num_classes, dim=1), strict=True)
    return -sum((targets * log_softmax(logits, dim=1)).sum(1).mean() for logits, targets in kinds)


def batch_loss(model: open_clip.CLIP, batch: Batch, prompt_weight: float) -> torch.Tensor:
    """InfoNCE of the pairs plus the weighted class-prompt loss."""
    scale = model.logit_scale.exp()
    image_BD = model.encode_image(probe.to_pixels(batch.pixels).to(scale.device), normalize=True)
    texts = torch.from_numpy(np.concatenate([batch.captions, batch.prompts])).to(scale.device)
    text_BD, prompt_CD = normalize(model.encode_text(texts), dim=-1).split([len(batch.captions), len(batch.prompts)])
    loss = contrastive_loss(image_BD, text_BD, scale)
    return loss + prompt_weight * prompt_loss(image_BD, prompt_CD, torch.from_numpy(batch.targets).to(scale.device), scale)


def hard_loss(image_BD: torch.Tensor, text_BJD: torch.Tensor, counts_BJ: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each image over its J texts, of which the first is true; texts that do not count are left out."""
    logits_BJ = scale * torch.einsum("bd,bjd->bj", image_BD, text_BJD)
    return cross_entropy(
        logits_BJ.masked_fill(~counts_BJ, -torch.inf), torch.zeros(len(logits_BJ), dtype=torch.long, device=logits_BJ.device)
    )


def hard_batch_loss(model: open_clip.CLIP, batch: HardBatch) -> torch.Tensor:
    """`hard_loss` of a batch."""
    scale = model.logit_scale.exp()
    image_BD = model.encode_image(probe.to_pixels(batch.pixels).to(scale.device), normalize=True)
    texts = torch.from_numpy(np.concatenate([batch.captions[:, None], batch.negatives], axis=1)).to(scale.device)
    text_BJD = normalize(model.encode_text(texts.flatten(0, 1)), dim=-1).unflatten(0, texts.shape[:2])
    counts_BJ = torch.from_numpy(np.pad(batch.counts, ((0, 0), (1, 0)), constant_values=True))
    return hard_loss(image_BD, text_BJD, counts_BJ.to(scale.device), scale)


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
    for done, (step, (batch, hard)) in enumerate(zip(steps, batches, strict=True), start=1):
        for group in optimizer.param_groups:
            group["lr"] = step.lr
        loss = batch_loss(model, batch, step.phase.prompt_weight)
        if hard is not None:
            loss = loss + hard_batch_loss(model, hard)
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
            _log_scores(model)


def _log_scores(model: open_clip.CLIP) -> None:
    model.eval()
    scores = probe.zero_shot(model, "validation", num_images=256) | probe.composition(model, "validation")
    logger.info("validation %s", " ".join(f"{kind} {score:.1f}" for kind, score in scores.items()))
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
    parser = argparse.ArgumentParser(description="Pretrain a CLIP of the mini world.")
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="multiplies the number of steps of each phase")
    parser.add_argument("--device", default="cpu", help="where it trains, such as cuda")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights and of the data")
    arguments = parser.parse_args()
    _restart_with_malloc_settings()
    logging.basicConfig(format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    recipe = RECIPES[arguments.recipe]
    write_config(arguments.out, recipe.config)
    model = open_clip.create_model(f"local-dir:{recipe.start or arguments.out}", load_weights=recipe.start is not None)
    model.to(arguments.device).train()
    steps = plan(recipe.phases, arguments.steps_scale)
    train(model, steps, arguments.seed)
    write_weights(arguments.out, model)
    command = (
        f"python -m degla.miniworld.pretraining.pretrain {arguments.recipe} --steps-scale {arguments.steps_scale:g}"
        f" --seed {arguments.seed}"
    )
    write_card(
        arguments.out,
        command,
        f"{recipe.history},\n{len(steps):,} steps of {BATCH_SIZE} pairs,",
        recipe.binding,
        arguments.device,
    )


if __name__ == "__main__":
    main()
