"""degla: negatives, filtering, DeGLA fine-tuning and evaluation of CLIP models (arXiv 2504.16801).

The library works without Prefect. Each stage is a sub-package with one entry point,
`degla.<stage>.run(config, inputs, out_dir) -> Artifact`, and a command line, `python -m degla.<stage>`.
Stages never import each other: they meet in `degla.artifacts` and `degla.schemas`. Read these two and `config`, then
`experiments`, then the stages in the order of the pipeline; `docs/architecture.md` has a drawing.
"""

__version__ = "0.1.0"
