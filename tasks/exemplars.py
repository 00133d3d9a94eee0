"""The tasks of the exemplar selection: the library's two commands, each in a child process."""

from __future__ import annotations

import sys
from pathlib import Path

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from degla.generate.exemplars.proposals import Proposal, read_proposal
from tasks.child import run_child
from tasks.orders import Orders
from tasks.retries import HOUR, error_of, task_options

PROPOSAL, LOG = "proposal.yaml", "log.txt"


@task(**task_options("propose", 12 * HOUR, "exemplars"))
def propose(folder: Path, experiment: str, negative_type: str, number: int, captions: int, seed: int) -> State[Proposal]:
    """Propose exemplars, into a file in this folder; an existing file is reused.

    Raises:
        InputError: the captions are not prepared, a setting is wrong, or nothing can be proposed.
    """
    path = folder / PROPOSAL
    reused = path.is_file()
    if not reused:
        amounts = ["--number", str(number), "--captions", str(captions), "--seed", str(seed)]
        _run(folder, "propose", experiment, "--type", negative_type, *amounts, "--out", str(path))
    proposal = read_proposal(path).proposal
    message = f"{len(proposal.items)} proposed: {proposal.source}"
    return Completed(name="Reused" if reused else "Completed", message=message, data=proposal)


@task(**task_options("accept", HOUR, "exemplars"))
def accept(folder: Path, keep: str, mode: str, note: str) -> None:
    """Write the choice as the prompt's next version.

    Raises:
        InputError: the choice is wrong; nothing was written.
    """
    _run(folder, "accept", str(folder / PROPOSAL), f"--keep={keep}", "--mode", mode, f"--note={note}")


def _run(folder: Path, *arguments: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "degla.generate.exemplars", *arguments]
    ended = run_child(command, folder / LOG, get_run_logger().info, Orders())
    if error := error_of("exemplars", ended):
        raise error
