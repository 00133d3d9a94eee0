"""Serve every flow from one process: `python -m flows.serve`, started by `make up`.

A deployment is named `<flow>/<preset>`, such as `pipeline/demo` or `train/coco`; its run form starts with the preset's
settings. `exemplars/select`, `catalog/get` and `compare/default` serve all presets. `prefect.yaml` deploys the same flows to
worker machines.
"""

from __future__ import annotations

from typing import Any, cast

from prefect import Flow, serve
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_SERVER_API_PORT
from prefect.types.entrypoint import EntrypointType

from degla.experiments.experiment import Experiment, load_experiment, preset_names
from flows.catalog import catalog
from flows.compare import compare
from flows.exemplars import exemplars
from flows.local.server import Server, prefect_home, wait_for_server
from flows.patience import outlast_the_server
from flows.pipeline import pipeline
from flows.stages import STAGE_FLOWS

FLOWS = (pipeline, *STAGE_FLOWS.values())


def deployments() -> list[RunnerDeployment]:
    """One deployment per flow and preset, and those without a preset."""
    of_presets = [deployment for preset in preset_names() for deployment in _of_preset(load_experiment(preset))]
    alone = ((exemplars, "select"), (catalog, "get"), (compare, "default"))
    return [*of_presets, *(_deployment(flow, name, _first_paragraph(flow), flow.name) for flow, name in alone)]


def preset_parameters(preset: str) -> dict[str, Any]:
    """The parameters of a preset's deployments; a build step of `prefect.yaml`."""
    return {"experiment": load_experiment(preset).model_dump(mode="json")}


def _of_preset(experiment: Experiment) -> list[RunnerDeployment]:
    name = experiment.name
    text = f"**{name}**: {experiment.description}"
    return [_deployment(flow, name, f"{_first_paragraph(flow)}\n\n{text}", name, preset_parameters(name)) for flow in FLOWS]


def _deployment(
    flow: Flow[..., Any], name: str, description: str, tag: str, parameters: dict[str, Any] | None = None
) -> RunnerDeployment:
    made = flow.to_deployment(
        name=name,
        parameters=parameters,
        description=description,
        tags=["degla", tag],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast(RunnerDeployment, made)  # a coroutine only in asynchronous code


def _first_paragraph(flow: Flow[..., Any]) -> str:
    return (flow.description or "").partition("\n\n")[0]


if __name__ == "__main__":
    prepared = deployments()
    outlast_the_server()
    wait_for_server(Server(prefect_home(), PREFECT_SERVER_API_PORT.value()))  # it may have been started just before
    serve(*prepared, print_starting_message=False)
