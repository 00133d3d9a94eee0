"""Which machines train together, and how many ranks each has. Knows no torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from degla.errors import ConfigError, MissingInputError
from degla.train.config import TrainConfig

NODE_RANK = "DEGLA_NODE_RANK"


def ranks_by_node(config: TrainConfig) -> dict[str, int]:
    """Host to ranks, the first machine first: as the hostfile says, else `train.ranks`, one per GPU or 1 on this machine.

    Raises:
        ConfigError: this machine has fewer GPUs than ranks, a line of the hostfile is malformed, or `train.ranks` contradicts it.
        MissingInputError: the hostfile does not exist.
    """
    gpus = num_gpus()
    nodes = {"localhost": config.ranks or gpus or 1} if config.hostfile is None else read_hostfile(config.hostfile)
    here = list(nodes.values())[node_rank(config)]
    if gpus and here > gpus:
        wanted = f"train.ranks={here}" if config.hostfile is None else f"{config.hostfile} says slots={here}"
        raise ConfigError(f"{wanted}, but there are {gpus} GPUs: lower it (train.ranks=0 is one rank per GPU)")
    if config.ranks not in (0, sum(nodes.values())):
        raise ConfigError(
            f"train.ranks={config.ranks}, but {config.hostfile} has {sum(nodes.values())} slots: leave train.ranks out"
        )
    return nodes


def read_hostfile(path: Path) -> dict[str, int]:
    """Host to slots of a DeepSpeed hostfile: a line `node-0 slots=8` for each machine, comments after `#`.

    A user before the host (`me@node-0`) is dropped: no rank is started over SSH, so only the address counts.

    Raises:
        MissingInputError: the file does not exist.
        ConfigError: a line is malformed, a host is listed twice, or there is no host.
    """
    if not path.is_file():
        raise MissingInputError(f"train.hostfile: {path} does not exist")
    nodes: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        match = re.fullmatch(r"(?:[^\s@]+@)?([^\s@]+)\s+slots=([1-9]\d*)", text)
        if text and (match is None or match[1] in nodes):
            raise ConfigError(f"{path}, line {number}: expected `HOST slots=RANKS` with each host once, found {line!r}")
        if match:
            nodes[match[1]] = int(match[2])
    if not nodes:
        raise ConfigError(f"{path} names no machine: a line `HOST slots=RANKS` for each")
    return nodes


def node_rank(config: TrainConfig) -> int:
    """Which line of the hostfile this machine is, from DEGLA_NODE_RANK; 0 without a hostfile. Raises ConfigError."""
    if config.hostfile is None:
        return 0
    text = os.environ.get(NODE_RANK, "0")
    last = len(read_hostfile(config.hostfile)) - 1
    if not text.isdecimal() or int(text) > last:
        raise ConfigError(f"{NODE_RANK}={text!r}: expected 0 to {last}, this machine's line in {config.hostfile}")
    return int(text)


def num_gpus() -> int:
    """GPUs as torch counts them, so that CUDA_VISIBLE_DEVICES is honoured; 0 without asking torch if no driver is loaded."""
    if not Path("/dev/nvidiactl").exists():
        return 0
    command = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
