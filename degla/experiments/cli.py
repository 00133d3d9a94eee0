"""The command line of a stage: `python -m degla.<stage> EXPERIMENT [-o key=value] [--dry-run] ...`.

A Prefect task runs a stage the same way, in a child process; the exit code gives the type of error (`degla.errors`).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from degla.artifacts import Artifact
from degla.errors import ConfigError, DeglaError, InputError, Problems, exit_code
from degla.experiments.experiment import STAGES, Experiment, load_experiment
from degla.experiments.plan import describe, plan, run_stage, start_refresh

COUNTER_HELP = "refresh counter of the artifact, for a task that planned it; default the one below the artifact root"


def main(stage: str, argv: Sequence[str] | None = None) -> int:
    """Run one stage from command-line arguments; returns the exit code."""
    options = _parser(stage).parse_args(argv)
    return run_command(stage, lambda: _run(stage, options))


def run_command(name: str, do: Callable[[], None]) -> int:
    """Run a command with degla's log on the console; returns the exit code for the type of error."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("degla").setLevel(logging.INFO)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads spin while they wait: see docs/training.md
    logging.getLogger("huggingface_hub").propagate = False  # it prints its lines itself
    try:
        do()
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:  # from argparse: --help, or a wrong option
        return int(end.code or 0)
    except BaseException as error:
        if not isinstance(error, DeglaError):
            traceback.print_exc()
        print(f"{name}: error: {error}", file=sys.stderr, flush=True)
        return exit_code(error)
    return 0


def parse_given(pairs: Sequence[str]) -> dict[str, Path]:
    """`stage=path` pairs as a mapping. Raises ConfigError if a stage is unknown."""
    given: dict[str, Path] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator or name not in STAGES:
            raise ConfigError(f"--input {pair!r}: expected STAGE=PATH with a stage of {', '.join(STAGES)}")
        given[name] = Path(path)
    return given


def dry_run_sections(
    experiment: Experiment, given: Mapping[str, Path], refresh: Sequence[str], stages: Sequence[str]
) -> Iterator[str]:
    """The sections that a dry run prints: the resolved experiment, the cost of generation, benchmarks without files, and what
    would be reused and made.

    Raises:
        InputError: raw inputs are missing or wrong, all of them listed; the earlier sections are yielded before.
    """
    yield yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    problems = Problems()
    if "generate" in stages:
        with problems.noted():
            yield "\n".join(generation_cost(experiment, given))
    left_out = [error for ref in experiment.evaluate.benchmarks for error in ref.missing()[:1]] if "evaluate" in stages else []
    if left_out:
        yield "\n".join(["benchmarks that evaluate would leave out:", *(f"  {error}" for error in left_out)])
    with problems.noted():
        plans = plan(experiment, given, refresh, upto=max(stages, key=STAGES.index))
    problems.raise_any()
    yield "\n".join(describe({name: item for name, item in plans.items() if name in stages}))


def generation_cost(experiment: Experiment, given: Mapping[str, Path]) -> list[str]:
    """The generate stage's requests, yield and cost as lines, from the prepared captions, or from the card's count if there are
    none."""
    from degla.generate.cost import describe as describe_cost
    from degla.generate.cost import estimate

    lines = describe_cost(estimate(experiment.generate, _prepared_captions(experiment, given), known_captions(experiment)))
    return ["what generate will ask and keep:", *(f"  {line}" for line in lines)]


def known_captions(experiment: Experiment) -> int | None:
    """How many captions the dataset's card says there are; None if only some of them are taken, or others."""
    prepare = experiment.prepare
    return None if prepare.limit or prepare.captions or prepare.options else prepare.card().counts.get("captions")


def _prepared_captions(experiment: Experiment, given: Mapping[str, Path]) -> Path | None:
    try:
        prepared = plan(experiment, given, upto="prepare")["prepare"]
    except InputError:
        return None
    return Artifact.load(prepared.path).file("captions.parquet") if prepared.finished else None


def _parser(stage: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m degla.{stage}", description=f"Run the {stage} stage alone.", allow_abbrev=False
    )
    parser.add_argument("experiment", help="a preset of flows/experiments/ by name, or the path of a YAML file")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.lr=1e-5")
    parser.add_argument("--input", action="append", default=[], metavar="STAGE=PATH", help="read this artifact instead")
    parser.add_argument("--refresh", action="store_true", help="make the artifact again; the old one stays")
    parser.add_argument("--counter", type=int, metavar="N", help=COUNTER_HELP)
    parser.add_argument("--dry-run", action="store_true", help="print the experiment and what would run, then stop")
    return parser


def _run(stage: str, options: argparse.Namespace) -> None:
    experiment = load_experiment(options.experiment, options.override)
    given = parse_given(options.input)
    if options.dry_run:
        for section in dry_run_sections(experiment, given, [stage] if options.refresh else [], [stage]):
            print(section)
        return
    if options.refresh:
        start_refresh(experiment, [stage], given)
    counters = {} if options.counter is None else {stage: options.counter}
    stage_plan = plan(experiment, given, upto=stage, counters=counters)[stage]
    reused = stage_plan.finished
    if not reused:
        experiment.save()  # `python -m degla.artifacts remove` keeps what it uses
    arguments = "".join(f" -o '{override}'" for override in options.override)
    artifact = run_stage(stage_plan, f"python -m degla.{{stage}} {options.experiment}{arguments}")
    _say_result(artifact, reused)


def _say_result(artifact: Artifact, reused: bool) -> None:
    counts = ", ".join(f"{name} {value:,}" for name, value in artifact.counts.items())
    state = "reused" if reused else f"done in {artifact.manifest.seconds:.0f} s"
    print(f"{artifact.stage}: {state}: {counts}\n{artifact.path}", flush=True)
