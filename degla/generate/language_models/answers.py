"""What a language model's answer means for its row: a rewrite, an abstention or a failure. All back ends read answers here.

Chat models wrap what they were asked for: in reasoning, a preamble, a code fence, JSON, bold, quotes, a list. What the caption
itself does not have is taken off, so that a caption with quotes, a colon or a number keeps them.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from degla.generate.language_models.prompts import ABSTAIN
from degla.schemas import RewriteStatus
from degla.text.edits import what_is_said

REASONED = "the model's reasoning used up its tokens: switch it off, or raise generate.sampling.max_tokens"

CONTROL_TOKEN = re.compile(
    r"<\|[^>]{0,64}\|>|<｜[^>]{0,64}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>", re.I
)
"""The text of a token with which a chat model's turns begin and end."""

_THINKS = r"[\[<◁]\s*(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)\s*[\]>▷]"
_THOUGHT_OF = r"[\[<◁]\s*/\s*(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)\s*[\]>▷]"
_REASONING = re.compile(f"{_THINKS}.*?{_THOUGHT_OF}", re.I | re.S)
_BEGINS_REASONING, _ENDS_REASONING = re.compile(_THINKS, re.I), re.compile(_THOUGHT_OF, re.I)
_CHANNELS = re.compile(r".*<\|channel\|>\s*final\s*<\|message\|>|<\|channel\|>\s*(?:analysis|commentary)\s*<\|message\|>.*", re.S)

_FENCE = re.compile(r"^\s*(?:```|~~~)[\w+-]*\s*$|```|~~~", re.M)
_TAG = re.compile(r"</?[A-Za-z][\w-]{0,30}\s*/?>")
_COMMAND = re.compile(r"\\(?:boxed|text|textbf|mathrm)\s*\{([^{}]*)\}")
_ITEM = re.compile(r"(?:[-*•‣–—>#+]+|[(\[]?\d{1,2}[.):\]]|[(\[]?[a-zA-Z][.):\]])\s+")
_ARROW = re.compile(r"\s(?:->|-->|=>|→|⇒|⟶)\s")
_QUOTED = re.compile(r"[\"“„«「『]([^\"“”„«»「」『』]+)[\"“”»」』]|(?<!\w)['‘](.+)['’](?!\w)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_NOTE = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\W*$")
_QUOTES = dict(zip("\"'“”‘’«»‹›„`´", "\"'\"\"''\"\"''\"''", strict=True))  # each to the plain one of its kind
_IGNORED = ("Cf", "So", "Sk")  # Unicode categories: invisible signs, emoji and ticks, modifiers; ` is taken for a quote
_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "\u00a0": " ", "\u202f": " "})
_NOTHING = {ABSTAIN.casefold(), "null", "n/a", "not applicable", "no rewrite"}
_ABSTAINS = re.compile(rf"{ABSTAIN}\s*(?:[.,:;!(–—-]|$)")  # in capitals: "none of the dogs" is a caption
_LONG_LABEL = 4  # words: one without anything behind it is the whole answer, cut off behind its preamble
_ALIKE = 0.5  # of the words: more than any type changes


@dataclass(frozen=True)
class Reading:
    """What an answer means for its row."""

    status: RewriteStatus
    text: str | None = None
    error: str | None = None
    followed: bool = False
    """Whether the model wrote more behind the text, so that the limit of tokens did not cut it off."""


def read_answer(answer: str, caption: str, exemplars: Collection[str] = ()) -> Reading:
    """What a model wrote: the part of it that is most like the caption without saying the same, or why there is none.

    Args:
        answer: all that it wrote.
        caption: what it was to rewrite.
        exemplars: the rewrites that its prompt shows.
    """
    said = _without_reasoning(answer)
    if said is None:
        return Reading("failed", error=REASONED)
    written: dict[str, str] = {}  # text to what was written
    for part in _parts(said):
        written.setdefault(_unwrapped(part, caption), part)
    written.pop("", None)
    if not written:
        return Reading("failed", error="the model answered with an empty line")
    text = max(written, key=lambda each: _likeness(each, caption))
    if _likeness(text, caption) < _ALIKE:
        if any(map(abstains, written)):
            return Reading("abstained", error=f"the model answered {ABSTAIN}")
        if any(what_is_said(each) == what_is_said(caption) for each in written):
            return Reading("repeated", error="the model repeated the caption")
        text = next(iter(written))
    if any(unicodedata.category(character) == "Cs" for character in text):
        return Reading("failed", error="the answer is not Unicode text")
    if what_is_said(text) in {what_is_said(each) for each in exemplars}:
        return Reading("copied", error="the model copied an exemplar of the prompt")
    return Reading("ok", text, followed=not answer.rstrip().endswith(written[text].strip()))


def abstains(text: str) -> bool:
    """Whether a text says NONE: alone in any letter case, or in capitals before a closing mark or a reason."""
    return what_is_said(text) in _NOTHING or _ABSTAINS.match(text) is not None


def _without_reasoning(answer: str) -> str | None:
    """The answer behind the model's reasoning; None if the reasoning did not end."""
    said = _CHANNELS.sub("", _REASONING.sub("\n", answer))
    ends = list(_ENDS_REASONING.finditer(said))  # of a block that the chat template began
    said = said[ends[-1].end() :] if ends else said
    begun = _BEGINS_REASONING.search(said)
    said = said[: begun.start()] if begun else said
    return said if said.strip() or not answer.strip() else None


def _parts(said: str) -> Iterator[str]:
    """The texts of an answer: the strings of its JSON, or its lines without control tokens and fences."""
    said = _FENCE.sub("\n", CONTROL_TOKEN.sub("\n", said))
    start = re.search(r"[{\[]", said)
    if start:
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(said, start.start())
        except (ValueError, RecursionError):
            value, end = None, 0
        if found := list(_strings(value)):
            yield from found
            said = said[: start.start()] + said[end:]
    for line in html.unescape(said).splitlines():
        yield line
        yield from _SENTENCE_END.split(line)
        yield from (found[found.lastindex or 0] for found in _QUOTED.finditer(line))


def _strings(value: Any) -> Iterator[str]:
    """The strings in a JSON value; null stands for no rewrite."""
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from [ABSTAIN] if each is None else _strings(each)


def _unwrapped(part: str, caption: str) -> str:
    """A part without the marks around it that the caption does not have: list item, label, bold, tags, quotes, a note behind."""
    text = "".join(sign for sign in part if sign in caption or unicodedata.category(sign) not in _IGNORED)
    if caption.isascii():
        text = text.translate(_TYPOGRAPHY)
    if "\\" not in caption:
        text = text.replace('\\"', '"')
        text = _COMMAND.sub(r"\1", _COMMAND.sub(r"\1", text))
    if "<" not in caption:
        text = _TAG.sub(" ", text)
    for mark in ("**", "__", "*", "`", "~~"):
        text = text if mark in caption else text.replace(mark, "")
    text, before = " ".join(text.split()), None
    while text != before:
        before = text
        text = _stripped_once(text, caption)
    return text


def _stripped_once(text: str, caption: str) -> str:
    item = _ITEM.match(text)
    if item and item[0].strip() not in caption.split():
        text = text[item.end() :]
    if not _ARROW.search(caption):
        text = _ARROW.split(text)[-1]
    if "(" not in caption and "[" not in caption:
        text = _NOTE.sub("", text)
    if text.count(":") > caption.count(":"):
        label, _, rest = text.partition(":")
        text = rest if rest.strip() or len(label.split()) < _LONG_LABEL else text
    text = text.strip(" ,;" + "".join(mark for mark in "_#|{}[]$" if mark not in caption))
    first, last = _QUOTES.get(text[:1]), _QUOTES.get(text.rstrip(".,;!?")[-1:])
    if first and first == last and not (caption[:1] in _QUOTES and caption.rstrip(".,;!?")[-1:] in _QUOTES):
        inner = text.rstrip(".,;!?")
        text = inner[1:-1] + text[len(inner) :]
    elif first and text.count(text[0]) == 1 and caption[:1] not in _QUOTES:
        text = text[1:]
    return text.strip()


def _likeness(text: str, caption: str) -> float:
    """Share of words that a text has in common with the caption, in [0, 1]; 0 if it says the same, or that and more."""
    said, other = what_is_said(text), what_is_said(caption)
    words, others = Counter(said.split()), Counter(other.split())
    return 0.0 if other in said else (words & others).total() / max(words.total(), others.total(), 1)
