"""Embeddings of all ranks, with gradient: the base term compares with the whole batch.

A rank computes its own rows of the loss. The gradient that other ranks' rows send to its embeddings comes back in the
backward pass as a sum over ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from degla.train.embeddings import Embeddings


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        gathered = tensor.new_empty(distributed.get_world_size() * len(tensor), *tensor.shape[1:])
        distributed.all_gather_single(gathered, tensor.contiguous())
        return gathered

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        rows = len(gradient) // distributed.get_world_size()
        if distributed.get_backend() == "nccl":
            own = gradient.new_empty(rows, *gradient.shape[1:])
            distributed.reduce_scatter_single(own, gradient.contiguous())
            return own
        summed = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)  # gloo has no reduce-scatter
        first = distributed.get_rank() * rows
        return summed[first : first + rows]


def gather_embeddings(own: Embeddings) -> tuple[Embeddings, int]:
    """The global batch's embeddings, and the index of this rank's first row in them; one collective each way."""
    batch, num_negatives, width = own.negative_BKD.shape
    parts = [own.image_BD, own.caption_BD, own.negative_BKD.flatten(1), own.type_BK.float()]
    gathered = _AllGather.apply(torch.cat(parts, dim=1))
    image, caption, negative, kind = gathered.split([part.shape[1] for part in parts], dim=1)
    everyone = Embeddings(image, caption, negative.unflatten(1, (num_negatives, width)), kind.detach().round().to(own.type_BK))
    return everyone, distributed.get_rank() * batch
