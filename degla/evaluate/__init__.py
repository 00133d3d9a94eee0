"""Evaluate: score the pretrained and the fine-tuned model on every benchmark asked, side by side.

Read in this order:

    config      what is scored                      features/   one pass that encodes every image and text
    benchmark   what a benchmark is: sets, items    items       what a model did on each item, one row each
    readers/    files to benchmarks, one a format   protocols   the scoring rules; linear_probe  the one that is fitted
    stage       the run, in prose                   bringing    items of other people's models
    scored_models   which models, and their checks  references  published ones
    units       items and results on disk           comparison  all of it as Markdown

From items to metrics, intervals and records: `degla.outcomes`. `step` runs one step of the stage in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact
from degla.evaluate.config import EvaluateConfig

__all__ = ["EvaluateConfig", "run"]


def run(config: EvaluateConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the scores in `out_dir`; see `degla.evaluate.stage.evaluate`."""
    from degla.evaluate.stage import evaluate

    return evaluate(config, inputs, out_dir)
