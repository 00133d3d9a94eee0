"""The body of every flow: resolve the experiment, plan, refuse bad input, then call the stages' tasks in order.

The plan is made first, so that a misspelt key, a missing input or a full disk ends the run before any stage begins.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from degla.errors import ConfigError, InputError, StorageError
from degla.experiments.cli import dry_run_sections, generation_cost
from degla.experiments.experiment import STAGES, Experiment, StageName, load_experiment
from degla.experiments.plan import StagePlan, check_inputs, check_root, describe, plan, start_refresh
from flows.recovery import begin_attempt, leaving, on_crashed
from tasks.gpu import gpu_slot
from tasks.orders import await_server
from tasks.overview import Overview
from tasks.stage import StageJob, StageResult
from tasks.stages import STAGE_TASKS

_PREFECTS_OWN = re.compile(  # `brave-otter` by the server, `kappa976-capricorni-e` by the form
    r"[a-z]+-[a-z]+|(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi"
    r"|chi|psi|omega)\d*(-[a-z]+)+"
)
_NAME_LENGTH = 120


def run_name() -> str:
    """What a run of stages is called: preset, data and model, and what was changed."""
    parameters = runtime.flow_run.parameters
    try:
        preset = load_experiment(parameters["experiment"])
        experiment = preset.with_settings({stage: parameters.get(stage, {}) for stage in STAGES})
    except InputError:  # the run says so
        return name_of([Path(parameters["experiment"]).stem])
    stages = parameters.get("stages", STAGES)
    shown = ("prepare.dataset", "train.model.architecture")
    changed = [*([] if len(stages) == len(STAGES) else stages), *parameters["overrides"]]
    changed += [f"{key}={value}" for key, value in experiment.changes_from(preset).items() if key not in shown]
    changed += [name for name in ("refresh", "dry_run") if parameters[name]]
    data_and_model = dict.fromkeys([experiment.prepare.dataset, Path(experiment.train.model.architecture).stem])
    return name_of([experiment.name, *data_and_model, *changed])


def name_of(parts: Sequence[str]) -> str:
    """The name of the current run, of these parts. One that somebody gave it stays, if it is not one that Prefect makes up."""
    given = runtime.flow_run.name or ""
    if given and not _PREFECTS_OWN.fullmatch(given):
        return given
    return textwrap.shorten(" | ".join(parts), _NAME_LENGTH, placeholder=" ...")


FLOW_OPTIONS: dict[str, Any] = {"persist_result": False, "validate_parameters": True, "on_crashed": [on_crashed]}


def run_stages(
    experiment: str,
    stages: Collection[str],
    settings: Mapping[str, Mapping[str, Any]],
    overrides: Iterable[str] = (),
    inputs: Mapping[StageName, str] | None = None,
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Run these stages of an experiment in the current flow run, or show what would run.

    Args:
        experiment: a preset, or a YAML file.
        stages: to run, in the pipeline's order whatever the order given.
        settings: of each stage, in place of the experiment's; see `Experiment.with_settings`.
        overrides: applied last.
        inputs: stage to the finished artifact to read instead of the experiment's own.
        refresh: make these stages again.
        dry_run: only show.

    Raises:
        InputError: the experiment, an input or the artifact root is wrong; nothing was started.
        PassingFault, StageBug: the error that ended a stage after its retries.
    """
    logger = get_run_logger()
    continued = begin_attempt()
    if not stages:
        raise ConfigError(f"stages is empty: there is nothing to run. Choose some of {', '.join(STAGES)}")
    resolved = load_experiment(experiment).with_settings(settings).with_overrides(overrides)
    stages = [stage for stage in STAGES if stage in stages]
    given: dict[str, Path] = {stage: Path(path).absolute() for stage, path in (inputs or {}).items()}
    if dry_run:
        text = "\n".join(dry_run_sections(resolved, given, stages if refresh else (), stages))
        logger.info("dry run: nothing is started\n%s", text)
        create_markdown_artifact(f"```\n{text}\n```", key="dry-run", description="What would run")
        return Completed(message="dry run: nothing was started", data=[])
    try:
        plans = make_plan(resolved, stages, given, refresh and not continued)
    except InputError as error:
        show_problems(error)
        raise
    check_root(resolved, [plans[stage] for stage in stages])
    logger.info("plan:\n%s", "\n".join(describe({stage: plans[stage] for stage in stages})))
    cost = _cost(resolved, given) if "generate" in stages and not plans["generate"].finished else ""
    with leaving():
        return _finished(_run(resolved, stages, plans, Overview({stage: plans[stage] for stage in stages}, cost)))


def show_problems(error: InputError) -> None:
    """Show all that a run lacks, and how to get it, on the run's page."""
    lines = [f"- {each}" for each in error.listed or (error,)]
    text = "\n".join(["Nothing was started.", "", *lines])
    create_markdown_artifact(text, key="missing", description="What is missing or wrong, and what to do")


def _cost(experiment: Experiment, given: Mapping[str, Path]) -> str:
    """Requests, yield and cost of generation, for the log and as Markdown."""
    lines = generation_cost(experiment, given)
    get_run_logger().info("%s", "\n".join(lines))
    return "## Generation\n\n```\n" + "\n".join(lines) + "\n```"


def make_plan(experiment: Experiment, stages: Collection[str], given: Mapping[str, Path], refresh: bool) -> dict[str, StagePlan]:
    """The plan of a run of these stages; `refresh` makes them again.

    Raises:
        MissingInputError: a stage reads an unfinished artifact that this run does not make.
    """
    last = max(stages, key=STAGES.index)
    check_inputs(plan(experiment, given, upto=last), stages, experiment.name)
    if refresh:
        start_refresh(experiment, stages, given)
    return plan(experiment, given, upto=last)


def _run(
    experiment: Experiment, stages: Collection[str], plans: Mapping[str, StagePlan], overview: Overview
) -> list[StageResult]:
    file = _save(experiment, all(plans[stage].finished for stage in stages))
    states: dict[str, State[StageResult]] = {}
    for stage in stages:
        # Prefect draws the run's graph from the states passed to a task
        reads = [states[name] for name in plans[stage].config.needs if name in states]
        config = plans[stage].config
        reads_from = {name: str(path) for name, path in plans[stage].inputs.items()}
        job = StageJob(stage, file, str(plans[stage].path), reads_from, config.refresh)
        finished = plans[stage].finished
        await_server()
        slot = nullcontext() if finished else gpu_slot(config)  # here, since waiting is no part of a task's time limit
        with overview.running(stage), slot:
            states[stage] = STAGE_TASKS[stage](job, reads)
        await_server()
        overview.ended(states[stage].result())
    return [state.result() for state in states.values()]


def _save(experiment: Experiment, reused: bool) -> str:
    """The file of the experiment; none if all is reused from a root that is read-only."""
    try:
        return str(experiment.save())
    except StorageError:
        if reused:
            return ""
        raise


def _finished(results: list[StageResult]) -> State[list[StageResult]]:
    reused = [result["stage"] for result in results if result["reused"]]
    made = [result["stage"] for result in results if not result["reused"]]
    parts = [f"{word} {', '.join(stages)}" for word, stages in (("made", made), ("reused", reused)) if stages]
    return Completed(message="; ".join(parts), data=results)
