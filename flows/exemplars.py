"""Exemplars for a prompt, chosen in the dashboard: propose, wait for the choice, write the prompt's next version.

A waiting run is suspended: it has no process and takes no slot. The answer restarts it in a new process, which finds its proposal
in `<artifact root>/exemplars/<run id>/`. A wrong answer suspends it again, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed
from pydantic import Field

from degla.artifacts import check_writable
from degla.errors import ConfigError, InputError
from degla.experiments.experiment import Experiment, load_experiment
from degla.experiments.plan import check_inputs, plan
from degla.files import write_text_atomic
from degla.generate.exemplars.proposals import Proposal, parse_numbers, read_proposal
from degla.generate.language_models.prompts import Prompt, load_prompt
from degla.negative_types import NegativeType
from flows.recovery import leaving
from flows.running import FLOW_OPTIONS
from tasks.exemplars import PROPOSAL, accept, propose
from tasks.gpu import gpu_slot

Mode = Literal["add", "replace"]


class Choice(RunInput):
    """Which exemplars to keep."""

    keep: str = Field(description="Numbers (1, 4, 7-9), all, or none: the prompt stays as it is.")
    mode: Mode = Field("add", description="add: the oldest beyond 50 leave. replace: all present ones leave.")
    comment: str = Field("", description="Kept at the top of the prompt, for its readers.")


@flow(name="exemplars", flow_run_name="exemplars-{negative_type}", **FLOW_OPTIONS)
def exemplars(
    negative_type: NegativeType,
    experiment: str = "demo",
    number: int = 30,
    captions: int = 600,
    seed: int = 0,
    overrides: list[str] = [],  # noqa: B006 - a list shows as an editable list in the run form
    unattended: str = "",
    mode: Mode = "add",
) -> State[dict[str, str | int]]:
    """Exemplars for a prompt: a back end proposes rewrites, you choose, and the prompt gets its next version.

    When the run is suspended, press Resume on its page to see the proposals and to choose.

    Args:
        negative_type: The prompt to choose exemplars for.
        experiment: A preset, or a YAML file. Its captions must be prepared; the first of its `generate.attempts` is asked.
        number: Most exemplars to propose.
        captions: Captions to have rewritten; of what passes the judge, the most varied are proposed.
        seed: Another number proposes others.
        overrides: Changes to the settings, as `generate.attempts=[vllm]`, applied last.
        unattended: Numbers to keep (1, 4, 7-9, or all) without asking; empty waits for your choice.
        mode: For an unattended run: add to the prompt's exemplars, or replace them.
    """
    resolved = load_experiment(experiment, overrides)
    folder = resolved.artifact_root() / "exemplars" / str(runtime.flow_run.id)
    fresh = not (folder / PROPOSAL).is_file()
    if fresh:
        _check(resolved, negative_type, attended=not unattended)
    file = str(resolved.save())
    with gpu_slot(resolved.generate):
        proposal = propose(folder, file, negative_type, number, captions, seed).result()
    if fresh:
        _publish(proposal)
    if unattended:
        accept(folder, unattended, mode, "")
        return _finished(folder, unattended)
    return _ask(folder, proposal)


def _check(experiment: Experiment, negative_type: NegativeType, attended: bool) -> None:
    """Raises InputError now if the run would fail later."""
    if attended and runtime.deployment.id is None:
        raise ConfigError(
            "a run without a deployment cannot wait for a choice. Start the deployment exemplars/select, set `unattended`,"
            " or use the command line: python -m degla.generate.exemplars"
        )
    check_writable(experiment.artifact_root())
    load_prompt(experiment.generate.prompts_path(), negative_type)
    check_inputs(plan(experiment, upto="generate"), ["generate"], experiment.name)


def _publish(proposal: Proposal) -> None:
    rows = [{"no.": item.number, "before": item.input, "after": item.output} for item in proposal.items]
    create_table_artifact(rows, key="exemplars-proposed", description=f"Rewrites for {proposal.type}, by {proposal.source}")


def _ask(folder: Path, proposal: Proposal) -> State[dict[str, str | int]]:
    """Suspend until the answer is valid; each wrong answer is kept as a file with its reason."""
    while True:
        refused = sorted(folder.glob("refused-*.txt"))
        reason = refused[-1].read_text(encoding="utf-8") if refused else ""
        key = f"choice-{runtime.flow_run.run_count}-{len(refused) + 1}"
        form = Choice.with_initial_data(description=description(read_proposal(folder / PROPOSAL).proposal, reason))
        with leaving():
            answer = suspend_flow_run(wait_for_input=form, key=key)
        if answer.keep.strip().lower() == "none":
            get_run_logger().info("nothing is kept; the prompt stays as it is")
            return Completed(message="nothing was kept", data={"type": proposal.type, "version": proposal.prompt.version})
        try:
            accept(folder, answer.keep, answer.mode, answer.comment)
        except InputError as error:
            get_run_logger().warning("the answer cannot be taken: %s", error)
            write_text_atomic(folder / f"refused-{len(refused) + 1:03d}.txt", f"`{answer.keep}`: {error}")
        else:
            return _finished(folder, answer.keep)


def description(proposal: Proposal, reason: str = "") -> str:
    """The text above the form's fields: why the last answer was refused, what to do, and the proposals.

    Not a table, which the narrow form would not wrap; the run's artifact has the table.
    """
    parts = [f"**Not taken, and nothing was written.** {_plain(reason)}"] if reason else []
    parts += [
        f"**{len(proposal.items)} rewrites for {_escaped(proposal.type)}** by {_escaped(proposal.source)}. Keep those that"
        " are false of any picture that fits the caption, fluent and plausible. The tab *Artifacts* of this run has them as a"
        " table.",
        shown(proposal, _numbers(proposal)),
    ]
    return "\n\n".join(parts)


def shown(proposal: Proposal, numbers: Collection[int]) -> str:
    """These items as Markdown: number, caption and rewrite one above the other, with the words that differ in bold."""
    return "\n\n".join(
        f"**{item.number}**. {_changes(item.input, item.output)}" for item in proposal.items if item.number in numbers
    )


def _changes(before: str, after: str) -> str:
    """Two texts, one above the other, with the differing words in bold."""
    old, new = before.split(), after.split()
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    first = [_bold(old[begin:end], kind) for kind, begin, end, _, _ in blocks if end > begin]
    second = [_bold(new[begin:end], kind) for kind, _, _, begin, end in blocks if end > begin]
    return f"{' '.join(first)}\\\n→ {' '.join(second)}"


def _bold(words: Sequence[str], kind: str) -> str:
    text = _escaped(" ".join(words))
    return text if kind == "equal" else f"**{text}**"


def _numbers(proposal: Proposal) -> list[int]:
    return [item.number for item in proposal.items]


def _escaped(text: str) -> str:
    """Text with Markdown's special characters escaped."""
    return re.sub(r"([\\|<`*_\[\]~])", r"\\\1", text)


def _plain(reason: str) -> str:
    """A reason of several lines as a Markdown list."""
    first, *more = reason.splitlines()
    return "\n".join([first, "", *(f"- {line.strip()}" for line in more)]) if more else first


def _finished(folder: Path, keep: str) -> State[dict[str, str | int]]:
    proposal = read_proposal(folder / PROPOSAL).proposal
    prompts = Path(proposal.prompts)
    prompt = load_prompt(prompts, proposal.type)
    numbers = parse_numbers(keep, _numbers(proposal))
    message = f"{proposal.type} is version {prompt.version} now, with {len(numbers)} of {len(proposal.items)} proposals"
    create_markdown_artifact(_summary(prompt, proposal, numbers, message), key=f"exemplars-{proposal.type}".replace("_", "-"))
    return Completed(
        message=message, data={"type": prompt.type, "version": prompt.version, "sha": prompt.sha, "path": str(prompts)}
    )


def _summary(prompt: Prompt, proposal: Proposal, numbers: Collection[int], message: str) -> str:
    file = Path(proposal.prompts) / f"{prompt.type}.yaml"
    return (
        f"# {message}\n\n`{file}`: {len(prompt.exemplars)} exemplars, {len(prompt.abstentions)} abstentions, fingerprint"
        f" `{prompt.sha}`. The versions before are in `versions/` beside it.\n\n{shown(proposal, numbers)}\n"
    )
