"""Proposal files: exemplars for a person to choose from, as YAML to read and edit; errors name the line.

Knows nothing of back ends and rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, field_validator

from degla.config import Config, validate
from degla.errors import ConfigError
from degla.files import write_text_atomic
from degla.generate.language_models.prompts import ABSTAIN, one_line
from degla.negative_types import NegativeType


class Item(Config):
    """One proposed exemplar."""

    number: int
    """Identifies the item in the file and in `--keep`."""

    input: str
    """The caption."""

    output: str
    """Its rewrite, or NONE."""

    why: str | None = None
    """For NONE: why the caption has no such rewrite; for people."""

    keep: bool = False
    """Whether it is chosen."""

    @field_validator("input", "output")
    @classmethod
    def _fold(cls, text: str) -> str:
        return " ".join(text.split())


class PromptMark(Config):
    """The prompt that the proposal was made for."""

    version: int
    """The prompt's version."""

    sha: str
    """The prompt's fingerprint."""


class Proposal(Config):
    """Exemplars proposed for one negative type."""

    type: NegativeType
    """The negative type."""

    source: str
    """Generator of the rewrites, and the dataset of the captions."""

    prompts: str
    """Folder of the prompt files."""

    prompt: PromptMark
    """The prompt at the time of the proposal."""

    items: tuple[Item, ...]
    """The exemplars to choose from."""


@dataclass(frozen=True)
class ReadProposal:
    """A proposal as read from its file."""

    proposal: Proposal
    path: Path
    lines: Mapping[int, int]
    """Line of each item, by its number."""


_HOW_TO = """\
# Exemplars for {type}: {source}.
#
# Choose: write `keep: true` at each pair whose output is false of any picture that fits the input, fluent and plausible.
# Texts may be corrected and items deleted or added. A caption that has no rewrite of this type may be kept too, as an
# example of when to abstain: write `output: {abstain}` and, in a line `why:` for people, the reason.
# Then: python -m degla.generate.exemplars accept {path}
"""


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Write a proposal with nothing chosen, whole or not at all, headed by instructions."""
    head = _HOW_TO.format(type=proposal.type, source=proposal.source, abstain=ABSTAIN, path=path)
    lines = [
        f"type: {proposal.type}",
        f"source: {one_line(proposal.source)}",
        f"prompts: {one_line(proposal.prompts)}",
        f"prompt: {{version: {proposal.prompt.version}, sha: {proposal.prompt.sha!r}}}",
        "",
        "items:",
    ]
    for item in proposal.items:
        lines += [
            f"  - number: {item.number}",
            f"    input: {one_line(item.input)}",
            f"    output: {one_line(item.output)}",
            "    keep: false",
        ]
    write_text_atomic(path, head + "\n".join(lines) + "\n")


def read_proposal(path: Path) -> ReadProposal:
    """Read a proposal that a person may have edited.

    Raises:
        ConfigError: the file cannot be read, an entry is wrong or two items share a number; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node, data = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: {error.problem}. A text with `: ` or ` #` in it needs quotes.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error
    proposal = _validated(data, node, path)
    return ReadProposal(proposal, path, _lines_of_items(proposal, node, path))


def _validated(data: Any, node: yaml.Node | None, path: Path) -> Proposal:
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: is not a proposal: expected the keys {', '.join(Proposal.model_fields)}")
    try:
        return Proposal.model_validate(data)
    except ValidationError as error:
        line = _line(node, error.errors()[0]["loc"])
        return validate(Proposal, data, f"{path}, line {line}")


def _line(node: yaml.Node | None, location: Sequence[str | int]) -> int:
    """Line of the YAML node at this location below `node`, or of its nearest existing parent."""
    for part in location:
        inner = None
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            inner = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == part), None)
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1 if node else 1


def _lines_of_items(proposal: Proposal, node: yaml.Node | None, path: Path) -> dict[int, int]:
    lines: dict[int, int] = {}
    for place, item in enumerate(proposal.items):
        line = _line(node, ("items", place))
        if item.number in lines:
            raise ConfigError(f"{path}, line {line}: number {item.number} is also in line {lines[item.number]}; change one")
        lines[item.number] = line
    return lines


def parse_numbers(text: str, among: Collection[int]) -> set[int]:
    """Numbers written as `1, 4, 7-9` or `all`.

    Raises:
        ConfigError: the text has another form, or a number is not in `among`.
    """
    if text.strip().lower() == "all":
        return set(among)
    chosen: set[int] = set()
    for part in filter(None, re.split(r"[\s,;]+", re.sub(r"\s*-\s*", "-", text.strip()))):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if not match:
            raise ConfigError(f"{part!r} is not a number; expected numbers as in 1, 4, 7-9, or all")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"{part!r} runs backwards; expected {last}-{first}")
        missing = [number for number in range(first, last + 1) if number not in among]
        if missing:
            raise ConfigError(f"there is no number {missing[0]}; there are {_spans(among)}")
        chosen.update(range(first, last + 1))
    if not chosen:
        raise ConfigError("no number is given; expected numbers as in 1, 4, 7-9, or all")
    return chosen


def _spans(numbers: Collection[int]) -> str:
    """Numbers in short: 1-30, or 1-4, 6."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][-1] == number - 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    return ", ".join("-".join(map(str, span)) for span in spans) or "none"
