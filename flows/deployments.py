"""The deployments: what `flows.serve` serves on one machine, and what `prefect.yaml` deploys to work pools.

A deployment is named `<flow>/<preset>`, such as `pipeline/demo` or `train/coco`. Each has a flow of its own in this module, whose
run form begins with the preset's settings; its parameters are the preset's name alone. `exemplars/select`, `catalog/get` and
`compare/default` serve all presets; `study/miniworld` and the others of `flows/studies/` are named by their study.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any, Literal

from prefect import Flow

from degla.experiments.experiment import STAGES, Experiment, StageName, load_experiment, preset_names
from degla.study.config import load_study, study_names
from flows.catalog import catalog
from flows.compare import compare
from flows.exemplars import exemplars
from flows.local.pools import CPU, GPU
from flows.pipeline import pipeline_flow
from flows.stages import stage_flow
from flows.study import study
from tasks.gpu import may_use_gpu

FLOWS: tuple[Literal["pipeline"] | StageName, ...] = ("pipeline", *STAGES)
"""Those with a deployment per preset."""
ALONE = ((exemplars, "select"), (catalog, "get"), (compare, "default"))
"""Those that serve all presets, and the names of their deployments."""


@dataclass(frozen=True)
class Deployment:
    """What `flows.serve` and `prefect.yaml` say of a deployment."""

    flow: Flow[..., Any]
    name: str
    entrypoint: str
    pool: str
    about: str
    """The preset, or what else it is for; a tag."""
    parameters: dict[str, str]

    @property
    def tags(self) -> list[str]:
        """To find it by in the dashboard."""
        return ["degla", self.about, self.pool]

    @property
    def description(self) -> str:
        """The flow's, without its arguments, which stand in the run form."""
        return (self.flow.description or "").partition("\n\nArgs:")[0]


def deployments() -> list[Deployment]:
    """One per flow and preset, and those without a preset."""
    of_presets = [_of_preset(flow, load_experiment(preset)) for preset in preset_names() for flow in FLOWS]
    return [
        *of_presets,
        *(Deployment(flow, name, f"{flow.fn.__module__}.{flow.fn.__name__}", CPU, flow.name, {}) for flow, name in ALONE),
        *map(_of_study, study_names()),
    ]


def _of_study(name: str) -> Deployment:
    pool = pool_of("pipeline", load_experiment(load_study(name).preset))
    return Deployment(study, name, "flows.study.study", pool, study.name, {"study": name})


def pool_of(flow: str, preset: Experiment) -> str:
    """`gpu` for what a preset for GPUs runs on one; it is for GPUs if an engine writes its negatives, or it trains in bf16."""
    on_gpu = [stage for stage in STAGES if may_use_gpu(preset.stage_config(stage))]
    for_gpus = "generate" in on_gpu or preset.train.precision != "fp32"
    return GPU if for_gpus and flow in ("pipeline", *on_gpu) else CPU


def _of_preset(name: str, preset: Experiment) -> Deployment:
    variable = _variable(name, preset.name)
    flow = getattr(sys.modules["flows.deployments"], variable)
    return Deployment(
        flow, preset.name, f"flows.deployments.{variable}", pool_of(name, preset), preset.name, {"experiment": preset.name}
    )


def _variable(flow: str, preset: str) -> str:
    return re.sub(r"\W", "_", f"{preset}_{flow}")


def __getattr__(variable: str) -> Flow[..., Any]:
    """The flow of a deployment, such as `demo_train`: made when Prefect asks for it, since a run needs one of them."""
    for preset in preset_names():
        for name in FLOWS:
            if variable == _variable(name, preset):
                experiment = load_experiment(preset)
                made = pipeline_flow(experiment) if name == "pipeline" else stage_flow(name, experiment)
                return globals().setdefault(variable, made)
    raise AttributeError(f"flows.deployments has no {variable!r}: flows are named <preset>_<flow>, as demo_train")
