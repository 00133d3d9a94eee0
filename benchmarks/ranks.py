"""The demo's training with one rank and with two: losses, weights, scores, and what the second rank costs.

    python benchmarks/ranks.py [--steps 900]

Both start from the demo's kept negatives, which are made where they are missing, and have the same fingerprint; only
`train.ranks` differs. Weights are compared as a share of the way that training took them from the start. CPU time is that of
all processes of a training, start-up included.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from degla.experiments.experiment import Experiment, load_experiment
from degla.experiments.plan import plan, run_stage
from degla.miniworld import CLIP_DIR
from degla.models.lookup import WEIGHTS_FILE
from degla.text_files import read_json_lines

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Trained:
    """A finished training and its scores."""

    fingerprint: str
    losses: dict[int, float]
    """By step."""
    weights: Weights
    scores: dict[str, float]
    """By metric, after training."""
    cpu_seconds: float


def trained(experiment: Experiment, made: Mapping[str, Path]) -> Trained:
    """Train and evaluate, from the artifacts of the stages before."""
    plans = plan(experiment, made, upto="evaluate")
    before = _cpu_seconds()
    artifact = run_stage(plans["train"], "")
    seconds = _cpu_seconds() - before
    scores = json.loads(run_stage(plans["evaluate"], "").file("scores.json").read_text())
    lines = [line for _, line in read_json_lines(artifact.path / "metrics.jsonl")]
    return Trained(
        artifact.fingerprint,
        {line["step"]: line["train/loss/total"] for line in lines},
        load_file(artifact.path / "model" / WEIGHTS_FILE),
        {score["metric"]: score["value"] for score in scores if score["model"] == "after"},
        seconds,
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def distance(one: Weights, two: Weights) -> float:
    """L2."""
    return float(np.sqrt(sum(((one[name].astype(float) - two[name]) ** 2).sum() for name in one)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=900, help="optimizer steps")
    options = parser.parse_args()
    demo = load_experiment("demo", [f"train.steps={options.steps}"])
    made = {stage: run_stage(plan(demo, upto=stage)[stage], "").path for stage in ("prepare", "generate", "filter")}
    with tempfile.TemporaryDirectory() as folder:
        one, two = (trained(demo.with_overrides([f"root={folder}/{ranks}", f"train.ranks={ranks}"]), made) for ranks in (1, 2))
    assert one.fingerprint == two.fingerprint
    apart = {step: abs(two.losses[step] / loss - 1) for step, loss in one.losses.items()}
    way = distance(one.weights, two.weights) / distance(one.weights, load_file(CLIP_DIR / WEIGHTS_FILE))
    differing = sum(one.scores[metric] != two.scores[metric] for metric in one.scores)
    print(f"{'step':>6} {'1 rank':>12} {'2 ranks':>12} {'relative':>9}")
    for step in list(one.losses)[:: max(1, len(one.losses) // 5)]:
        print(f"{step:6} {one.losses[step]:12.7f} {two.losses[step]:12.7f} {apart[step]:9.1e}")
    print(f"largest relative difference of {len(apart)} recorded losses: {max(apart.values()):.1e}")
    print(f"weights after {options.steps} steps: apart by {way:.1e} of the way from the start")
    print(f"scores that differ: {differing} of {len(one.scores)}")
    print(f"CPU seconds of training: {one.cpu_seconds:.0f} and {two.cpu_seconds:.0f}")
    ratio = two.cpu_seconds / one.cpu_seconds
    print(f"ranks loss={max(apart.values()):.1e} weights={way:.1e} scores={differing} cpu_ratio={ratio:.2f}")


if __name__ == "__main__":
    main()
