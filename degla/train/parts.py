"""What a rank holds of a model whose parameters ZeRO 3 may have split, and how to see the whole.

Knows DeepSpeed only by the attributes that it leaves on parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


def held(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """This rank's part of each parameter: the whole, or a flat piece under ZeRO 3. Writing to it changes the model."""
    return [parameter.ds_tensor if hasattr(parameter, "ds_tensor") else parameter.data for parameter in parameters]


@dataclass(frozen=True)
class Place:
    """Where the optimizer keeps this rank's piece of a parameter: `length` elements of the flattened parameter from `start`
    on lie in `flat`, and in the moments that belong to `flat`, from `offset` on."""

    flat: Tensor
    offset: int
    start: int
    length: int

    def of(self, flat: Tensor) -> Tensor:
        """The piece in a tensor that is laid out as `self.flat` is; a view."""
        return flat.detach().view(-1).narrow(0, self.offset, self.length)

    def read(self, flat: Tensor, shape: torch.Size, alone: bool) -> Tensor:
        """The whole parameter, from the pieces of all ranks, which have to call this; with `alone` this rank has it all."""
        if alone:
            return self.of(flat).view(shape)
        whole = torch.zeros(shape.numel(), dtype=flat.dtype, device=flat.device)
        whole.narrow(0, self.start, self.length).copy_(self.of(flat))
        distributed.all_reduce(whole)
        return whole.view(shape)

    def write(self, flat: Tensor, whole: Tensor) -> None:
        """Put this rank's piece of `whole` into its place."""
        self.of(flat).copy_(whole.flatten().narrow(0, self.start, self.length))
