"""Generate: every caption and negative type asked becomes a row, with a rewrite or the reason why there is none.

As a caption goes: `stage` cuts the captions into units, a `worker` takes them (`units`), `asking` says which types are asked
for (`routing`) and whom (`backends`), until an answer will do (`judging`). Who answers is a `backend`: those of `rules` and of
`language_models`. `imports` takes in what others wrote; `exemplars` makes the prompts' examples; `cost` says beforehand what a
run will take, `reporting` meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact
from degla.generate.config import GenerateConfig

__all__ = ["GenerateConfig", "run"]


def run(config: GenerateConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the raw rewrites in `out_dir`; see `degla.generate.stage.generate`."""
    from degla.generate.stage import generate

    return generate(config, inputs, out_dir)
