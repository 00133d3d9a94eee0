"""What all ranks decide together once a step, so that none goes on alone: whether the loss is finite and whether to stop."""

from __future__ import annotations

import signal
from types import FrameType

import torch
from torch import Tensor, distributed


class StopRequest:
    """Notes SIGTERM and SIGINT, which then no longer end this process. Made in the main thread."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True


def any_rank(broken: Tensor, stop: bool) -> tuple[bool, bool]:
    """Both flags, each true where it is on any rank. Every rank has to call it.

    Args:
        broken: boolean scalar on this rank's device.
        stop: the other flag.
    """
    flags = torch.stack([broken.float(), torch.tensor(float(stop), device=broken.device)])
    distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
    first, second = flags.tolist()
    return bool(first), bool(second)
