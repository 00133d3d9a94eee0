"""How fast the rules back end rewrites captions, what a second worker costs, and whether memory grows with the dataset.

    python benchmarks/generate_rules.py [--captions COCO.json] [--small 25000] [--large 400000] [--rounds 3]

Without --captions it makes captions from a small grammar, as long as COCO's and all different, with their tags. One worker
and two run in turns on the small set. Counted is the CPU time of the whole generate stage, imports and all, and the largest
memory of its processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import psutil
import pyarrow as pa

from degla.artifacts import MANIFEST, Artifact, Building
from degla.prepare import PrepareConfig
from degla.schemas import CAPTIONS, write_table

_NOUNS = (
    "dog cat man woman boy girl horse cow sheep bird car bus truck boat bench table chair couch bed plate cup bowl pizza cake"
)
_NOUNS += " umbrella surfboard skateboard kite ball bat glove helmet bag suitcase book clock vase laptop phone tree fence wall"
_ADJECTIVES = "red blue green yellow black white brown small large big old young tall wooden metal striped wet dirty empty full"
_VERBS = "holding watching carrying riding chasing pulling pushing passing facing touching"
_PLACES = "on under behind in_front_of next_to near above beside inside"
_SCENES = "beach street park field kitchen room station garden market harbor bridge yard"


@dataclass(frozen=True)
class Measured:
    """One run of a stage: what it made, its CPU and wall time, and the largest memory of its processes together."""

    made: Artifact
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int

    @property
    def captions(self) -> int:
        return self.made.counts["captions"]


def grammar(seed: int) -> Iterator[tuple[str, list[str]]]:
    """Captions and their tags, all different: 8 to 17 words, adjectives in about half."""
    rng = Random(seed)
    nouns, adjectives, verbs, places, scenes = (text.split() for text in (_NOUNS, _ADJECTIVES, _VERBS, _PLACES, _SCENES))
    seen = set()
    while True:
        words: list[tuple[str, str]] = []
        for part in range(3):
            words.append(("a", "AT0") if part < 2 else ("the", "AT0"))
            if rng.random() < 0.35:
                words.append((rng.choice(adjectives), "AJ0"))
            words.append((rng.choice(nouns if part < 2 else scenes), "NN1"))
            if part == 0 and rng.random() < 0.4:
                words.append((rng.choice(verbs), "VVG"))
            elif part < 2:
                words += [(word, "PRP") for word in rng.choice(places).split("_")]
        text = " ".join(word for word, _ in words)
        if text not in seen:
            seen.add(text)
            yield text, [tag for _, tag in words]


def prepare_grammar(folder: Path, count: int) -> Artifact:
    """A finished prepare artifact with `count` captions of the grammar, five to an image."""
    folder.mkdir(parents=True)
    texts, tags = zip(*islice(grammar(0), count), strict=True)
    tokens = [text.split() for text in texts]
    columns = [range(count), [f"{number // 5}" for number in range(count)], texts, tokens, tags, tokens]
    write_table(folder / "captions.parquet", pa.table(columns, schema=CAPTIONS), CAPTIONS)
    return Building(folder, PrepareConfig(), {}, {}, f"{count:016d}").finish({"captions": count}, ["captions.parquet"])


def prepare_file(home: Path, captions: Path) -> Artifact:
    """The prepare artifact of a COCO captions file."""
    return run_stage("prepare", home, f"dataset: coco_val2017, images: none, captions: {json.dumps(str(captions))}").made


def measure(prepared: Artifact, home: Path, workers: int) -> Measured:
    """Run the generate stage anew on a prepare artifact."""
    shutil.rmtree(home / "generate", ignore_errors=True)
    return run_stage("generate", home, f"workers: {workers}", [prepared])


def run_stage(stage: str, home: Path, settings: str, inputs: Sequence[Artifact] = ()) -> Measured:
    """Run a stage in a process of its own; `settings` are the fields of its config in YAML."""
    experiment = home / "experiment.yaml"
    experiment.write_text(f"{stage}: {{{settings}}}\n")
    command = [sys.executable, "-m", f"degla.{stage}", str(experiment)]
    command += [word for each in inputs for word in ("--input", f"{each.stage}={each.path}")]
    start, before, peak = time.monotonic(), os.times(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"DEGLA_HOME": str(home)})
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(0.1)
    wall, after = time.monotonic() - start, os.times()
    if process.returncode:
        sys.exit(f"{stage} ended with exit code {process.returncode}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(Artifact.load(next((home / stage).glob(f"*/{MANIFEST}")).parent), cpu, wall, peak)


def _memory(pid: int) -> int:
    """Bytes of a process and its children, shared pages counted once."""
    try:
        processes = (parent := psutil.Process(pid), *parent.children(recursive=True))
        return sum(process.memory_full_info().pss for process in processes)
    except psutil.Error:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="a COCO captions file for the small set")
    parser.add_argument("--small", type=int, default=25_000)
    parser.add_argument("--large", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(options, Path(folder))


def run(options: argparse.Namespace, home: Path) -> None:
    small = prepare_file(home, options.captions) if options.captions else prepare_grammar(home / "small", options.small)
    large = prepare_grammar(home / "large", options.large)
    rounds = [(measure(small, home, 1), measure(small, home, 2)) for _ in range(options.rounds)]
    memory = [measure(prepared, home, 2) for prepared in (small, large)]
    print(f"{'captions':>9} {'workers':>8} {'CPU s':>7} {'wall s':>7} {'captions per CPU s':>19} {'peak GB':>8}")
    for workers, one in [(k + 1, each[k]) for each in rounds for k in (0, 1)] + [(2, memory[1])]:
        speed = one.captions / one.cpu_seconds
        print(f"{one.captions:9,} {workers:8} {one.cpu_seconds:7.1f} {one.wall_seconds:7.1f} {speed:19,.0f}", end="")
        print(f" {one.peak_bytes / 1e9:8.2f}")
    first, counts = rounds[0][0], rounds[0][0].made.counts
    print(f"texts per caption: {counts['ok'] / first.captions:.2f} of {counts['asked'] / first.captions:.2f} rows")
    speed = statistics.median(one.captions / one.cpu_seconds for one, _ in rounds)
    ratio = statistics.median(two.cpu_seconds / one.cpu_seconds for one, two in rounds)
    peak = memory[1].peak_bytes
    print(f"memory at {memory[1].captions:,} captions against {memory[0].captions:,}: {peak / memory[0].peak_bytes:.2f} times")
    print(f"generate_rules captions_per_s={speed:.0f} two_workers_cpu_ratio={ratio:.2f} peak_gb={peak / 1e9:.2f}")


if __name__ == "__main__":
    main()
