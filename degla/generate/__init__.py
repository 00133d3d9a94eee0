"""Generate: every caption and negative type asked becomes a row, with a rewrite or the reason why there is none.

Read it as a caption travels: `stage` cuts the distinct captions into units, a `worker` claims a unit, and `asking` decides which
types are asked (`routing`) of which back end (`backends`), until an answer passes (`verdicts`), or stops if none is of use
(`usefulness`). `backend` is the seam to `rules` and `language_models`. Beside this path, `imports` reads negatives that others
wrote, `exemplars` makes the prompts' examples, `cost` estimates a run on the `machine` at hand, and `watcher` reports it.
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
