"""The line between two models: theta = (1 - alpha) theta_start + alpha theta_end (arXiv 2109.01903, equation 1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from degla.models.loading import check_shapes


def interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """The state dict at `alpha` of the way, in fp32; bitwise the start at 0 and the end at 1 (where plain arithmetic would turn
    -0.0 into 0.0). Values that are no floating-point numbers are the end's.

    Raises:
        ModelError: the two are not of one architecture.
    """
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (start, end)]
    check_shapes(shapes[0], shapes[1], "the end of the line", "at its start")
    if alpha in (0.0, 1.0):
        return dict(end if alpha else start)
    return {name: _between(start[name], value, alpha) for name, value in end.items()}


def _between(start: Tensor, end: Tensor, alpha: float) -> Tensor:
    return torch.lerp(start.float(), end.float(), alpha) if end.is_floating_point() else end
