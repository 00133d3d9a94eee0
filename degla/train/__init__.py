"""Train: fine-tune a CLIP with DeepSpeed and the DeGLA losses; the result is a model folder that open_clip loads.

Read `config`, `stage` and `launch` (what runs without torch), then `worker` (the loop), `training` (a step), `objective` with
`objectives/` and `losses/` (what is computed), `student`, `teacher` and `checkpoint` (what is kept), and `batches/` (the data).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact
from degla.train.config import TrainConfig

__all__ = ["TrainConfig", "run"]


def run(config: TrainConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the fine-tuned model in `out_dir`; see `degla.train.stage.train`."""
    from degla.train.stage import train

    return train(config, inputs, out_dir)
