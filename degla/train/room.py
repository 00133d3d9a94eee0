"""What a training run needs at least, by its config alone: memory for the weights, disk for the checkpoints. Loads no torch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from degla.errors import ConfigError, StorageError
from degla.models.size import num_parameters
from degla.models.source import find

if TYPE_CHECKING:
    from degla.train.config import TrainConfig

# Bytes a weight, float32: itself, its gradient, AdamW's two moments; a checkpoint has no gradients
_WEIGHT, _TRAINED, _SAVED = 4, 16, 12
_RANKS_A_CORE = 4


def estimate(config: TrainConfig, root: Path) -> str:
    """Weights, memory of a rank and disk, in a line for people; empty if the model's weights cannot be counted.

    Raises:
        ConfigError: there are more ranks than GPUs, or more than four for each core, or the CPUs' memory does not hold the
            weights and what AdamW keeps of them.
        StorageError: the disk does not hold a checkpoint and the model.
    """
    _check_ranks(config)
    count = num_parameters(find(config.model, download=False).architecture)
    if count is None:
        return ""
    teacher = _WEIGHT * count if config.chosen.needs_teacher else 0
    partly = config.lora is not None or config.freeze is not None
    memory = (_WEIGHT if partly else _TRAINED) * count + teacher
    checkpoint, model = (0 if partly else _SAVED * count) + teacher, _WEIGHT * count
    _check_memory(config, memory)
    free = shutil.disk_usage(_existing(root)).free
    if free < checkpoint + model:
        raise StorageError(
            f"a checkpoint of {_gb(checkpoint)} and the model of {_gb(model)} do not fit: {_gb(free)} are free at {root}. Free"
            f" space, or set DEGLA_HOME to another disk."
        )
    disk = (config.keep_checkpoints + 1) * checkpoint + model
    return f"{count / 1e6:,.1f} M weights: {_gb(memory)} of memory a rank besides activations, up to {_gb(disk)} of disk"


def check_pixels(height_width: tuple[int, int], short_side: int) -> None:
    """Raises ConfigError if prepare scales images (to `short_side`; 0 keeps their size) below what the model looks at."""
    if 0 < short_side < min(height_width):
        raise ConfigError(
            f"the model looks at {height_width[0]} x {height_width[1]} pixels, but prepare scales images down to a short side of"
            f" {short_side}: set prepare.short_side={8 * min(height_width) // 7}"
        )


def _check_ranks(config: TrainConfig) -> None:
    if config.hostfile is not None:
        return
    gpus, cores = len(list(Path("/dev").glob("nvidia[0-9]*"))), len(os.sched_getaffinity(0))
    if gpus and config.ranks > gpus:
        raise ConfigError(f"train.ranks={config.ranks}, but there are {gpus} GPUs: lower it (train.ranks=0 is one rank per GPU)")
    if not gpus and config.ranks > _RANKS_A_CORE * cores:
        raise ConfigError(
            f"train.ranks={config.ranks}, but this machine has {cores} cores and no GPU: ranks that share a core only wait for"
            f" each other. Set train.ranks to {cores} or less."
        )


def _check_memory(config: TrainConfig, least: int) -> None:
    """On GPUs and on several machines the ranks say it themselves."""
    if config.hostfile is not None or Path("/dev/nvidiactl").exists():
        return
    ranks, there = config.ranks or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shared = ranks if config.zero_stage < 3 else 1
    if least * shared > there:
        raise ConfigError(
            f"training needs at least {_gb(least * shared)} of memory for the weights, their gradients, AdamW's moments and the"
            f" teacher of {ranks} rank{'s' if ranks > 1 else ''}; this machine has {_gb(there)}. Take a smaller"
            f" train.model.architecture, train adapters (train.lora.rank=4), or set train.zero_stage=3 if ranks are several."
        )


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
