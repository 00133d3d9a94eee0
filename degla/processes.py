"""Worker processes that never outlive the process that started them, whatever ends it.

`ProcessPoolExecutor` alone leaves its workers waiting for ever when their parent is killed; here the kernel ends them.
Called by the stages that spread work over cores, and by `degla.train` for its ranks.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from degla.errors import PassingFault

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

ResultT = TypeVar("ResultT")


def die_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send this signal to this process when its parent ends. On Linux; elsewhere nothing happens.

    Args:
        number: the signal.
        parent: process id of the parent, where known: if it is gone already, this process exits.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)


def worker_count(asked: int, units: int) -> int:
    """Processes to start: `asked`, or every core where it is 0, and never more than there are units."""
    return max(1, min(asked or len(os.sched_getaffinity(0)), units))


def run_all(
    function: Callable[..., ResultT],
    calls: Iterable[tuple[Any, ...]],
    workers: int,
    initializer: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[ResultT]:
    """Call `function(*call)` for every call and yield the results as they finish.

    Args:
        function: of a module's top level.
        calls: argument tuples.
        workers: processes; with 1 everything runs in this process.
        initializer: called once in each process, with `arguments`.
        arguments: of the initializer.

    Raises:
        PassingFault: a worker was killed.
    """
    if workers == 1:
        initializer(*arguments)
        yield from (function(*call) for call in calls)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(), initializer, arguments))
    try:
        waiting: set[Future[ResultT]] = {pool.submit(function, *call) for call in calls}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise PassingFault("a worker process was killed (out of memory?); finished units are kept, run again") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    die_with_parent(signal.SIGKILL, parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    initializer(*arguments)
