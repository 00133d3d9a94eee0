"""Both halves of the selection: proposals go to a file for a person to mark; the marked ones make a prompt's next version.

Knows nothing of command lines and dashboards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from degla.artifacts import Artifact
from degla.config import read_yaml, validate
from degla.errors import ConfigError, MissingInputError
from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan
from degla.files import write_text_atomic
from degla.generate.backend import Backend
from degla.generate.config import GenerateConfig
from degla.generate.exemplars.proposals import (
    Item,
    PromptMark,
    Proposal,
    ReadProposal,
    parse_numbers,
    read_proposal,
    write_proposal,
)
from degla.generate.language_models.prompts import ABSTAIN, Exemplar, Prompt, load_prompt, save_prompt
from degla.generate.rules.vocabulary import Vocabulary, count_vocabulary
from degla.home import artifact_root
from degla.negative_types import NegativeType
from degla.text.lexicon import load_lexicon

VERSIONS = "versions"
"""Folder below the prompts that keeps earlier versions."""

MOST = 50
"""Largest number of exemplars of a prompt; the paper has 50."""

Mode = Literal["add", "replace"]


@dataclass(frozen=True)
class Accepted:
    """Result of accepting a choice."""

    prompt: Prompt
    path: Path
    previous: Path
    """File of the previous version."""
    added: tuple[Exemplar, ...]
    left_out: tuple[Exemplar, ...]
    """Exemplars of the previous version that the new one lacks."""


def propose_file(
    experiment: Experiment, negative_type: NegativeType, number: int, captions: int, seed: int, path: Path
) -> Proposal:
    """Propose exemplars from an experiment's finished captions by its first back end, and write them to `path`.

    Raises:
        MissingInputError: the captions were not prepared.
        ConfigError: the file exists, the experiment has no back end, or a prompt or model is wrong.
        DataError: no rewrite passes the checks.
    """
    from degla.generate.exemplars.proposing import Wanted, propose

    if path.exists():
        raise ConfigError(f"{path} exists and may hold a person's choice; give another --out, or remove it")
    config = _asking_config(experiment, negative_type)
    prepared = _prepared(experiment)
    prompt = load_prompt(config.prompts_path(), negative_type)
    with _backend(config, prepared.file("captions.parquet")) as backend:
        found = propose(prompt, prepared.file("captions.parquet"), backend, Wanted(number, captions, seed))
        generator = backend.origin(negative_type).generator
    proposal = Proposal(
        type=negative_type,
        source=f"{generator} on captions of {experiment.prepare.dataset}",
        prompts=str(config.prompts_path()),
        prompt=PromptMark(version=prompt.version, sha=prompt.sha),
        items=tuple(Item(number=k, input=each.input, output=each.output) for k, each in enumerate(found, 1)),
    )
    write_proposal(path, proposal)
    return proposal


def accept(
    path: Path, keep: str | None = None, mode: Mode = "add", prompts: Path | None = None, most: int = MOST, note: str = ""
) -> Accepted:
    """Write the chosen exemplars of a proposal file as the next version of its prompt; the previous version is kept.

    Accepting the same choice again changes nothing.

    Args:
        path: the proposal.
        keep: numbers to keep (`1, 4, 7-9`, `all`); overrides the marks in the file.
        mode: `add` appends them to the current exemplars and drops the first ones beyond `most`; `replace` drops all current
            ones. Abstentions are always added.
        prompts: folder of the prompts; overrides the one in the file.
        most: largest number of exemplars of a prompt.
        note: a comment for the top of the prompt file.

    Raises:
        ConfigError: the file is broken, nothing is chosen, a chosen text fails a check (named by its line), or the prompt
            changed since the proposal. Nothing is written.
    """
    read = read_proposal(path)
    folder = prompts or Path(read.proposal.prompts)
    before, accepted = _prompt_of(read, folder)
    chosen = _chosen(read, keep)
    exemplars = tuple(Exemplar(input=each.input, output=each.output, why=each.why) for each in chosen)
    made = next_version(before, exemplars, mode, most, 1 + _last_version(folder, before))
    _check(read, chosen, before if mode == "add" else before.model_copy(update={"exemplars": ()}))
    current = folder / f"{before.type}.yaml"
    previous = folder / VERSIONS / f"{before.type}-v{before.version}.yaml"
    if accepted is None:
        _keep(current, previous)
        save_prompt(folder, made, _note(made, exemplars, read.proposal.source, mode, note))
    elif accepted.sha != made.sha:
        raise _changed(read, accepted, current)
    left_out = tuple(each for each in before.exemplars if each not in made.exemplars)
    return Accepted(accepted or made, current, previous, exemplars, left_out)


def next_version(prompt: Prompt, chosen: Sequence[Exemplar], mode: Mode, most: int, version: int) -> Prompt:
    """The prompt with the chosen exemplars; see `accept`. Raises ConfigError if it would have none, or too many."""
    rewrites = [each for each in chosen if each.output != ABSTAIN]
    abstentions = [each for each in chosen if each.output == ABSTAIN]
    if len(rewrites) > most:
        raise ConfigError(f"{len(rewrites)} exemplars are chosen, expected at most {most}; choose fewer, or raise --most")
    if mode == "replace" and not rewrites:
        raise ConfigError(f"only {ABSTAIN} is chosen, no rewrite: that cannot replace the exemplars; use --mode add")
    exemplars = [*(prompt.exemplars if mode == "add" else ()), *rewrites]
    exemplars = exemplars[max(0, len(exemplars) - most) :] if rewrites else exemplars
    changes = {"version": version, "exemplars": tuple(exemplars), "abstentions": (*prompt.abstentions, *abstentions)}
    return prompt.model_copy(update=changes)


def _asking_config(experiment: Experiment, negative_type: NegativeType) -> GenerateConfig:
    config = experiment.generate
    if not config.attempts:
        raise ConfigError(
            f"{experiment.name}: generate.attempts is empty: no back end to ask; for instance -o generate.attempts=[rules]"
        )
    return config.model_copy(update={"types": (negative_type,), "attempts": config.attempts[:1]})


def _prepared(experiment: Experiment) -> Artifact:
    prepared = plan(experiment, upto="prepare")["prepare"]
    if not prepared.finished:
        raise MissingInputError(
            f"exemplars are proposed from the captions of {experiment.name}, which are not prepared ({prepared.path})."
            f" Make them with: python -m degla.prepare {experiment.name} (and the same -o)"
        )
    return Artifact.load(prepared.path)


@contextmanager
def _backend(config: GenerateConfig, captions: Path) -> Iterator[Backend]:
    """The back end of the first attempt."""
    from degla.generate.backends import make_backends, resolve_model

    limited = config.vocabulary == "corpus" and config.attempts[0] in ("rules", "choice")
    vocabulary = count_vocabulary(captions, load_lexicon(), config.workers) if limited else Vocabulary()
    (backend,) = make_backends(resolve_model(config, artifact_root() / "models"), vocabulary).values()
    try:
        yield backend
    finally:
        backend.close()


def _prompt_of(read: ReadProposal, folder: Path) -> tuple[Prompt, Prompt | None]:
    """The prompt that the proposal was made for, and the current one if it is another."""
    mark, negative_type = read.proposal.prompt, read.proposal.type
    current = load_prompt(folder, negative_type)
    if (current.version, current.sha) == (mark.version, mark.sha):
        return current, None
    kept = folder / VERSIONS / f"{negative_type}-v{mark.version}.yaml"
    before = validate(Prompt, read_yaml(kept), str(kept)) if kept.is_file() else None
    if before is None or before.sha != mark.sha:
        raise _changed(read, current, folder / f"{negative_type}.yaml")
    return before, current


def _changed(read: ReadProposal, current: Prompt, path: Path) -> ConfigError:
    mark = read.proposal.prompt
    return ConfigError(
        f"{path} was changed since this was proposed: it is version {current.version} ({current.sha}), the proposal is for"
        f" version {mark.version} ({mark.sha}). Propose anew; or, if the choice still holds, write the new version and sha at"
        f" `prompt` in {read.path}."
    )


def _chosen(read: ReadProposal, keep: str | None) -> list[Item]:
    items = read.proposal.items
    if keep is not None:
        numbers = parse_numbers(keep, read.lines)
        return [item for item in items if item.number in numbers]
    chosen = [item for item in items if item.keep]
    if not chosen:
        raise ConfigError(f"{read.path}: nothing is chosen; write `keep: true` at the exemplars to keep, or give --keep 1,4,7-9")
    return chosen


def _check(read: ReadProposal, chosen: Sequence[Item], beside: Prompt) -> None:
    """Raises ConfigError with a line for each chosen item that fails a check or repeats a text of this prompt."""
    from degla.generate.exemplars.checks import faults, repetitions

    items = read.proposal.items
    as_exemplars = [Exemplar(input=each.input, output=each.output, why=each.why) for each in items]
    found = dict(zip((each.number for each in items), faults(read.proposal.type, as_exemplars), strict=True))
    picked = [each for each, item in zip(as_exemplars, items, strict=True) if item in chosen]
    repeated = repetitions(picked, [*beside.exemplars, *beside.abstentions])
    problems = [
        f"\n  line {read.lines[item.number]}, number {item.number}: {problem}"
        for item, repetition in zip(chosen, repeated, strict=True)
        if (problem := found[item.number] or repetition)
    ]
    if problems:
        raise ConfigError(f"{read.path}: not every chosen exemplar can be kept:{''.join(problems)}")


def _last_version(folder: Path, prompt: Prompt) -> int:
    """Highest version number of this prompt so far."""
    names = (re.fullmatch(rf"{prompt.type}-v(\d+)", path.stem) for path in (folder / VERSIONS).glob("*.yaml"))
    return max([prompt.version, *(int(name[1]) for name in names if name)])


def _keep(current: Path, previous: Path) -> None:
    text = current.read_text(encoding="utf-8")
    if previous.is_file() and previous.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{previous} holds another text of this version; raise `version` in {current} and propose again")
    write_text_atomic(previous, text)


def _note(made: Prompt, chosen: Sequence[Exemplar], source: str, mode: Mode, note: str) -> str:
    what = f"{len(chosen)} exemplars {'added' if mode == 'add' else 'in the place of all'}, of {source}"
    return f"Version {made.version}: {what}." + (f" {note}" if note else "")
