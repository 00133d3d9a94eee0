"""Linear layers by oneDNN on CPUs in float32: the same products, on AMD's processors in half of the time.

PyTorch gives these products to MKL, which uses AVX-512 on Intel's processors alone: 100 GFLOP/s of a core of an AMD EPYC
where oneDNN, which PyTorch has for convolutions and compiled models, reaches 200. oneDNN prepares each shape once, in 0.3 to
1 ms, so it gets numbers of rows alone that come again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from degla.models.trees import NODES_AT_ONCE


def linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`functional.linear`: states (..., K) and a weight (N, K) to (..., N)."""
    on_cpu = states.device.type == "cpu" and states.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return _Linear.apply(states, weight, bias) if on_cpu and _HAS_ONEDNN else functional.linear(states, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear` on the parameters of another one."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, states: Tensor) -> Tensor:
        """(..., out_features)."""
        return linear(states, self.weight, self.bias)


_HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")  # what torch.compile makes of a linear layer


def _product(left_MK: Tensor, right_NK: Tensor, bias_N: Tensor | None, by_onednn: bool) -> Tensor:
    """left right^T + bias: (M, N)."""
    if by_onednn:
        return torch.ops.mkldnn._linear_pointwise(left_MK, right_NK, bias_N, "none", [], "")
    return functional.linear(left_MK, right_NK, bias_N)


class _Linear(torch.autograd.Function):
    """One node of the graph for every number of rows. With another for numbers that oneDNN does not get, ranks would have their
    gradients in different orders, and ZeRO 2, which adds them up in the order in which they come, would mix them."""

    @staticmethod
    def forward(context: Any, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = states.shape[:-1].numel()
        context.by_onednn = rows > 0 and rows % NODES_AT_ONCE == 0
        context.save_for_backward(states, weight)
        return _product(states, weight, bias, context.by_onednn)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        states, weight = context.saved_tensors
        gradient_MN, states_MK = gradient.flatten(0, -2), states.flatten(0, -2)
        of_states, of_weight, of_bias = context.needs_input_grad
        weight_gradient = _weight_gradient(gradient_MN, states_MK, context.by_onednn) if of_weight else None
        states_gradient = _product(gradient_MN, weight.T, None, context.by_onednn).view_as(states) if of_states else None
        return states_gradient, weight_gradient, gradient_MN.sum(0) if of_bias else None


def _weight_gradient(gradient_MN: Tensor, states_MK: Tensor, by_onednn: bool) -> Tensor:
    """(N, K). To turn the narrower one around is up to a quarter faster."""
    if gradient_MN.shape[1] > states_MK.shape[1]:
        return _product(states_MK.T, gradient_MN.T, None, by_onednn).T
    return _product(gradient_MN.T, states_MK.T, None, by_onednn)
