"""Worker processes that never outlive their parent, whatever ends it.

If the parent is killed, workers of `ProcessPoolExecutor` alone wait forever; here the kernel kills them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from degla.errors import DeglaError, PassingFault

_GOODBYE = 20  # seconds for a worker to exit after its work
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

ResultT = TypeVar("ResultT")


def die_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Ask the kernel to send this signal to this process when its parent ends. Linux only; elsewhere it does nothing.

    Args:
        number: the signal.
        parent: process id of the parent, if known: if it has ended already, this process exits.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)


def starved_processes() -> int:
    """How many processes of this machine the kernel has killed since its start for lack of memory; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def worker_count(asked: int, units: int) -> int:
    """Number of processes to start: `asked`, or one per core if 0, and at most one per unit."""
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
        function: at the top level of a module, so that it can be pickled.
        calls: argument tuples.
        workers: number of processes; with 1 everything runs in this one.
        initializer: called once in each process.
        arguments: of the initializer.

    Raises:
        PassingFault: a worker was killed.
    """
    if workers == 1:
        initializer(*arguments)
        yield from (function(*call) for call in calls)
        return
    context, starved = multiprocessing.get_context("spawn"), starved_processes()
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(), initializer, arguments))
    try:
        waiting: set[Future[ResultT]] = {pool.submit(function, *call) for call in calls}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise PassingFault(_killed("a worker process was killed", starved)) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    die_with_parent(signal.SIGKILL, parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    initializer(*arguments)


def run_workers(function: Callable[..., None], count: int, arguments: tuple[Any, ...], apart: bool) -> None:
    """Run `function(index, *arguments)` in `count` processes and wait for all; the first failure kills the others.

    Args:
        function: at the top level of a module, so that it can be pickled.
        count: number of processes.
        arguments: the same for all.
        apart: start a process even for one worker; else a single worker runs in this process.

    Raises:
        PassingFault: a worker was killed.
        BaseException: the error that ended a worker.
    """
    if count == 1 and not apart:
        function(0, *arguments)
        return
    context, starved = multiprocessing.get_context("spawn"), starved_processes()
    ends: dict[Any, Any] = {}
    processes = []
    try:
        for index in range(count):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(os.getpid(), there, function, index, arguments))
            process.start()
            there.close()
            processes.append(process)
            ends[here] = process
        while ends:
            for ready in multiprocessing.connection.wait(list(ends)):
                _raise_failure(ready, ends.pop(ready), starved)
        for process in processes:
            process.join(_GOODBYE)
    finally:
        for process in processes:
            process.kill()
            process.join()


def _work(parent: int, there: Any, function: Callable[..., None], index: int, arguments: tuple[Any, ...]) -> None:
    die_with_parent(signal.SIGKILL, parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        function(index, *arguments)
    except BaseException as error:
        if not isinstance(error, DeglaError):
            traceback.print_exc()
            error = RuntimeError(f"worker {index}: {type(error).__name__}: {error}")
        there.send(error)
    else:
        there.send(None)


def _raise_failure(here: Any, process: Any, starved: int) -> None:
    try:
        failure = here.recv()
    except EOFError:
        process.join()
        raise PassingFault(_killed(f"a worker process was killed (exit code {process.exitcode})", starved)) from None
    if failure is not None:
        raise failure


def _killed(what: str, starved: int) -> str:
    number = starved_processes() - starved
    memory = f"; the kernel killed {number} processes meanwhile because memory ran out" if number else ""
    return f"{what}{memory}; finished units are kept, run again"
