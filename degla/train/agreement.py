"""What all ranks learn of each other: whether a loss or weight is not finite anywhere, and whether any was told to stop.

A rank that ended a step before the others would leave them waiting in a collective until their timeout.
"""

from __future__ import annotations

import signal
from types import FrameType

import torch
from torch import Tensor, distributed

from degla.errors import InputError
from degla.train.job import Job
from degla.train.where import where


class StopRequest:
    """Notes SIGTERM and SIGINT, which then no longer end this process. To be made in the main thread."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True


class Watch:
    """Watches every step of all ranks and reports one step late.

    Read at once, a step's flags would have the CPU wait for the GPU, and the GPU then for the CPU to queue the next step. So they
    are reduced and copied in the GPU's own order and read when the next step is queued. All ranks read the same flags at
    the same step and decide alike. A broken step's update is in the weights by then: call `now` before anything is kept.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sent: tuple[int, Tensor, torch.cuda.Event | None] | None = None

    def see(self, step: int, loss: Tensor, stop: bool) -> bool:
        """Send this step's loss and whether this rank was told to stop; return `now` of the step before."""
        stopping = self.now()
        flags = torch.stack([~torch.isfinite(loss.detach()), torch.full((), stop, device=loss.device)]).float()
        distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
        copy, copied = flags.to("cpu", non_blocking=True), torch.cuda.Event() if flags.is_cuda else None
        if copied is not None:
            copied.record()
        self._sent = step, copy, copied
        return stopping

    def now(self) -> bool:
        """Wait for the last step that was sent; return whether any rank was told to stop.

        Raises:
            InputError: the loss of that step was not finite on any rank.
        """
        if self._sent is None:
            return False
        (step, flags, copied), self._sent = self._sent, None
        if copied is not None:
            copied.synchronize()
        broken, stop = flags.tolist()
        if broken:
            raise not_finite("the training loss", self._job, step)
        return bool(stop)


def any_rank(flag: Tensor) -> bool:
    """Whether a boolean scalar is true on any rank. Every rank must call it."""
    flags = flag.float()
    distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
    return bool(flags)


def not_finite(what: str, job: Job, step: int) -> InputError:
    """The error for a loss or weight that is NaN or infinite after a step, counted from 0."""
    return InputError(f"{what} is not finite at {where(job, step)}. Lower train.lr, or clip with train.clip_grad_norm.")
