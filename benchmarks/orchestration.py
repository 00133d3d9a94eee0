"""What Prefect costs: `pipeline/demo` through server and serving process, against its stages by `python -m degla.<stage>`.

    python -m benchmarks.orchestration [--full] [--rounds 1] [-o KEY=VALUE ...]

Both make everything from nothing, in turns, each below an artifact root of its own: wall seconds from the command to its end,
with the server and the deployments up. By default a small demo whose generation is cut into about 200 units, which the dashboard
follows; `--full` runs the demo as it is. The server has a home and ports of its own; one that runs already is left alone. Its
memory is the largest resident set of its processes, looked at every half second.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from degla.artifacts import Artifact
from degla.experiments.experiment import STAGES, load_experiment
from degla.experiments.plan import plan
from flows.local import processes

SMALL = (
    "prepare.options.num_scenes=400",
    "generate.unit_size=6",
    "train.steps=60",
    "train.warmup_steps=5",
)
"""Overrides: 1,200 captions, 200 units of generate."""


@dataclass
class Memory:
    """The largest resident set of the server's processes so far, in bytes."""

    home: Path
    largest: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.ended.wait(0.5):
            sizes = []
            for process in processes.find(self.home, "prefect", "server", "start"):
                try:
                    sizes += [each.memory_info().rss for each in (process, *process.children(recursive=True))]
                except psutil.NoSuchProcess:
                    continue
            self.largest = max(self.largest, sum(sizes))


def run(command: Sequence[str], environment: dict[str, str]) -> float:
    """Wall seconds of a command; its output is shown if it fails."""
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return time.monotonic() - begin


@contextmanager
def server(environment: dict[str, str], home: Path) -> Iterator[tuple[float, Memory]]:
    """A server and the deployments; yields the seconds of their start and the server's memory."""
    memory = Memory(home)
    try:
        seconds = run(["flows.local", "up"], environment)
        threading.Thread(target=memory.watch, daemon=True).start()
        yield seconds, memory
    finally:
        memory.ended.set()
        run(["flows.local", "down"], environment)


def _options(overrides: Sequence[str]) -> list[str]:
    return [word for each in overrides for word in ("-o", each)]


def num_units(root: Path, overrides: Sequence[str]) -> int:
    """Units of generate that a run made."""
    experiment = load_experiment("demo", [*overrides, f"root={root}"])
    captions = Artifact.load(plan(experiment)["generate"].path).counts["distinct_captions"]
    return -(-int(captions) // experiment.generate.captions_per_unit())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the demo as it is")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.steps=10")
    options = parser.parse_args()
    overrides = [*(() if options.full else SMALL), *options.override]
    first = random.randrange(20_000, 30_000, 10)
    served: list[float] = []
    stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "prefect"
        environment = {**os.environ, "DEGLA_PREFECT_HOME": str(home), "DEGLA_HOME": folder, "DEGLA_PORTS": f"{first}-{first + 9}"}
        with server(environment, home) as (start, memory):
            for number in range(options.rounds):
                roots = {way: f"{folder}/{way}-{number}" for way in ("served", "alone")}
                words = {way: _options([*overrides, f"root={root}"]) for way, root in roots.items()}
                served.append(run(["flows.local", "run", "pipeline/demo", *words["served"]], environment))
                for stage, taken in stages.items():
                    taken.append(run([f"degla.{stage}", "demo", *words["alone"]], environment))
            again = run(["flows.local", "run", "pipeline/demo", *words["served"]], environment)
        units = num_units(Path(roots["served"]), overrides)
    alone = {stage: statistics.median(taken) for stage, taken in stages.items()}
    whole, total = statistics.median(served), sum(alone.values())
    for stage, seconds in alone.items():
        print(f"{'python -m degla.' + stage:<32} {seconds:8.1f} s")
    print(f"{'the six together':<32} {total:8.1f} s")
    print(f"{'pipeline/demo, served':<32} {whole:8.1f} s  {whole - total:+.1f} s, {100 * (whole / total - 1):+.1f} %")
    print(f"{'the same again, all reused':<32} {again:8.1f} s")
    print(f"{'start of server and deployments':<32} {start:8.1f} s")
    print(f"{'memory of the server':<32} {memory.largest / 1e6:8.0f} MB")
    print(
        f"orchestration overhead_s={whole - total:.1f} overhead={whole / total - 1:.3f} units={units}"
        f" server_mb={memory.largest / 1e6:.0f} reused_s={again:.1f}"
    )


if __name__ == "__main__":
    main()
