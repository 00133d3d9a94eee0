"""One flow per stage, to run that stage alone; `flows.deployments` makes a deployment of each for every preset.

A stage reads the finished artifacts of its experiment, or those given in `inputs`.
"""

from __future__ import annotations

from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from degla.experiments.experiment import STAGES, Experiment, StageName
from flows.form import with_form
from flows.running import FLOW_OPTIONS, run_name, run_stages
from tasks.stage import StageResult

StageFlow = Flow[..., State[list[StageResult]]]

_ARGUMENTS = """

    Args:
        experiment: The preset that the settings come from.
        overrides: Changes to any setting, as `train.lr=1e-5` or `prepare.dataset=coco_val2017`, applied last.
        inputs: Finished artifacts to read instead of the experiment's own: stage name to folder.
        refresh: Make the artifact again; the existing one stays beside it.
        dry_run: Show the settings, what would run and all that is missing, then stop.
    """


def stage_flow(stage: StageName, preset: Experiment | None = None) -> StageFlow:
    """The flow of a stage, with a form that begins with the preset's values; without a preset, for use in Python."""

    def run(
        experiment: str,
        *,
        overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
        inputs: dict[StageName, str] = {},  # noqa: B006
        refresh: bool = False,
        dry_run: bool = False,
        **settings: dict[str, Any],
    ) -> State[list[StageResult]]:
        return run_stages(experiment, [stage], settings, overrides, inputs, refresh, dry_run)

    run.__name__ = run.__qualname__ = stage
    about = f"\n\n    **{preset.name}**: {preset.description}" if preset else ""
    run.__doc__ = f"{stage.capitalize()} alone. {Experiment.model_fields[stage].description}{about}{_ARGUMENTS}"
    return flow(name=stage, flow_run_name=run_name, **FLOW_OPTIONS)(with_form(run, [stage], preset))


STAGE_FLOWS: dict[str, StageFlow] = {stage: stage_flow(stage) for stage in STAGES}
globals().update(STAGE_FLOWS)
