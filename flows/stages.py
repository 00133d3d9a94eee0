"""One flow a stage, each for running that stage alone; `flows.serve` makes a deployment of each for every preset.

A stage reads the finished artifacts of its experiment, or those given in `inputs`.
"""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from degla.experiment import Experiment
from flows.running import FLOW_OPTIONS, StageName, run_stages
from tasks.stage import StageResult


@flow(name="prepare", flow_run_name="prepare-{experiment.name}", **FLOW_OPTIONS)
def prepare(
    experiment: Experiment,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    inputs: dict[StageName, str] = {},  # noqa: B006
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Prepare alone: check the dataset, store its images, clean and tag its captions.

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """
    return run_stages(experiment, ["prepare"], overrides, inputs, refresh, dry_run)


@flow(name="generate", flow_run_name="generate-{experiment.name}", **FLOW_OPTIONS)
def generate(
    experiment: Experiment,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    inputs: dict[StageName, str] = {},  # noqa: B006
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Generate alone: ask for negative captions of every type.

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """
    return run_stages(experiment, ["generate"], overrides, inputs, refresh, dry_run)


@flow(name="filter", flow_run_name="filter-{experiment.name}", **FLOW_OPTIONS)
def filter(
    experiment: Experiment,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    inputs: dict[StageName, str] = {},  # noqa: B006
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Filter alone: keep the negatives that pass every rule, and the others with their rule.

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """
    return run_stages(experiment, ["filter"], overrides, inputs, refresh, dry_run)


@flow(name="train", flow_run_name="train-{experiment.name}", **FLOW_OPTIONS)
def train(
    experiment: Experiment,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    inputs: dict[StageName, str] = {},  # noqa: B006
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Train alone: fine-tune the CLIP on captions and negatives.

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """
    return run_stages(experiment, ["train"], overrides, inputs, refresh, dry_run)


@flow(name="evaluate", flow_run_name="evaluate-{experiment.name}", **FLOW_OPTIONS)
def evaluate(
    experiment: Experiment,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    inputs: dict[StageName, str] = {},  # noqa: B006
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Evaluate alone: score the pretrained and the fine-tuned model on the benchmarks.

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """
    return run_stages(experiment, ["evaluate"], overrides, inputs, refresh, dry_run)


@flow(name="report", flow_run_name="report-{experiment.name}", **FLOW_OPTIONS)
def report(
    experiment: Experiment,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    inputs: dict[StageName, str] = {},  # noqa: B006
    refresh: bool = False,
    dry_run: bool = False,
) -> State[list[StageResult]]:
    """Report alone: write the scorecard.

    Args:
        experiment: The settings of every stage; the deployment's preset fills them in.
        overrides: Changes to the settings, as `train.lr=1e-5`, applied last.
        inputs: Finished artifacts to read in place of the experiment's own: stage name to folder.
        refresh: Make the artifact anew; the one that exists stays beside it.
        dry_run: Print the settings and what would run, and stop.
    """
    return run_stages(experiment, ["report"], overrides, inputs, refresh, dry_run)
