"""Linear layers by oneDNN: the products and gradients of PyTorch's own, for every shape of states that towers have."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from degla.models.fast_linear import Linear, linear


@pytest.mark.parametrize("shape", [(64, 24), (128, 24), (16, 4, 24), (70, 24)])
@pytest.mark.parametrize("width", [8, 40])
@pytest.mark.parametrize("biased", [True, False])
def test_product_and_gradients_are_those_of_pytorch(shape, width, biased):
    torch.manual_seed(0)
    states, weight = torch.randn(shape, requires_grad=True), torch.randn(width, 24, requires_grad=True)
    inputs = (states, weight, torch.randn(width, requires_grad=True)) if biased else (states, weight)
    exact = [each.detach().double().requires_grad_() for each in inputs]
    found, expected = linear(*inputs), functional.linear(*exact)
    upstream = torch.randn_like(found)
    pairs = zip(
        (found, *torch.autograd.grad(found, inputs, upstream)),
        (expected, *torch.autograd.grad(expected, exact, upstream.double())),
        strict=True,
    )
    for ours, theirs in pairs:
        assert (ours.double() - theirs).abs().max() <= 2e-6 * theirs.abs().max()


def test_a_frozen_layer_has_no_gradients_but_passes_them_on():
    layer = Linear(nn.Linear(8, 24).requires_grad_(False))
    states = torch.randn(64, 8, requires_grad=True)
    layer(states).sum().backward()
    assert torch.allclose(states.grad, layer.weight.sum(0).expand(64, -1), atol=1e-5)
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_no_states_are_no_error():
    layer = Linear(nn.Linear(8, 24))
    layer(torch.randn(0, 8)).sum().backward()
    assert not layer.weight.grad.any()


def test_autocast_is_obeyed():
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(nn.Linear(8, 24))(torch.randn(64, 8)).dtype == torch.bfloat16


def test_the_graph_is_the_same_for_every_number_of_rows():
    """Ranks of different numbers of rows have their gradients in the same order, in which ZeRO 2 adds them up."""
    layer = Linear(nn.Linear(24, 8))
    nodes = {type(layer(torch.randn(rows, 24)).grad_fn) for rows in (0, 1, 63, 64, 70, 128)}
    assert len(nodes) == 1
