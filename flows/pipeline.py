"""The pipeline: every stage in order, as one Prefect flow.

`prefect deployment run 'pipeline/demo' --watch` runs it in the served process; without deployments it runs here:

    python -m flows.pipeline EXPERIMENT [-o train.lr=1e-5] [--stages train evaluate] [--refresh] [--dry-run]

EXPERIMENT is a preset of `flows/experiments/` or a YAML file. The server that `make up` started records the run; if it does not
answer, a temporary one does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow, tags
from prefect.client.schemas.objects import State
from prefect.context import refresh_global_settings_context

from degla.errors import DeglaError, exit_code
from degla.experiments.cli import dry_run_sections
from degla.experiments.experiment import STAGES, Experiment, StageName, load_experiment
from degla.experiments.plan import check_inputs, check_root, plan
from flows.form import with_form
from flows.local.server import find_server, prefect_home, profile
from flows.running import FLOW_OPTIONS, run_name, run_stages
from flows.stages import StageFlow
from tasks.orders import TAG
from tasks.stage import StageResult


def pipeline_flow(preset: Experiment | None = None) -> StageFlow:
    """The pipeline's flow, with a form that begins with the preset's values; without a preset, for use in Python."""

    def pipeline(
        experiment: str,
        *,
        overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
        stages: list[StageName] = list(STAGES),  # noqa: B006
        refresh: bool = False,
        dry_run: bool = False,
        **settings: dict[str, Any],
    ) -> State[list[StageResult]]:
        return run_stages(experiment, stages, settings, overrides, None, refresh, dry_run)

    about = f"\n\n    **{preset.name}**: {preset.description}" if preset else ""
    pipeline.__doc__ = f"{_PURPOSE}{about}{_ARGUMENTS}"
    return flow(name="pipeline", flow_run_name=run_name, **FLOW_OPTIONS)(with_form(pipeline, STAGES, preset))


_PURPOSE = "Captions in, a fine-tuned CLIP and its scorecard out. Finished stages are reused."
_ARGUMENTS = """

    Args:
        experiment: The preset that the settings come from.
        overrides: Changes to any setting, as `train.lr=1e-5`, applied last. The form of each stage explains all of its settings.
        stages: The stages to run; the others must be finished.
        refresh: Make these stages again; existing artifacts stay beside the new ones.
        dry_run: Show the settings, what would run and all that is missing, then stop.
    """
pipeline = pipeline_flow()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pipeline in this process; returns the exit code."""
    options = _parser().parse_args(argv)
    # when Prefect has ended the run it sends the signal again, which without a handler would leave the temporary server
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        return _run_here(options)
    except KeyboardInterrupt:
        return 130
    except DeglaError as error:
        print(f"pipeline: error: {error}", file=sys.stderr)
        return exit_code(error)


def _run_here(options: argparse.Namespace) -> int:
    experiment = load_experiment(options.experiment, options.override)
    stages = [stage for stage in STAGES if stage in options.stages]
    if options.dry_run:
        for section in dry_run_sections(experiment, {}, stages if options.refresh else [], stages):
            print(section)
        return 0
    plans = plan(experiment, upto=stages[-1])
    check_inputs(plans, stages, experiment.name)
    check_root(experiment, [plans[stage] for stage in stages])
    _choose_server()
    with tags(TAG):
        pipeline(options.experiment, overrides=options.override, stages=stages, refresh=options.refresh)
    return 0


def _choose_server() -> None:
    """Have this checkout's server record the run, or a temporary one if it does not answer."""
    if server := find_server():
        os.environ["PREFECT_API_URL"] = server.api_url
    else:
        profile(prefect_home()).unlink(missing_ok=True)  # a killed server leaves its address there
    refresh_global_settings_context()  # Prefect's log thread does not see `temporary_settings`


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.pipeline", description="Run the pipeline in this process.", allow_abbrev=False
    )
    parser.add_argument("experiment", help="a preset of flows/experiments/ by name, or the path of a YAML file")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.lr=1e-5")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="only these; the others must be finished")
    parser.add_argument("--refresh", action="store_true", help="make these stages again; the old artifacts stay")
    parser.add_argument("--dry-run", action="store_true", help="print the experiment and what would run, then stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
