"""How likely the engine's model finds whole texts: what `choice` picks by, and how far a rewrite falls behind its caption.

A text is scored on its own, after a line break and without the prompt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from degla.generate.backend import Request
from degla.generate.language_models.vllm_engine import OpenRow, VllmEngine

if TYPE_CHECKING:
    from vllm import RequestOutput

_REMEMBERED = 50_000  # texts, about 10 MB: the candidates of a caption are scored again whenever one of them is refused


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a text, with the line break that ends it."""

    total: float
    """Log-probability of the whole, in nats."""
    num_tokens: int


Likelihoods = Mapping[str, Likelihood]
"""By text."""
Done = Callable[[Likelihoods | Exception], None]
"""Called once, with the likelihoods of all texts asked for or with why one of them has none."""


def lm_gap(found: Likelihoods, caption: str, text: str) -> float:
    """How much less likely a text is than its caption, in nats; negative if it is likelier."""
    return found[caption].total - found[text].total


class Scorer:
    """Scores texts on an engine."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine
        self._known: OrderedDict[str, Likelihood] = OrderedDict()

    def score(self, request: Request, texts: Sequence[str], done: Done) -> None:
        """Score texts for a request, all in one batch of the engine; those that it has scored lately are remembered."""
        found = {text: self._known[text] for text in texts if text in self._known}
        try:
            missing = {text: self._engine.text_ids(text) for text in texts if text not in found}
        except ValueError as error:  # empty or not valid Unicode
            done(error)
            return
        if not missing:
            done(found)
        waiting = _Waiting(found, len(missing), done)
        for text, ids in missing.items():
            deliver = partial(self._take, waiting, text)
            self._engine.submit(OpenRow(request, None, ids, self._engine.scoring, deliver))

    def _take(self, waiting: _Waiting, text: str, row: OpenRow, output: RequestOutput | Exception) -> None:
        if isinstance(output, Exception):
            waiting.fail(output)
            return
        scored = output.prompt_logprobs[len(self._engine.text_start) :]
        total = sum(by_token[number].logprob for number, by_token in zip(row.ids, scored, strict=True))
        self._known[text] = likelihood = Likelihood(total, len(row.ids))
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        waiting.take(text, likelihood)


@dataclass
class _Waiting:
    """The texts of one request that are being scored."""

    found: dict[str, Likelihood]
    missing: int
    done: Done

    def take(self, text: str, likelihood: Likelihood) -> None:
        self.found[text] = likelihood
        self.missing -= 1
        if not self.missing:
            self.done(self.found)

    def fail(self, error: Exception) -> None:
        done, self.done = self.done, lambda _: None  # the others are of no use any more
        done(error)
