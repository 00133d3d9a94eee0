"""Large batches on small memory (GradCache, arXiv 2101.06983): encode in chunks, once without and once with gradients.

The loss needs the features of the whole batch, but not all activations at once: features are computed without gradient, the
loss gives their gradient, and each chunk is then encoded again and takes its share of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from degla.models.trees import TextTrees

Outputs = tuple[Tensor, ...]
"""Tensors with a row per image or text, and the factor on the cosines (1,) last."""
Texts = Tensor | TextTrees
Encode = Callable[[Tensor, Texts], Outputs]
"""From images and texts to their outputs."""


def num_chunks(rows: int, chunk_size: int) -> int:
    """How many chunks hold `rows` captions; 0 puts all into one."""
    return -(-rows // chunk_size) if chunk_size else 1


def split(image_BCHW: Tensor, text: Texts, number: int) -> Iterator[tuple[Tensor, Texts]]:
    """Images and texts in this many chunks. A text need not be in the chunk of its image."""
    return zip(image_BCHW.tensor_split(number), text.tensor_split(number), strict=True)


@torch.no_grad()
def encode_in_chunks(encode: Encode, image_BCHW: Tensor, text: Texts, number: int) -> list[Outputs]:
    """The outputs of each chunk, without gradient."""
    return [encode(*chunk) for chunk in split(image_BCHW, text, number)]


def joined(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of the whole batch."""
    *rows, scales = zip(*parts, strict=True)
    return (*(torch.cat(each) for each in rows), scales[0])


def shares(gradients: Outputs, parts: Sequence[Outputs]) -> Iterator[Outputs]:
    """Each chunk's share of the gradients of `joined(parts)`; that of the scale is split evenly."""
    *rows, scale = gradients
    split_rows = [row.split([len(part[index]) for part in parts]) for index, row in enumerate(rows)]
    for share in zip(*split_rows, strict=True):
        yield (*share, scale / len(parts))


def stand_in(outputs: Outputs, gradients: Outputs) -> Tensor:
    """A scalar whose gradient with respect to the outputs is `gradients`."""
    return torch.stack([(output * gradient).sum().float() for output, gradient in zip(outputs, gradients, strict=True)]).sum()
