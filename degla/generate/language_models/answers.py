"""What a language model's answer means for its row: a rewrite, an abstention or a failure. All back ends read answers here."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from degla.generate.language_models.prompts import ABSTAIN, CLOSING
from degla.schemas import RewriteStatus
from degla.text.edits import what_is_said

_ECHO = CLOSING.strip()  # small models repeat the prompt's last word before they answer


@dataclass(frozen=True)
class Reading:
    """What an answer means for its row."""

    status: RewriteStatus
    text: str | None = None
    error: str | None = None


def read_answer(answer: str, caption: str) -> Reading:
    """The first line of an answer that is not empty: a rewrite, or an abstention."""
    text = next(filter(None, map(_without_echo, answer.splitlines())), "")
    if not text:
        return Reading("failed", error="the model answered with an empty line")
    if any(unicodedata.category(character) == "Cs" for character in text):
        return Reading("failed", error="the answer is not Unicode text")
    if abstains(text):
        return Reading("abstained", error=f"the model answered {ABSTAIN}")
    if what_is_said(text) == what_is_said(caption):
        return Reading("abstained", error="the model repeated the caption")
    return Reading("ok", text)


def abstains(text: str) -> bool:
    """Whether a text says NONE, in any letter case, with or without a closing mark."""
    return what_is_said(text) == ABSTAIN.casefold()


def _without_echo(line: str) -> str:
    return line.strip().removeprefix(_ECHO).strip()
