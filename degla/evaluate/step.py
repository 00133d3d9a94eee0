"""`python -m degla.evaluate.step EXPERIMENT --step NAME`: one step of the stage, for a Prefect task of its own.

Steps are `features` (encode what is new) and the title of each benchmark (score it); `python -m degla.evaluate` then finds them
done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from degla.errors import ConfigError
from degla.evaluate import stage
from degla.evaluate.config import FEATURES, EvaluateConfig
from degla.experiments.cli import COUNTER_HELP, parse_given, run_command
from degla.experiments.experiment import load_experiment
from degla.experiments.plan import load_inputs, plan


def main(argv: Sequence[str] | None = None) -> int:
    """Do one step; returns the exit code, which says what kind of error ended it."""
    options = _parser().parse_args(argv)
    return run_command("evaluate", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    experiment = load_experiment(options.experiment, options.override)
    counters = {} if options.counter is None else {"evaluate": options.counter}
    stage_plan = plan(experiment, parse_given(options.input), upto="evaluate", counters=counters)["evaluate"]
    config = stage_plan.config
    assert isinstance(config, EvaluateConfig)
    known = [FEATURES, *(ref.title for ref in config.benchmarks)]
    if options.step not in known:
        raise ConfigError(f"no step {options.step!r}; there are: {', '.join(known)}")
    if not stage_plan.finished:
        inputs = load_inputs(stage_plan, f"python -m degla.{{stage}} {options.experiment}")
        stage.step(config, inputs, stage_plan.path, options.step)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m degla.evaluate.step", description="Run one step of the evaluate stage.", allow_abbrev=False
    )
    parser.add_argument("experiment", help="a preset of flows/experiments/ by name, or the path of a YAML file")
    parser.add_argument("--step", required=True, help="`features`, or the title of a benchmark")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.lr=1e-5")
    parser.add_argument("--input", action="append", default=[], metavar="STAGE=PATH", help="use this artifact as input")
    parser.add_argument("--counter", type=int, metavar="N", help=COUNTER_HELP)
    return parser


if __name__ == "__main__":
    sys.exit(main())
