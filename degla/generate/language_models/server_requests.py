"""What is asked of a chat server, and what is left out or said in another way if it refuses that: pure functions of JSON.

Servers differ in which fields of a request they take. What one refuses is not asked again; only what it cannot do without (the
question, the model) makes a row fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from degla.generate.backend import Request
from degla.generate.config import Sampling, ServerConfig
from degla.generate.language_models.prompts import CLOSING, OPENING, TEMPLATE_SETTINGS, question

_WORDS = {
    "logprobs": r"log[ _-]?prob",
    "seed": r"\bseed\b",
    "stop": r"\bstop\b|stop[ _-]?sequence",
    "temperature": r"\btemperature\b",
    "top_p": r"\btop[ _-]?p\b|nucleus",
    "max_tokens": r"\bmax[ _-]?tokens\b",
    "max_completion_tokens": r"\bmax[ _-]?completion[ _-]?tokens\b",
    "chat_template_kwargs": r"chat[ _-]?template|enable_thinking|date_string",
}
"""How a refusal names a field of ours."""

_ROLES = re.compile(r"\b(?:system|developer)\b|\broles?\b|must alternate", re.I)
_FORCED = re.compile(r"continue_final|add_generation_prompt|prefill|assistant|last message|final message", re.I)
_TOO_LONG = re.compile(
    r"context (?:length|window|size|limit)|maximum context|too (?:long|many (?:input )?tokens)"
    r"|(?:reduce|exceed)\w* .{0,40}(?:length|context)|(?:input|prompt) tokens .{0,30}(?:limit|maximum)",
    re.I | re.S,
)
_TOLD = {"message", "msg", "param", "loc", "code", "type", "detail", "error", "errors", "title", "reason"}


@dataclass(frozen=True)
class Form:
    """How a server is asked. Smaller ones ask for less; `without` gives the next smaller one after a refusal."""

    fields: frozenset[str] = frozenset(_WORDS) - {"max_completion_tokens"}
    """Fields that are sent beside model and messages."""
    own_temperature: bool = True
    """Whether the temperature is ours; else 1, the default, which is all that some models take."""
    with_system: bool = True
    """Whether the rule has a turn of its own; else it begins the user's."""
    forced: bool = False
    """Whether the model continues a turn that we began with `Output:`, as the engine in this process does."""

    def body(self, request: Request, rule: str, shown: str, server: ServerConfig, sampling: Sampling) -> dict[str, Any]:
        """The JSON of a request.

        Args:
            request: the caption and its seed.
            rule: the instruction of its type.
            shown: its exemplars as text.
            server: the model's name, and fields that the user sets or, with None, leaves out.
            sampling: how tokens are drawn.
        """
        user = shown + (f"{OPENING}{request.caption}" if self.forced else question(request.caption))
        turns = [{"role": "system", "content": rule}, {"role": "user", "content": user}]
        if not self.with_system:
            turns = [{"role": "user", "content": f"{rule}\n\n{user}"}]
        temperature = sampling.temperature if request.attempt == 1 else sampling.retry_temperature
        values = {
            "temperature": temperature if self.own_temperature else 1.0,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "max_completion_tokens": sampling.max_tokens,
            "seed": request.seed % 2**31,  # some servers hold a seed in 32 bits
            # An answer may begin with a preamble or a line break, unless we began it; it ends before a further exemplar.
            "stop": ["\n"] if self.forced else [f"\n{OPENING.strip()}"],
            "logprobs": True,
            "chat_template_kwargs": TEMPLATE_SETTINGS,
        }
        body = {"model": server.model, "messages": turns} | {name: values[name] for name in values if name in self.fields}
        if self.forced:
            turns.append({"role": "assistant", "content": CLOSING.strip()})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        body |= server.options
        return {name: value for name, value in body.items() if value is not None}

    def without(self, refusal: str) -> Form | None:
        """The form without what a refusal names, or None if it names nothing that can be left out."""
        if says_too_long(refusal):
            return None
        named = {name for name in self.fields if re.search(_WORDS[name], refusal, re.I)}
        if {"temperature", "top_p"} <= named:  # some take either of the two
            named.remove("temperature")
        if named == {"temperature"} and self.own_temperature:
            return replace(self, own_temperature=False)
        if named:
            instead = {"max_completion_tokens"} if "max_tokens" in named else set()
            return replace(self, fields=self.fields - named | instead)
        if self.forced and _FORCED.search(refusal):
            return replace(self, forced=False)
        if self.with_system and _ROLES.search(refusal):
            return replace(self, with_system=False)
        return None

    def less_than(self, other: Form) -> str:
        """What this form leaves out of another, in words."""
        fields = sorted(other.fields - self.fields)
        fields += ["a temperature of our own"] * (other.own_temperature and not self.own_temperature)
        system = ["a system turn"] * (other.with_system and not self.with_system)
        return ", ".join(fields + system + ["a begun answer"] * (other.forced and not self.forced))


def says_too_long(refusal: str) -> bool:
    """Whether a server refuses a request because it does not fit the model's context."""
    return _TOO_LONG.search(refusal) is not None


def refusal_of(body: Any, caption: str) -> str:
    """What a server's error says of the request's form, without what it repeats of the request."""
    return " ".join(_told(body)).replace(caption, "")


def _told(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name in _TOLD:
                yield from _told(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _told(each)
    elif value is not None:
        yield str(value)
