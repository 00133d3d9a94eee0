"""A prompt as token ids: the prefix that all requests of a type share, encoded once, and what each caption adds.

The prefix ends before the caption, so that a prefix cache holds it: of 2 M requests with 3,000 tokens, a GPU computes 1 %.
Passing ids also takes a fifth of the CPU that texts take. Captions are encoded with control tokens as plain text, and on one
line, so that no caption ends its turn or writes an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from degla import checksums
from degla.errors import ConfigError, MissingInputError
from degla.generate.language_models.prompts import (
    ABSTAIN,
    CLOSING,
    OPENING,
    TEMPLATE_SETTINGS,
    Exemplar,
    Prompt,
    question,
    shown_text,
)
from degla.negative_types import NegativeType

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANCHOR = OPENING.rstrip()
_SLOT = "<<caption>>"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Hard to encode apart: digits, quotes, closing marks and other scripts may share a token with what stands beside them.
_AWKWARD = ('2 cats on a "STOP" sign', "a man's hat, 3/4 full...", "(a dog) & 日本 🐕!?", "...")
_DROPPABLE = 0.1  # of the exemplars, to end the prefix near a whole block of the cache


@dataclass(frozen=True)
class PromptTokens:
    """A prompt for one tokenizer, cut where the caption stands; see `of`."""

    type: NegativeType
    head: str
    """The text before the caption, without the space in front of it."""
    tail: str
    """The text after the caption."""
    exemplars: int
    """Number of exemplars shown, those with NONE included."""
    prefix: tuple[int, ...]
    """The ids of `head`, BOS included."""
    suffix: tuple[int, ...]
    """The ids of `tail` from its first control token on: the same after every caption."""
    block_size: int
    """Tokens in a block of the prefix cache, which keeps whole blocks only."""
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def of(cls, prompt: Prompt, tokenizer: PreTrainedTokenizerBase, block_size: int = 1) -> PromptTokens:
        """Encode a prompt: by the tokenizer's chat template, or as plain text if it has none.

        Up to a tenth of the exemplars is dropped at the end, as many as leave the fewest tokens after the last whole block:
        those are computed again for every request.

        Raises:
            ConfigError: caption and prompt cannot be encoded apart, or captions can write control tokens.
        """
        shown = prompt.shown()
        choices = (cls._encode(prompt, kept, tokenizer, block_size) for kept in _shortened(shown))
        best = min(choices, key=lambda each: (len(each.prefix) % block_size, -each.exemplars))
        best._check([each.input for each in shown[:8]])
        return best

    @classmethod
    def _encode(cls, prompt: Prompt, shown: list[Exemplar], tokenizer: PreTrainedTokenizerBase, block_size: int) -> PromptTokens:
        head, tail = _frame(prompt, shown, tokenizer)
        prefix = [*_first_ids(tokenizer), *_ids(tokenizer, head)]
        suffix = _ids(tokenizer, tail[_first_control(tail, tokenizer) :])
        return cls(prompt.type, head, tail, len(shown), tuple(prefix), tuple(suffix), block_size, tokenizer)

    @property
    def sha(self) -> str:
        """Fingerprint of what the model sees: 16 hex digits."""
        return checksums.of_value([self.type, self.head, self.tail, ABSTAIN])[:16]

    @property
    def cached_tokens(self) -> int:
        """Tokens in the whole blocks of the prefix."""
        return len(self.prefix) // self.block_size * self.block_size

    def after_prefix(self, caption: str) -> list[int]:
        """The ids of a caption and of what follows it. Raises ValueError if the caption is empty or not valid Unicode."""
        text = cleaned(caption)
        ids = _ids(self.tokenizer, f"{_ANCHOR} {text}{self._near}", plain=True)
        return [*ids[len(self._anchor) :], *self.suffix]

    @cached_property
    def _near(self) -> str:
        """The text between the caption and the first control token: its start may share a token with the caption's end."""
        return self.tail[: _first_control(self.tail, self.tokenizer)]

    @cached_property
    def _anchor(self) -> list[int]:
        """The ids of `Input:`, encoded before each caption and cut off again: many tokenizers encode the start of a text in
        another way."""
        return _ids(self.tokenizer, _ANCHOR)

    def _check(self, captions: list[str]) -> None:
        for caption in (*captions, *_AWKWARD):
            whole = [*_first_ids(self.tokenizer), *_ids(self.tokenizer, f"{self.head} {cleaned(caption)}{self.tail}")]
            if whole != [*self.prefix, *self.after_prefix(caption)]:
                raise ConfigError(
                    f"the tokenizer of {self.tokenizer.name_or_path} cannot be used: prompt and caption ({caption!r}) give other"
                    " tokens apart than together. Use a model with a byte-level or SentencePiece BPE tokenizer."
                )
        begin = self.tokenizer.bos_token_id
        if begin is not None and self.prefix[:2] == (begin, begin):
            raise ConfigError(
                f"the tokenizer of {self.tokenizer.name_or_path} begins the prompt with two BOS tokens: {self.head[:60]!r}"
            )
        if self._lets_captions_control():
            raise ConfigError(
                f"the tokenizer of {self.tokenizer.name_or_path} encodes a control token's text in a caption as the control"
                " token; use a model with a fast tokenizer (tokenizer.json)"
            )

    def _lets_captions_control(self) -> bool:
        added = self.tokenizer.added_tokens_decoder
        controls = {number: each.content for number, each in added.items() if each.special}
        controls.pop(self.tokenizer.unk_token_id, None)  # the token of unknown characters controls nothing
        written = self.after_prefix(" ".join(["a", *controls.values()]))
        return not controls.keys().isdisjoint(written[: len(written) - len(self.suffix)])


def load_tokenizer(model: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's folder or of a name on the hub.

    Raises:
        MissingInputError: the model was not found, or has no tokenizer.
    """
    from transformers import AutoTokenizer

    if not Path(model).is_dir() and (Path(model).is_absolute() or model.count("/") != 1 or model.startswith(".")):
        raise MissingInputError(f"no model folder at {model}; set generate.engine.model to a folder or a name on the hub")
    try:
        return AutoTokenizer.from_pretrained(model, revision=revision)
    except (OSError, ValueError, ImportError) as error:
        raise MissingInputError(
            f"no tokenizer for generate.engine.model={model!r}: {error}. Set it to a folder with config.json, tokenizer.json"
            " and safetensors, or to a name on the Hugging Face hub that this machine can reach or has downloaded."
        ) from error


def cleaned(caption: str) -> str:
    """A caption on one line: control characters and runs of whitespace become one space.

    Raises ValueError if nothing is left, or if it is not valid Unicode.
    """
    text = " ".join(_CONTROL.sub(" ", caption).split())
    if not text:
        raise ValueError("the caption is empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the caption is not valid Unicode: {error}") from error
    return text


def _shortened(shown: list[Exemplar]) -> Iterator[list[Exemplar]]:
    """All exemplars, then without the last one, two, ...; the last one kept always has a rewrite."""
    for dropped in range(int(len(shown) * _DROPPABLE) + 1):
        kept = shown[: len(shown) - dropped]
        if dropped == 0 or kept[-1].output != ABSTAIN:
            yield kept


def _frame(prompt: Prompt, shown: list[Exemplar], tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """The text that the model sees before and after the caption and its space."""
    if tokenizer.chat_template:
        text = _chat(prompt.rule, f"{shown_text(shown)}{OPENING}{_SLOT}", tokenizer) + CLOSING.lstrip()
    else:
        text = f"{prompt.rule}\n\n{shown_text(shown)}{question(_SLOT)}"
    head, slot, tail = text.partition(_SLOT)
    if not slot or not head.endswith(OPENING) or _SLOT in tail:
        raise ConfigError(f"the chat template of {tokenizer.name_or_path} changes or repeats the text of a turn")
    return head.removesuffix(" "), tail


def _chat(rule: str, user: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """Rule and question as turns, up to the start of the model's turn."""
    from jinja2 import TemplateError

    with_system = [{"role": "system", "content": rule}, {"role": "user", "content": user}]
    without = [{"role": "user", "content": f"{rule}\n\n{user}"}]
    for messages in (with_system, without):  # Gemma's templates refuse a system turn, others drop it
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **TEMPLATE_SETTINGS)
        except TemplateError:
            continue
        if rule.strip() in text:
            return text
    raise ConfigError(f"the chat template of {tokenizer.name_or_path} drops the rule, also from a user turn")


def _first_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """BOS, if the tokenizer puts it before plain text; a chat template writes its own."""
    begin = tokenizer.bos_token_id
    if tokenizer.chat_template or begin is None or tokenizer.encode("a")[0] != begin:
        return []
    return [begin]


def _first_control(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """Position of the first control token in a text, or its length."""
    found = (text.find(each.content) for each in tokenizer.added_tokens_decoder.values())
    return min((place for place in found if place >= 0), default=len(text))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, plain: bool = False) -> list[int]:
    """Encode without adding tokens; `plain` encodes the text of a control token as text."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=plain)
