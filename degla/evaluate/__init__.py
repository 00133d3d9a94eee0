"""Evaluate: score the pretrained and the fine-tuned model on every benchmark asked, side by side."""

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
