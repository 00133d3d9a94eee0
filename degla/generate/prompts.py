"""Prompts: the rule and the exemplars of each negative type, read from `prompts/<type>.yaml`.

What a model is told is put together here as plain text; how it becomes tokens or messages is the back ends' business.
Called by the back ends that ask a language model, by the cost estimate and by the exemplar selection.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from degla import checksums
from degla.config import Config, read_yaml, validate
from degla.errors import ConfigError
from degla.files import write_text_atomic
from degla.schemas import NegativeType

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


def save_prompt(folder: Path, prompt: Prompt) -> Path:
    """Write `<folder>/<type>.yaml`, whole or not at all; returns the file, which `load_prompt` reads."""
    path = folder / f"{prompt.type}.yaml"
    text = yaml.safe_dump(prompt.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=120)
    write_text_atomic(path, text)
    return path
