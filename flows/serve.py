"""Serve every flow from one process: `python -m flows.serve`, started by `make up`.

A deployment is named `<flow>/<preset>`, such as `pipeline/demo` or `train/coco`; its run form starts with the preset's
settings. `exemplars/select` and `catalog/get` are for all presets. For worker machines there is `prefect.yaml`, with the same
flows.
"""

from __future__ import annotations

from typing import Any

from prefect import Flow, serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.settings import PREFECT_SERVER_API_PORT

from degla.experiments.experiment import Experiment, load_experiment, preset_names
from flows import stages
from flows.catalog import catalog
from flows.exemplars import exemplars
from flows.local.server import Server, prefect_home, wait_for_server
from flows.pipeline import pipeline

FLOWS = (pipeline, stages.prepare, stages.generate, stages.filter, stages.train, stages.evaluate, stages.report)


def deployments() -> list[RunnerDeployment]:
    """One deployment a flow and preset, and those that need no preset."""
    of_presets = [deployment for preset in preset_names() for deployment in _of_preset(load_experiment(preset))]
    return [*of_presets, _alone(exemplars, "select"), _alone(catalog, "get")]


def preset_parameters(preset: str) -> dict[str, Any]:
    """The parameters of a preset's deployments; a build step of `prefect.yaml`."""
    return {"experiment": load_experiment(preset).model_dump(mode="json")}


def _alone(flow: Flow[..., Any], name: str) -> RunnerDeployment:
    return flow.to_deployment(
        name=name,
        description=_first_paragraph(flow),
        tags=["degla", flow.name],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _of_preset(experiment: Experiment) -> list[RunnerDeployment]:
    return [
        flow.to_deployment(
            name=experiment.name,
            parameters=preset_parameters(experiment.name),
            description=f"{_first_paragraph(flow)}\n\n**{experiment.name}**: {experiment.description}",
            tags=["degla", experiment.name],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow in FLOWS
    ]


def _first_paragraph(flow: Flow[..., Any]) -> str:
    return (flow.description or "").partition("\n\n")[0]


if __name__ == "__main__":
    prepared = deployments()
    wait_for_server(Server(prefect_home(), PREFECT_SERVER_API_PORT.value()))  # it may have been started just before
    serve(*prepared, print_starting_message=False)
