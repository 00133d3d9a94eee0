"""The flow that compares runs, models and published scores: `python -m degla.report compare`, with its page in the dashboard.

prefect deployment run compare/default --watch                                the last five finished runs
prefect deployment run compare/default -p 'runs=["demo", "artifacts/evaluate/0123456789abcdef"]' --watch
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from degla.artifacts import check_writable
from degla.home import artifact_root
from degla.report.compare.latest import LAST
from flows.running import FLOW_OPTIONS, name_of
from tasks.compare import compare_runs

Form = Literal["md", "csv", "json", "latex"]
FORMS = list(get_args(Form))


def run_name() -> str:
    """The runs that are compared, without their folders, or how many."""
    given = runtime.flow_run.parameters
    return name_of(["compare", *([Path(run).name for run in given["runs"]] or [f"last {given['last']}"])])


@flow(name="compare", flow_run_name=run_name, **FLOW_OPTIONS)
def compare(
    runs: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    last: Annotated[int, Field(ge=1, le=50)] = LAST,
    published: list[str] = [],  # noqa: B006
    models: list[str] = [],  # noqa: B006
    baseline: str = "",
    formats: list[Form] = FORMS,
) -> State[list[str]]:
    """Compare runs, models and published scores: settings that differ, scores side by side, differences with intervals and tests,
    and the tables of the papers. The page is among the run's artifacts, the files in `<DEGLA_HOME>/compare/<run id>/`.

    Args:
        runs: What to compare, each as RUN or NAME=RUN: the name of an experiment whose evaluation is finished, or the path of an
            artifact of evaluate or report, of a file of outcomes, or of a table of scores. One run alone compares its models.
            Empty: the last finished runs below the artifact root.
        last: How many, where `runs` is empty.
        published: Published models to stand beside them, as `negclip`, or `negclip:vl_compo` for one source.
        models: Models of the runs to keep, as `after`; empty keeps all.
        baseline: The model that the others are compared with; empty takes the first.
        formats: Files to write; the Markdown is always written, because the dashboard shows it.
    """
    check_writable(artifact_root())
    folder = artifact_root() / "compare" / str(runtime.flow_run.id)
    lists: dict[str, list[str]] = {"--published": published, "--models": models, "--format": sorted({"md", *formats})}
    arguments = [part for option, values in lists.items() if values for part in (option, *values)]
    arguments += ["--baseline", baseline] if baseline else []
    arguments += [] if runs else ["--last", str(last)]
    files = compare_runs(folder, [*arguments, "--", *runs])
    return Completed(
        message=f"compared {', '.join(runs) or f'the last {last} runs'}: {folder}", data=[str(path) for path in files]
    )
