"""A pool of worker processes that die with their parent, whatever ends it.

`ProcessPoolExecutor` leaves its workers waiting for ever when the parent is killed; here the kernel ends them. Called by
`degla.generate.stage`.
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

_PR_SET_PDEATHSIG = 1

ResultT = TypeVar("ResultT")


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
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    initializer(*arguments)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
