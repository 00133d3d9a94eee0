"""What a training computes, by arithmetic on its config: floating-point operations, a multiply and an add counted as two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from degla.errors import InputError
from degla.experiments.cli import known_captions
from degla.experiments.experiment import Experiment
from degla.models.architecture import image_size
from degla.models.size import num_parameters
from degla.models.source import find

_BOTH_WAYS = 3  # forward, and backward twice that (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)


def train_flop(experiment: Experiment) -> float | None:
    """Of the whole training; None if that cannot be counted: no card says how many captions there are, or the towers are not
    open_clip's transformers."""
    train = experiment.train
    captions = _captions(experiment)
    try:
        architecture = find(train.model, "train.model", download=False).architecture
    except InputError:
        return None
    if captions is None or num_parameters(architecture) is None:
        return None
    image, text = forward_flop(architecture)
    forward = image + (1 + train.num_negatives) * text
    return captions * forward * (_BOTH_WAYS + train.chosen.needs_teacher)


def forward_flop(architecture: Mapping[str, Any]) -> tuple[float, float]:
    """Of one image and one text of full length, through towers of open_clip's transformers."""
    image, text, size = architecture["vision_cfg"], architecture["text_cfg"], image_size(architecture)
    height, width = (size, size) if isinstance(size, int) else size
    patch, channels = image.get("patch_size", 16), image.get("width", 768)
    patches = (height // patch) * (width // patch)
    embedding = 2 * patches * 3 * patch * patch * channels
    return embedding + _blocks(image, channels, patches + 1), _blocks(
        text, text.get("width", 512), text.get("context_length", 77)
    )


def _blocks(config: Mapping[str, Any], width: int, tokens: int) -> float:
    """Of a tower's residual blocks: four projections and the MLP, then scores and sums of attention."""
    linear = 2 * tokens * width * width * (4 + 2 * config.get("mlp_ratio", 4.0))
    return config.get("layers", 12) * (linear + 4 * tokens * tokens * width)


def _captions(experiment: Experiment) -> float | None:
    """How many captions training sees, with repetition."""
    train = experiment.train
    if train.steps is not None:
        return train.steps * train.batch_size
    known = known_captions(experiment)
    return None if known is None else train.epochs * known
