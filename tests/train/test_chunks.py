"""Encoding in chunks against encoding at once, on a small network in float64."""

import pytest
import torch

from degla.train.chunks import encode_in_chunks, joined, num_chunks, shares, split, stand_in


@pytest.fixture
def network():
    torch.manual_seed(0)
    image, text = torch.nn.Linear(4, 3), torch.nn.Linear(5, 3)
    scale = torch.nn.Parameter(torch.tensor([0.7]))
    module = torch.nn.ModuleList([image, text, torch.nn.ParameterList([scale])]).double()
    return module, lambda images, texts: (image(images).tanh(), text(texts).tanh(), module[2][0].exp())


@pytest.mark.parametrize(("images", "texts", "number"), [(6, 20, 3), (7, 9, 4), (2, 3, 1), (5, 5, 5)])
def test_chunks_have_the_gradient_of_the_whole_batch(network, images, texts, number):
    module, encode = network
    inputs = torch.randn(images, 4).double(), torch.randn(texts, 5).double()

    def loss_of(outputs):
        image, text, scale = outputs
        return (scale * image @ text.T).logsumexp(1).mean()

    loss_of(encode(*inputs)).backward()
    expected = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()

    parts = encode_in_chunks(encode, *inputs, number)
    outputs = tuple(output.requires_grad_() for output in joined(parts))
    gradients = torch.autograd.grad(loss_of(outputs), outputs)
    for chunk, share in zip(split(*inputs, number), shares(gradients, parts), strict=True):
        stand_in(encode(*chunk), share).backward()
    for parameter, wanted in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-6, atol=1e-9)  # the stand-in is summed in float32


def test_chunks_hold_at_most_their_size():
    assert [num_chunks(rows, size) for rows, size in ((12, 0), (12, 12), (12, 5), (12, 100), (1, 1))] == [1, 1, 3, 1, 1]
