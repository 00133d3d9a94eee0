"""Prompts: the rule and the exemplars of each negative type, read from `prompts/<type>.yaml`.

What a model is told is put together here as plain text; how it becomes tokens or messages is the back ends' business.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import Field

from degla import checksums
from degla.config import Config, read_yaml, validate
from degla.errors import ConfigError
from degla.files import write_text_atomic
from degla.negative_types import NegativeType

ABSTAIN = "NONE"
"""What a model answers where the caption has no rewrite of the type."""

OPENING, CLOSING = "Input: ", "\nOutput:"
"""What stands before and after a caption in the exemplars and in the question."""


class Exemplar(Config):
    """A caption and the right answer to it."""

    input: str
    """The caption."""

    output: str
    """Its rewrite, or NONE."""

    why: str | None = None
    """Why, for people; the model does not see it."""


class Prompt(Config):
    """What a model is told about one negative type."""

    type: NegativeType
    """The negative type."""

    version: int = Field(ge=1)
    """Raised with every change of the file."""

    rule: str
    """The instruction."""

    exemplars: tuple[Exemplar, ...]
    """Captions with their rewrites."""

    abstentions: tuple[Exemplar, ...] = ()
    """Captions without a rewrite of this type."""

    @property
    def sha(self) -> str:
        """Fingerprint of what a model sees: 16 hex digits."""
        shown = [[each.input, each.output] for each in self.shown()]
        return checksums.of_value([self.type, self.rule, shown, ABSTAIN, OPENING, CLOSING])[:16]

    def shown(self) -> list[Exemplar]:
        """The exemplars with the abstentions spread evenly among them, the last one an exemplar with a rewrite."""
        gap = len(self.exemplars) // (len(self.abstentions) + 1) if self.abstentions else 0
        shown = list(self.exemplars)
        for number, each in reversed(list(enumerate(self.abstentions, 1))):
            shown.insert(number * gap, each)
        return shown


def question(caption: str) -> str:
    """A caption as it is put to the model, up to where the answer begins."""
    return f"{OPENING}{caption}{CLOSING}"


def shown_text(exemplars: list[Exemplar]) -> str:
    """Exemplars as the model sees them before the question; ends where the question begins."""
    return "".join(f"{question(each.input)} {each.output}\n\n" for each in exemplars)


def load_prompt(folder: Path, negative_type: NegativeType) -> Prompt:
    """Read `<folder>/<type>.yaml`.

    Raises:
        ConfigError: the file is missing, broken, of another type, or has no exemplars.
    """
    path = folder / f"{negative_type}.yaml"
    prompt = validate(Prompt, read_yaml(path), str(path))
    if prompt.type != negative_type:
        raise ConfigError(f"{path}: its type is {prompt.type!r}, expected {negative_type!r}")
    if not prompt.exemplars:
        raise ConfigError(f"{path}: has no exemplars; a model cannot tell from the rule alone what is asked")
    return prompt


def save_prompt(folder: Path, prompt: Prompt, note: str = "") -> Path:
    """Write `<folder>/<type>.yaml`, whole or not at all, in the style of the hand-written files.

    Args:
        folder: where the prompts lie.
        prompt: what to write; `load_prompt` reads the same again.
        note: a line for people, written as the last of the comments at the top.

    Comments above a top-level key of the file that is there stay above that key.

    Returns:
        The file.
    """
    path = folder / f"{prompt.type}.yaml"
    comments = _comments(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if note:
        comments["type"] = [*comments.get("type", []), f"# {' '.join(note.split())}"]
    parts = {
        "type": [f"type: {prompt.type}"],
        "version": [f"version: {prompt.version}"],
        "rule": _folded("rule", prompt.rule),
        "exemplars": ["", *comments.pop("exemplars", []), *_listed("exemplars", prompt.exemplars)],
    }
    if prompt.abstentions:
        parts["abstentions"] = ["", *comments.pop("abstentions", []), *_listed("abstentions", prompt.abstentions)]
    lines = [line for key, part in parts.items() for line in [*comments.get(key, []), *part]]
    write_text_atomic(path, "\n".join([*lines, *comments.get("", [])]) + "\n")
    return path


def one_line(text: str) -> str:
    """The text as a YAML scalar on one line, in quotes only where it needs them."""
    style = None if text.isprintable() else '"'  # in double quotes YAML writes line breaks as \\n
    dumped = yaml.safe_dump(text, allow_unicode=True, width=math.inf, default_style=style)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _folded(key: str, text: str) -> list[str]:
    """A long text over several lines, where YAML folds them to the same text again."""
    if text != " ".join(text.split()) or not text.isprintable():
        return [f"{key}: {one_line(text)}"]
    return [f"{key}: >-", *textwrap.wrap(text, 120, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)]


def _listed(key: str, exemplars: Sequence[Exemplar]) -> list[str]:
    lines = [f"{key}:"]
    for each in exemplars:
        lines += [f"  - input: {one_line(each.input)}", f"    output: {one_line(each.output)}"]
        lines += [f"    why: {one_line(each.why)}"] if each.why is not None else []
    return lines


def _comments(text: str) -> dict[str, list[str]]:
    """The unindented comments of a YAML mapping, by the top-level key that follows them; the last ones by ``."""
    found: dict[str, list[str]] = {}
    waiting: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            waiting.append(line)
        elif key := re.match(r"(\w+):", line):
            found[key[1]], waiting = waiting, []
    return found | {"": waiting}
