"""Run what is not finished of a study, several runs at once, each in a process of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from degla.errors import EXIT_INPUT, EXIT_PASSING_FAULT, DataError, InputError, PassingFault
from degla.progress import Progress, duration
from degla.study.desk import Desk
from degla.study.runs import Run

logger = logging.getLogger(__name__)

LAST_LINES = 6
_LOOK_SECONDS = 0.5


def run_missing(desk: Desk, runs: Sequence[Run], what: str, at_once: int) -> None:
    """Make the artifacts of the runs that are not finished. A run that fails does not hold up the others.

    Args:
        desk: the study's.
        runs: such as the trials, or those of a question.
        what: their name, for progress.
        at_once: processes at the same time.

    Raises:
        InputError, PassingFault, DataError: runs failed, after all others ended; by the exit code of the first.
    """
    missing = [run for run in runs if not desk.is_finished(run)]
    progress = Progress(desk.folder, what, len(runs), "runs", done=len(runs) - len(missing))
    waiting, going, failed = list(reversed(missing)), list[_Going](), list[_Going]()
    try:
        while waiting or going:
            while waiting and len(going) < at_once:
                going.append(_start(desk, waiting.pop(), at_once))
            time.sleep(_LOOK_SECONDS)
            for each in [each for each in going if each.process.poll() is not None]:
                going.remove(each)
                failed += [each] if each.process.returncode else []
                progress.advance(note=each.said())
    finally:
        for each in going:
            each.process.terminate()
        for each in going:
            with suppress(subprocess.TimeoutExpired):
                each.process.wait(20)
            each.process.kill()
    if failed:
        lines = [f"{len(failed)} of {len(runs)} runs of {what} failed; started again, the study continues with them."]
        raise _error(failed[0].process.returncode)("\n".join([*lines, *(each.reason() for each in failed[:3])]))


@dataclass
class _Going:
    """A run whose process was started."""

    run: Run
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    def said(self) -> str:
        """What became of it, in a line."""
        word = f"failed (exit code {self.process.returncode})" if self.process.returncode else "finished"
        return f"{self.run.name} {word} after {duration(time.monotonic() - self.started)}"

    def reason(self) -> str:
        """The end of its log."""
        last = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"{self.run.name} ({self.log}):", *(f"  {line}" for line in last)])


def _start(desk: Desk, run: Run, at_once: int) -> _Going:
    # each process would start as many threads as there are cores; fewer also take less CPU time in all (docs/training.md)
    environment = {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // at_once)), **os.environ}
    file = run.save(desk.folder / "runs")
    log = desk.folder / "logs" / f"{file.stem}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        command = [sys.executable, "-m", "degla.study", "one", str(file)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)
    return _Going(run, process, log, time.monotonic())


def _error(code: int) -> type[Exception]:
    return {EXIT_INPUT: InputError, EXIT_PASSING_FAULT: PassingFault}.get(code, DataError)
