"""Prompts: the rule and the exemplars of each negative type, read from `prompts/<type>.yaml`.

Here they become plain text; `prompt_tokens` makes token ids of it, `server_connection` messages.
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
"""What a model answers if the caption has no rewrite of the type."""

OPENING, CLOSING = "Input: ", "\nOutput:"
"""Text before and after a caption, in the exemplars and in the question."""

TEMPLATE_SETTINGS = {"date_string": "26 Jul 2024", "enable_thinking": False}
"""For chat templates: Llama-3's puts today's date into the prompt, which changes its fingerprint; Qwen-3's lets the model think
first."""


class Exemplar(Config):
    """A caption and the right answer."""

    input: str
    """The caption."""

    output: str
    """Its rewrite, or NONE."""

    why: str | None = None
    """The reason, for readers; not shown to the model."""


class Prompt(Config):
    """What a model is told about one negative type."""

    type: NegativeType
    """The negative type."""

    version: int = Field(ge=1)
    """Raise it with every change of the file."""

    rule: str
    """The instruction."""

    exemplars: tuple[Exemplar, ...]
    """Captions with their rewrites."""

    abstentions: tuple[Exemplar, ...] = ()
    """Captions without a rewrite of this type."""

    @property
    def sha(self) -> str:
        """Fingerprint of what the model sees: 16 hex digits."""
        shown = [[each.input, each.output] for each in self.shown()]
        return checksums.of_value([self.type, self.rule, shown, ABSTAIN, OPENING, CLOSING])[:16]

    def shown(self) -> list[Exemplar]:
        """The exemplars with the abstentions spread evenly among them.

        The last one has a rewrite: models favour the answer that they saw last (arXiv 2102.09690).
        """
        spacing = len(self.exemplars) // (len(self.abstentions) + 1) if self.abstentions else 0
        shown = list(self.exemplars)
        for number, each in reversed(list(enumerate(self.abstentions, 1))):
            shown.insert(number * spacing, each)
        return shown


def question(caption: str) -> str:
    """A caption as the model is asked about it, up to the start of the answer."""
    return f"{OPENING}{caption}{CLOSING}"


def shown_text(exemplars: list[Exemplar]) -> str:
    """Exemplars as the model sees them, up to the start of the question."""
    return "".join(f"{question(each.input)} {each.output}\n\n" for each in exemplars)


def load_prompt(folder: Path, negative_type: NegativeType) -> Prompt:
    """Read `<folder>/<type>.yaml`.

    Raises:
        ConfigError: the file is missing, malformed, of another type, or has no exemplars.
    """
    path = folder / f"{negative_type}.yaml"
    prompt = validate(Prompt, read_yaml(path), str(path))
    if prompt.type != negative_type:
        raise ConfigError(f"{path}: type must be {negative_type!r}; got {prompt.type!r}")
    if not prompt.exemplars:
        raise ConfigError(f"{path}: exemplars must not be empty; a model needs more than the rule")
    return prompt


def save_prompt(folder: Path, prompt: Prompt, note: str = "") -> Path:
    """Write `<folder>/<type>.yaml` atomically, in the style of the hand-written files; returns its path.

    Comments above a top-level key of an existing file stay above that key.

    Args:
        folder: folder of the prompts.
        prompt: what to write; `load_prompt` reads the same again.
        note: a line for readers, added to the comments at the top.
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
    """The text as a YAML scalar on one line, quoted only if it must be."""
    style = None if text.isprintable() else '"'  # only double quotes keep line breaks on one line, as \\n
    dumped = yaml.safe_dump(text, allow_unicode=True, width=math.inf, default_style=style)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _folded(key: str, text: str) -> list[str]:
    """A long text over several lines, if YAML folds them to the same text again."""
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
    """The unindented comments of a YAML mapping, by the top-level key below them; those at the end by ``."""
    found: dict[str, list[str]] = {}
    waiting: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            waiting.append(line)
        elif key := re.match(r"(\w+):", line):
            found[key[1]], waiting = waiting, []
    return found | {"": waiting}
