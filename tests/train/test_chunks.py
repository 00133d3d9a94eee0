"""Encoding in chunks against encoding at once, on a small network in float64."""

import pytest
import torch

from degla.train.chunks import forward_in_chunks, num_chunks
from degla.train.embeddings import Encoded


@pytest.fixture
def network():
    torch.manual_seed(0)
    image, text = torch.nn.Linear(4, 3), torch.nn.Linear(5, 3)
    scale = torch.nn.Parameter(torch.tensor([0.7]))
    module = torch.nn.ModuleList([image, text, torch.nn.ParameterList([scale])]).double()
    return module, lambda images, texts: Encoded(image(images).tanh(), text(texts).tanh(), module[2][0].exp())


@pytest.mark.parametrize(("images", "texts", "number"), [(6, 20, 3), (7, 9, 4), (2, 3, 1), (5, 5, 5)])
def test_chunks_have_the_gradient_of_the_whole_batch(network, images, texts, number):
    module, encode = network
    inputs = torch.randn(images, 4).double(), torch.randn(texts, 5).double()

    def loss_of(outputs):
        return (outputs.scale * outputs.image_BD @ outputs.text_TD.T).logsumexp(1).mean()

    loss_of(encode(*inputs)).backward()
    expected = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()

    last = []

    def backward(scalar, is_last):
        last.append(is_last)
        scalar.backward()

    forward = forward_in_chunks(encode, backward, *inputs, number)
    forward.backward(loss_of(forward.encoded))
    assert last == [False] * (number - 1) + [True]
    for parameter, wanted in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-6, atol=1e-9)  # the stand-in is summed in float32


def test_chunks_hold_at_most_their_size():
    assert [num_chunks(rows, size) for rows, size in ((12, 0), (12, 12), (12, 5), (12, 100), (1, 1))] == [1, 1, 3, 1, 1]
