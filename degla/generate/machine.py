"""How fast the machine at hand runs a language model: its GPUs by their names, or its CPU by a short measurement.

Knows nothing of models; `degla.generate.cost` makes hours of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Dense bf16 (or fp16) Tflop/s and memory TB/s of NVIDIA's data sheets. The longest name in a GPU's own is taken.
_GPUS = {
    "B200": (2250, 8.0),
    "H200": (989, 4.8),
    "GH200": (989, 4.8),
    "H100": (989, 3.35),
    "H100 PCIe": (756, 2.0),
    "H100 NVL": (835, 3.9),
    "A100": (312, 1.56),
    "A100-SXM4-80GB": (312, 2.04),
    "A100 80GB PCIe": (312, 1.94),
    "L40": (181, 0.86),
    "L40S": (362, 0.86),
    "L4": (121, 0.3),
    "A10": (125, 0.6),
    "A10G": (70, 0.6),
    "A40": (150, 0.7),
    "RTX A6000": (155, 0.77),
    "RTX 6000 Ada": (364, 0.96),
    "RTX 4090": (165, 1.01),
    "RTX 3090": (71, 0.94),
    "V100": (125, 0.9),
    "T4": (65, 0.32),
}
_REACHED_FLOPS = 0.55 * 788 / 989  # 788 Tflop/s were measured in a matrix product on an H200; a model's layers reach 55 % of that
_REACHED_BANDWIDTH = 0.7 * 4.3 / 4.8  # 4.3 TB/s were measured in a copy on it
_MATRIX, _COPIED = 1024, 1 << 24  # width in float32 numbers; float32 numbers


@dataclass(frozen=True)
class Machine:
    """What a model runs on, and what it reaches there."""

    name: str
    devices: int
    """GPUs; 1 for a CPU."""
    flops: float
    """Per second and device, in prefill."""
    bandwidth: float
    """Bytes per second and device, in decoding."""
    spread: float
    """Hours made of these may be wrong by this factor either way."""


def machine() -> Machine:
    """The GPUs that this process may use, or the CPU if there is none."""
    names = _gpu_names()
    if not names:
        return _cpu()
    known = max((each for each in _GPUS if re.search(rf"\b{each}\b", names[0])), key=len, default=None)
    if known is None:
        return Machine(f"{names[0]}, taken for an H200 as its speed is not known", len(names), *_speed("H200"), 4.0)
    return Machine(names[0], len(names), *_speed(known), 2.0)


def _speed(gpu: str) -> tuple[float, float]:
    flops, bandwidth = _GPUS[gpu]
    return _REACHED_FLOPS * flops * 1e12, _REACHED_BANDWIDTH * bandwidth * 1e12


def _gpu_names() -> list[str]:
    """The names of the GPUs that CUDA_VISIBLE_DEVICES leaves; asked of the driver, as loading torch takes seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    names = [line.strip() for line in told.splitlines() if line.strip()]
    return names if visible is None else names[: len([each for each in visible.split(",") if each.strip() not in ("", "-1")])]


def _cpu() -> Machine:
    """The CPU; one model uses all its cores. What an engine reaches of the measured speeds is not known well."""
    cores = len(os.sched_getaffinity(0))
    square = np.ones((_MATRIX, _MATRIX), np.float32)
    source, target = np.ones(_COPIED, np.float32), np.empty(_COPIED, np.float32)
    product = min(_seconds(lambda: np.matmul(square, square)) for _ in range(4))
    copy = min(_seconds(lambda: np.copyto(target, source)) for _ in range(4))
    flops, bandwidth = 2 * _MATRIX**3 / product, 2 * 4 * _COPIED / copy
    name = f"this CPU ({cores} cores, {flops / 1e9:,.0f} Gflop/s and {bandwidth / 1e9:,.0f} GB/s measured; no GPU was found)"
    return Machine(name, 1, 0.5 * flops, 0.5 * bandwidth, 4.0)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
