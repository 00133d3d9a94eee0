"""What a study takes and lacks, before it starts: its runs, what is made once, hours, disk, and all that is missing.

`python -m degla.study plan` prints it; the flow and `run` refuse to start while something is missing. Settings that are not
chosen yet are taken to be each method's first trial, which costs what the others do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from degla.artifacts import Artifact
from degla.errors import ConfigError, InputError, Problems, StorageError
from degla.evaluate.config import BenchmarkRef
from degla.experiments.cli import generation_cost
from degla.experiments.experiment import Experiment
from degla.experiments.plan import StagePlan
from degla.generate.machine import machine
from degla.models.size import num_parameters
from degla.models.source import find
from degla.outcomes.suites import SUITES
from degla.progress import duration
from degla.study.cost import train_flop
from degla.study.desk import Desk
from degla.study.runs import TRIALS, Run

STAGES = ("prepare", "generate", "filter", "train", "evaluate")
_A100 = ("an A100 at 40 % of its 312 TFLOP/s", 0.4 * 312e12)
_WEIGHT = 4  # bytes; models are kept in float32


def check(desk: Desk) -> None:
    """Raises InputError, which lists everything that is missing or wrong for any run, trials and questions."""
    _found(desk, [*desk.trials(), *desk.foreseen()])[1].raise_any()


def plan_lines(desk: Desk) -> Iterator[str]:
    """The plan, for the console.

    Raises:
        InputError: something is missing or wrong, all of it listed; the lines before it are yielded first.
    """
    trials, finals = desk.trials(), desk.foreseen()
    runs = [*trials, *finals]
    plans, problems = _found(desk, runs)
    yield f"{desk.study.name}: {desk.study.description}"
    yield f"folder      {desk.folder}"
    chosen = "chosen" if desk.choices_file.is_file() else "chosen when the trials are finished"
    yield f"runs        {len(trials)} {TRIALS}, then {len(finals)} final ones; settings: {chosen}"
    for title in desk.study.questions:
        of_question = [run for run in finals if run.question == title]
        finished = sum(desk.is_finished(run) for run in of_question if run.name in plans)
        yield f"            {title}: {len(of_question)} runs, {finished} finished"
    if len(plans) == len(runs):
        yield from _stage_lines(list(plans.values()))
    yield from _hours_lines(desk, runs, plans)
    yield from _disk_lines(desk, runs, plans, problems)
    yield from _generation_lines(trials[0].experiment, plans.get(trials[0].name))
    left_out = {str(error) for run in finals for ref in run.experiment.evaluate.benchmarks for error in ref.missing()[:1]}
    needed = {str(error) for error in problems.found}
    if rest := sorted(left_out - needed):
        yield "benchmarks that evaluate would leave out:"
        yield from (f"  {each}" for each in rest)
    problems.raise_any()


def _found(desk: Desk, runs: Sequence[Run]) -> tuple[dict[str, dict[str, StagePlan]], Problems]:
    """The plans of the runs that can be planned, by name, and what is missing or wrong."""
    study, problems = desk.study, Problems()
    plans = {}
    for run in runs:
        by = study.chosen_by if run.question == TRIALS else study
        with problems.noted():
            plans[run.name] = run.plans()
        for name in (by.composition, by.retention):
            with problems.noted():
                _check_metric(run, name, problems)
    return plans, problems


def _check_metric(run: Run, metric: str, problems: Problems) -> None:
    """Note which files of the benchmarks behind a metric are missing. Raises ConfigError if none of the run's has it."""
    refs: dict[str, BenchmarkRef] = {ref.title: ref for ref in run.experiment.evaluate.benchmarks}
    name, _, path = metric.partition("/")
    averages = {each.path: each for suite in SUITES if suite.name == name for each in suite.averages}
    wanted = [over.partition("/")[0] for over in averages[path].over] if path in averages else [name]
    for title in dict.fromkeys(wanted):
        if title not in refs:
            raise ConfigError(f"{run.question}: {metric} needs the benchmark {title}; scored are {', '.join(refs)}")
        for error in refs[title].missing():
            with problems.noted():
                raise error


def _is_finished(plans: dict[str, StagePlan] | None) -> bool:
    return plans is not None and "evaluate" in plans and plans["evaluate"].finished


def _stage_lines(plans: Sequence[dict[str, StagePlan]]) -> Iterator[str]:
    """How many artifacts of each stage there are among all runs: what several read is made once. A run whose negatives are still
    to be planted has no plan of its training, which is its own."""
    for stage in STAGES:
        found = {each[stage].path: each[stage].finished for each in plans if stage in each}
        others = sum(stage not in each for each in plans)
        yield f"{stage:<11} {len(found) + others:,} artifacts, {sum(found.values()):,} of them finished"


def _hours_lines(desk: Desk, runs: Sequence[Run], plans: dict[str, dict[str, StagePlan]]) -> Iterator[str]:
    """From finished runs where there are any; else from arithmetic."""
    done = [plan for run in runs if (plan := plans.get(run.name)) and _is_finished(plan)]
    left = [run for run in runs if run.name not in plans or not desk.is_finished(run)]
    if done and left:
        seconds = [Artifact.load(plan[stage].path).manifest.seconds for plan in done for stage in ("train", "evaluate")]
        each = sum(seconds) / len(done)
        rest = f"{duration(each * len(left))} of training and scoring for the {len(left)} runs left, one after the other"
        yield f"time        {rest}; each took {duration(each)}"
        return
    work = [train_flop(run.experiment) for run in left]
    known = [each for each in work if each is not None]
    if not known or len(known) < len(work):
        return
    total = sum(known)
    if Path("/dev/nvidiactl").exists() or runs[0].experiment.train.precision == "fp32":
        here = machine()
        hours = [total / here.flops / 3600 * factor for factor in (1 / here.spread, here.spread)]
        where = f"{hours[0]:,.1f} to {hours[1]:,.1f} of {here.name}"
    else:
        where = f"{total / _A100[1] / 3600:,.1f} of {_A100[0]} (no GPU was found here)"
    yield f"hours       {where}: training takes {total / 1e18:,.2g} EFLOP by arithmetic, without loading and scoring"


def _disk_lines(desk: Desk, runs: Sequence[Run], plans: dict[str, dict[str, StagePlan]], problems: Problems) -> Iterator[str]:
    """What stays: the model of each run, and another one where the best between start and end is chosen."""
    total = 0
    for run in runs:
        if run.name in plans and desk.is_finished(run):
            continue
        try:
            count = num_parameters(find(run.experiment.train.model, "train.model", download=False).architecture)
        except InputError:  # noted already
            return
        total += _WEIGHT * (count or 0) * (2 if run.experiment.evaluate.interpolate else 1)
    root = next(each for each in (desk.folder, *desk.folder.parents) if each.is_dir())
    free = shutil.disk_usage(root).free
    during = {each["train"].estimate for each in plans.values() if "train" in each and each["train"].estimate}
    yield f"disk        {total / 1e9:,.1f} GB of models stay, {free / 1e9:,.1f} GB are free"
    yield from (f"            a training: {each}" for each in sorted(during))
    if total > free:
        with problems.noted():
            raise StorageError(f"the models of this study take {total / 1e9:,.1f} GB; {free / 1e9:,.1f} GB are free at {root}")


def _generation_lines(experiment: Experiment, plans: dict[str, StagePlan] | None) -> Iterator[str]:
    if plans is None or not plans["generate"].finished:
        yield from generation_cost(experiment, {})
