"""What may be sent to a chat model and what its reply holds, as pure functions of text and JSON.

Knows nothing of connections.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CONTROL_TOKEN = re.compile(
    r"<\|[^>]{0,64}\|>|<｜[^>]{0,64}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>", re.I
)
_UNSENDABLE = {"Cc": "a control character", "Cs": "an unpaired surrogate"}


@dataclass(frozen=True)
class Answer:
    """What we use of a chat completion. If the server does not say, token counts are 0 and the others None."""

    content: str
    finish: str | None
    mean_logprob: float | None
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int | None


def why_not_send(caption: str) -> str | None:
    """Why a server must not see this caption, in words, or None.

    A server's tokenizer turns the text of a control token into the token itself: `</s>` in a caption would end its turn.
    """
    if not caption.strip():
        return "the caption is empty"
    token = _CONTROL_TOKEN.search(caption)
    if token:
        return f"the caption holds {token[0]!r}, which a chat model reads as a command"
    bad = next(filter(None, (_UNSENDABLE.get(unicodedata.category(character)) for character in caption)), None)
    return f"the caption holds {bad}" if bad else None


def parse_completion(data: Any) -> Answer:
    """The answer in the JSON of a chat completion. Raises ValueError if it is not one; odd fields count as missing."""
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, found {type(data).__name__}")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("it has no choices")
    choice, usage = choices[0], _mapping(data.get("usage"))
    content = _mapping(choice.get("message")).get("content")
    finish = choice.get("finish_reason")
    cached = _mapping(usage.get("prompt_tokens_details")).get("cached_tokens")
    return Answer(
        content if isinstance(content, str) else "",
        finish if isinstance(finish, str) else None,
        _mean_logprob(choice.get("logprobs")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        cached if isinstance(cached, int) else None,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _mean_logprob(value: Any) -> float | None:
    entries = _mapping(value).get("content")
    found = [_mapping(entry).get("logprob") for entry in entries] if isinstance(entries, list) else []
    numbers = [number for number in found if isinstance(number, int | float) and math.isfinite(number)]
    return sum(numbers) / len(numbers) if numbers else None
