"""What may be sent to a chat model and what its reply holds, as pure functions of text and JSON.

Knows nothing of connections.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from degla.generate.language_models.answers import CONTROL_TOKEN, REASONED

_UNSENDABLE = {"Cc": "a control character", "Cs": "an unpaired surrogate"}


@dataclass(frozen=True)
class Answer:
    """What we use of a chat completion. If the server does not say, token counts are 0 and the others None."""

    content: str
    """What the model wrote; what it thought before that, where the server tells the two apart, is no part of it."""
    why_empty: str | None
    """Why there is no content, where there is none."""
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
    token = CONTROL_TOKEN.search(caption)
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
        told = _mapping(data.get("error")).get("message") or data.get("error")
        raise ValueError(f"it has no choices but an error: {told}" if told else "it has no choices")
    choice, usage = choices[0], _mapping(data.get("usage"))
    message, finish = _mapping(choice.get("message")), choice.get("finish_reason")
    content = _text(message.get("content"))
    cached = _mapping(usage.get("prompt_tokens_details")).get("cached_tokens")
    return Answer(
        content,
        None if content.strip() else _why_empty(choice, message),
        finish if isinstance(finish, str) else None,
        _mean_logprob(choice.get("logprobs")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        cached if isinstance(cached, int) else None,
    )


def _text(content: Any) -> str:
    """The text of a message: a string, or the parts of one that are text and no thoughts."""
    if isinstance(content, list):
        parts = [{"text": part} if isinstance(part, str) else _mapping(part) for part in content]
        return "\n".join(_text(part.get("text")) for part in parts if part.get("type", "text") in ("text", "output_text"))
    return content if isinstance(content, str) else ""


def _why_empty(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    finish, stopped_by, refusal = choice.get("finish_reason"), choice.get("stop_reason"), message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return f"the model refused: {_short(refusal)}"
    if finish == "content_filter":
        return "the server's content filter removed the answer"
    parts = message.get("content")
    thoughts = [message.get(name) for name in ("reasoning_content", "reasoning", "thinking", "reasoning_details")]
    if any(thoughts) or (isinstance(parts, list) and parts):
        return REASONED if finish == "length" else "the model only reasoned and gave no answer: switch its reasoning off"
    if finish == "length":
        return "the answer's tokens ran out before it had a text: raise generate.sampling.max_tokens"
    if message.get("tool_calls") or message.get("function_call"):
        return "the model called a tool and wrote nothing"
    if isinstance(stopped_by, str):  # vLLM tells
        return f"the answer began with {stopped_by!r}, at which it ends (generate.server.options: stop)"
    return f"the model wrote nothing (finish_reason {finish!r})"


def _short(text: str, characters: int = 120) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= characters else f"{line[:characters]}..."


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _mean_logprob(value: Any) -> float | None:
    entries = _mapping(value).get("content")
    found = [_mapping(entry).get("logprob") for entry in entries] if isinstance(entries, list) else []
    numbers = [number for number in found if isinstance(number, int | float) and math.isfinite(number)]
    return sum(numbers) / len(numbers) if numbers else None
