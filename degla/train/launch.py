"""Start the ranks of this machine with DeepSpeed's launcher, watch them, and say what ended them.

With several machines each starts its own ranks, and the first one does everything else. It writes its port into the
artifact's folder, which all machines share, once the data is joined; the others wait for that. Neither torchrun nor DeepSpeed's
multi-node runner would replace this: torchrun needs the port beforehand and orders machines by address, not by the hostfile;
DeepSpeed's runner needs ssh from the first machine to the others; and with both a machine still
has to wait for the data and for the finished artifact. Knows no torch.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from degla.artifacts import MANIFEST, check_writable
from degla.errors import InputError, LostRankError, PassingFault, StorageError
from degla.files import write_text_atomic
from degla.train.job import JOB_FILE, LAUNCH_FILE, WORK_DIR, Job
from degla.train.nodes import num_cores, num_gpus
from degla.train.where import where

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_PLOTS = 30.0
_PATIENCE = 3600.0  # seconds that the other machines wait for the first one to start, and then to finish

# Without these glibc returns pages to the kernel after every step, and the kernel clears them again: half of a CPU step's time.
CPU_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def run_ranks(job: Job, nodes: Mapping[str, int]) -> None:
    """Train on the first machine, or the only one, and plot the losses meanwhile.

    Args:
        job: the run.
        nodes: host to ranks.

    Raises:
        InputError: as a rank reported it.
        PassingFault: it was told to stop (SIGTERM) and saved a checkpoint.
        LostRankError: a rank died or hung.
    """
    job.clear_failures()
    port, plot = _free_port(), LossPlot(job)
    write_text_atomic(job.launch_path, json.dumps({"port": port}))

    def look() -> None:
        os.utime(job.launch_path)  # a heartbeat for the other machines
        plot()

    _launch(job, nodes, 0, port, look)
    plot.draw()


def join_in(out_dir: Path, nodes: Mapping[str, int], node: int) -> None:
    """Train on another machine than the first, and wait until the first one has finished the artifact.

    Args:
        out_dir: the artifact's folder, on storage that all machines share.
        nodes: host to ranks.
        node: which of them this one is.

    Raises:
        InputError: as a rank reported it.
        PassingFault: it was told to stop (SIGTERM) and saved a checkpoint.
        LostRankError: a rank died or hung, or the first machine does not start or finish.
    """
    launch_path, job_path = out_dir / WORK_DIR / LAUNCH_FILE, out_dir / WORK_DIR / JOB_FILE
    logger.info("machine %d of %d: waiting for the first one to start training in %s", node + 1, len(nodes), out_dir)
    seen = _changed(launch_path)
    _wait_until(lambda: _changed(launch_path) not in (None, seen) or (out_dir / MANIFEST).exists(), "start", out_dir)
    if not (out_dir / MANIFEST).exists():
        port = json.loads(launch_path.read_text())["port"]
        _launch(Job.read(job_path), nodes, node, port, lambda: None)
        _wait_until((out_dir / MANIFEST).exists, "finish", out_dir)


class LossPlot:
    """Plots the losses of a run: every 30 s, later every twentieth of the time that has passed."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._start = self._drawn = time.monotonic()

    def __call__(self) -> None:
        """Plot if it is time."""
        now = time.monotonic()
        if now - self._drawn > max(_SECONDS_BETWEEN_PLOTS, (now - self._start) / 20):
            self._drawn = now
            self.draw()

    def draw(self) -> None:
        """Plot the losses so far."""
        from degla.plots import plot_losses  # matplotlib takes a second to load

        plot_losses(self._job.metrics_path, self._job.plot_path)


def _launch(job: Job, nodes: Mapping[str, int], node: int, port: int, look: Callable[[], None]) -> None:
    """Start this machine's ranks and wait for their end; `look` is called every second. They end with this process."""
    ranks, gpus = list(nodes.values())[node], num_gpus()
    logger.info("training with %d rank%s on %s", ranks, "s" if ranks > 1 else "", "GPUs" if gpus else "the CPU")
    launcher = subprocess.Popen(_command(job, nodes, node, port), env=_environment(ranks, gpus, len(nodes)))
    try:
        with _sigterm_goes_to(launcher):
            code = _watched(launcher, look)
    finally:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait()
    if code:
        raise _failure(job, code)


@contextmanager
def _sigterm_goes_to(launcher: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGTERM on to the launcher, which tells its ranks: they save and end."""
    if threading.current_thread() is not threading.main_thread():  # Python sets signal handlers in the main thread only
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: launcher.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watched(launcher: subprocess.Popen[bytes], look: Callable[[], None]) -> int:
    while True:
        try:
            return launcher.wait(timeout=1)
        except subprocess.TimeoutExpired:
            look()


def _command(job: Job, nodes: Mapping[str, int], node: int, port: int) -> list[str]:
    slots = {host: list(range(ranks)) for host, ranks in nodes.items()}
    world = base64.urlsafe_b64encode(json.dumps(slots).encode()).decode()
    first = next(iter(nodes))
    return [
        *(sys.executable, "-m", "degla.train.lifeline", f"--world_info={world}", f"--node_rank={node}"),
        *(f"--master_addr={'127.0.0.1' if first == 'localhost' else first}", f"--master_port={port}"),
        *("--no_local_rank", "--log_level=critical", "--module", "degla.train.worker", str(job.path)),
    ]


def _environment(ranks: int, gpus: int, num_nodes: int) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(max(1, num_cores() // ranks))}  # unless the user says how many
    environment = threads | os.environ | {"TOKENIZERS_PARALLELISM": "false"}
    if not gpus:
        environment |= {"DS_ACCELERATOR": "cpu", **CPU_MALLOC}
    if not gpus and num_nodes == 1:
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    return environment


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _changed(path: Path) -> int | None:
    """Modification time of a file, by the clock of the storage; None if it does not exist."""
    return path.stat().st_mtime_ns if path.exists() else None


def _wait_until(done: Callable[[], bool], what: str, out_dir: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > end:
            raise LostRankError(
                f"the first machine did not {what} training in {out_dir} within {_PATIENCE:.0f} s. Check that it runs."
            )
        time.sleep(1)


def _failure(job: Job, code: int) -> Exception:
    """The error to raise: an input error first, then a bug, a full disk, a requested stop, else a lost rank. A rank that fails
    for any of these is lost to the others, which report just that."""
    failures = job.failures()
    for wanted in (InputError, RuntimeError):
        for failure in failures:
            if isinstance(failure, wanted):
                return failure
    try:
        check_writable(job.out_dir)  # a rank that cannot write cannot report it
    except StorageError as error:
        return error
    for failure in failures:
        if type(failure) is PassingFault:
            return failure
    reason = str(failures[0]) if failures else f"the launcher ended with code {code}"
    step = job.marked_step()
    place = "before its first step" if step is None else f"at {where(job, step)}"
    return LostRankError(f"a training rank died or hung ({reason}) {place}. Running again goes on from the last checkpoint.")
