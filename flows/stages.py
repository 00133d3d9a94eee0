"""One flow a stage, each for running that stage alone; `flows.serve` makes a deployment of each for every preset.

A stage reads the finished artifacts of its experiment, or those given in `inputs`.
"""

from __future__ import annotations

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from degla.experiments.experiment import Experiment
from flows.running import FLOW_OPTIONS, StageName, run_stages
from tasks.stage import StageResult

_ARGUMENTS = """

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """


def _stage_flow(stage: StageName, what: str) -> Flow[..., State[list[StageResult]]]:
    """The flow of a stage. Prefect finds it again by its module and name, and makes the run form from its signature."""

    def run(
        experiment: Experiment,
        overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
        inputs: dict[StageName, str] = {},  # noqa: B006
        refresh: bool = False,
        dry_run: bool = False,
    ) -> State[list[StageResult]]:
        return run_stages(experiment, [stage], overrides, inputs, refresh, dry_run)

    run.__name__ = run.__qualname__ = stage
    run.__doc__ = what + _ARGUMENTS
    return flow(name=stage, flow_run_name=f"{stage}-{{experiment.name}}", **FLOW_OPTIONS)(run)


prepare = _stage_flow("prepare", "Prepare alone: check the dataset, store its images, clean and tag its captions.")
generate = _stage_flow("generate", "Generate alone: ask for negative captions of every type.")
filter = _stage_flow("filter", "Filter alone: keep the negatives that pass every rule, and the others with their rule.")
train = _stage_flow("train", "Train alone: fine-tune the CLIP on captions and negatives.")
evaluate = _stage_flow("evaluate", "Evaluate alone: score the pretrained and the fine-tuned model on the benchmarks.")
report = _stage_flow("report", "Report alone: write the scorecard.")
