"""One flow per stage, to run that stage alone; `flows.serve` makes a deployment of each for every preset.

A stage reads the finished artifacts of its experiment, or those given in `inputs`.
"""

from __future__ import annotations

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from degla.experiments.experiment import STAGES, Experiment, StageName
from flows.running import FLOW_OPTIONS, run_name, run_stages
from tasks.stage import StageResult

_ARGUMENTS = """

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read instead of the experiment's own: stage name to folder.
        refresh: Make the artifact again; the existing one stays beside it.
        dry_run: Print the settings and what would run, then stop.
    """


def _stage_flow(stage: StageName) -> Flow[..., State[list[StageResult]]]:
    """The flow of a stage; Prefect makes the run form from its signature."""

    def run(
        experiment: Experiment,
        overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
        inputs: dict[StageName, str] = {},  # noqa: B006
        refresh: bool = False,
        dry_run: bool = False,
    ) -> State[list[StageResult]]:
        return run_stages(experiment, [stage], overrides, inputs, refresh, dry_run)

    run.__name__ = run.__qualname__ = stage
    run.__doc__ = f"{stage.capitalize()} alone. {Experiment.model_fields[stage].description}{_ARGUMENTS}"
    return flow(name=stage, flow_run_name=run_name, **FLOW_OPTIONS)(run)


STAGE_FLOWS: dict[str, Flow[..., State[list[StageResult]]]] = {stage: _stage_flow(stage) for stage in STAGES}
globals().update(STAGE_FLOWS)  # Prefect finds a flow by its module and name: flows.stages.prepare
