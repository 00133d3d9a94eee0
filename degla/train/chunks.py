"""Large batches on small memory (GradCache, arXiv 2101.06983): encode in chunks, once without and once with gradients.

The loss needs the features of the whole batch, but not all activations at once: features are computed without gradient, the
loss gives their gradient, and each chunk is then encoded again and takes its share of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from degla.models.trees import TextTrees
from degla.train.embeddings import Encoded

Texts = Tensor | TextTrees
Encode = Callable[[Tensor, Texts], Encoded]
"""From images and texts to what the towers return."""


@dataclass(frozen=True)
class Forward:
    """A forward pass."""

    encoded: Encoded
    backward: Callable[[Tensor], None]
    """From a loss on `encoded` to the gradients of the weights. To be called once."""


def forward_in_chunks(
    encode: Encode, backward: Callable[[Tensor, bool], None], image_BCHW: Tensor, text: Texts, number: int
) -> Forward:
    """The forward pass of a batch in `number` chunks; `backward` takes a scalar of a chunk, and whether it is the last."""
    parts = encode_in_chunks(encode, image_BCHW, text, number)
    whole = joined(parts)
    leaves = [tensor.requires_grad_() for tensor in whole.present().values()]

    def backward_in_chunks(loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
        shares = _shares(dict(zip(whole.present(), gradients, strict=True)), parts)
        for done, (chunk, share) in enumerate(zip(_split(image_BCHW, text, number), shares, strict=True), start=1):
            products = [
                (output * gradient).sum().float()
                for output, gradient in zip(encode(*chunk).present().values(), share, strict=True)
            ]
            backward(torch.stack(products).sum(), done == number)  # its gradient with respect to the outputs is the share

    return Forward(whole, backward_in_chunks)


@torch.no_grad()
def encode_in_chunks(encode: Encode, image_BCHW: Tensor, text: Texts, number: int) -> list[Encoded]:
    """The outputs of each chunk, without gradient."""
    return [encode(*chunk) for chunk in _split(image_BCHW, text, number)]


def joined(parts: Sequence[Encoded]) -> Encoded:
    """The outputs of the whole batch."""
    rows = {name: torch.cat([part.present()[name] for part in parts]) for name in parts[0].present()}
    return Encoded(**rows | {"scale": parts[0].scale})


def num_chunks(rows: int, chunk_size: int) -> int:
    """How many chunks hold `rows` captions; 0 puts all into one."""
    return -(-rows // chunk_size) if chunk_size else 1


def _split(image_BCHW: Tensor, text: Texts, number: int) -> Iterator[tuple[Tensor, Texts]]:
    """The chunks. A text need not be in the chunk of its image."""
    return zip(image_BCHW.tensor_split(number), text.tensor_split(number), strict=True)


def _shares(gradients: dict[str, Tensor], parts: Sequence[Encoded]) -> Iterator[tuple[Tensor, ...]]:
    """Each chunk's share of the gradients of `joined(parts)`; that of the scale is split evenly."""
    rows = {name: [len(part.present()[name]) for part in parts] for name in gradients}
    gradients["scale"] = (gradients["scale"] / len(parts)).expand(len(parts))
    return zip(*(gradient.split(rows[name]) for name, gradient in gradients.items()), strict=True)
