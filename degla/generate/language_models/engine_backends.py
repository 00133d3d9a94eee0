"""The back ends on the engine in this process: `vllm` lets the model write, `choice` takes the likeliest of the rules' texts.

Both may have requests on one engine at the same time.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from degla.generate.backend import Origin, Request, Rewrite, Usage
from degla.generate.language_models.answers import read_answer
from degla.generate.language_models.likelihoods import Likelihoods, Scorer, lm_gap
from degla.generate.language_models.vllm_engine import OpenRow, VllmEngine
from degla.negative_types import NegativeType
from degla.schemas import RewriteStatus

if TYPE_CHECKING:
    from vllm import RequestOutput

CANDIDATES = 16
"""Most texts among which `choice` picks."""

_DIGITS = 3  # of a log-probability, when two are compared: rounding in the engine depends on the batch


class EngineBackend(ABC):
    """What both back ends share: they count open requests and hand over finished rows."""

    enumerates: bool
    least = 32  # a batch of this size takes a CPU hardly longer than one of 8

    def __init__(self, engine: VllmEngine) -> None:
        self.engine = engine
        self.capacity = 4 * engine.config.max_num_seqs
        self.usage = Usage()
        self._open = 0
        self._since = 0.0
        self._finished: list[Rewrite] = []
        self._scorer = Scorer(engine)

    @abstractmethod
    def origin(self, negative_type: NegativeType) -> Origin:
        """Who writes rows of this type."""

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests. A caption that cannot be encoded becomes a row without a text."""
        if not self._open:
            self._since = time.monotonic()
        for request in requests:
            self._open += 1
            try:
                self._ask(request)
            except ValueError as error:
                self._finish(self._row(request, "inapplicable", error=str(error)))

    def collect(self) -> list[Rewrite]:
        """Rows that have finished, at least one while any is open. Raises PassingFault if the engine has crashed."""
        was_open = self._open or self._finished
        while self._open and not self._finished:
            self.engine.step()
        if was_open:
            now = time.monotonic()
            self.usage.seconds += now - self._since
            self._since = now
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Stop the engine, also for the other back end on it."""
        self.engine.close()

    @abstractmethod
    def _ask(self, request: Request) -> None:
        """Send a request to the engine, or finish it. Raises ValueError if the caption cannot be encoded."""

    def _finish(self, row: Rewrite) -> None:
        self._open -= 1
        self._finished.append(row)

    def _row(self, request: Request, status: RewriteStatus, text: str | None = None, error: str | None = None) -> Rewrite:
        return Rewrite(request, self.origin(request.type), status, text, error=error)


class VllmBackend(EngineBackend):
    """The model writes the rewrite itself, on one line, or NONE.

    The first attempt is sampled at `sampling.temperature`, later ones at `sampling.retry_temperature`. A text cut off at the
    limit of tokens is marked `finish="length"`; the rules refuse it.
    """

    enumerates = False

    def origin(self, negative_type: NegativeType) -> Origin:
        """The model with the prompt of the type."""
        return self.engine.origin("vllm", negative_type)

    def _ask(self, request: Request) -> None:
        prompt, sampling = self.engine.prompts[request.type], self.engine.sampling
        ids = prompt.after_prefix(request.caption)
        temperature = sampling.temperature if request.attempt == 1 else sampling.retry_temperature
        max_tokens = min(sampling.max_tokens, 2 * (len(ids) - len(prompt.suffix)) + 8)
        params = self.engine.params(request.seed, temperature, max_tokens)
        self.engine.submit(OpenRow(request, request.type, ids, params, self._deliver))

    def _deliver(self, open_row: OpenRow, output: RequestOutput | Exception) -> None:
        request = open_row.request
        if isinstance(output, Exception):
            self._finish(self._row(request, "inapplicable", error=f"vLLM refused the request: {output}"))
            return
        written = output.outputs[0]
        num_prompt, num_cached = len(output.prompt_token_ids), output.num_cached_tokens or 0
        self.usage.count(request.type, num_prompt, len(written.token_ids), num_cached)
        if written.finish_reason not in ("stop", "length"):
            self._finish(self._row(request, "failed", error=f"vLLM ended the row ({written.finish_reason})"))
            return
        reading = read_answer(written.text, request.caption, self.engine.exemplars[request.type])
        row = replace(
            self._row(request, reading.status, reading.text, reading.error),
            finish="stop" if reading.followed else written.finish_reason,
            mean_logprob=written.cumulative_logprob / len(written.token_ids),
            answer=written.text,
        )
        if row.text is None:
            self._finish(row)
        else:
            self._scorer.score(request, [request.caption, row.text], partial(self._finish_scored, row))

    def _finish_scored(self, row: Rewrite, found: Likelihoods | Exception) -> None:
        gap = None if row.text is None or isinstance(found, Exception) else lm_gap(found, row.request.caption, row.text)
        self._finish(replace(row, lm_gap=gap))


class Enumerates(Protocol):
    """Lists the rewrites of a caption."""

    def candidates(self, request: Request, limit: int) -> list[str]:
        """Valid texts, the best first; those in `request.taken` left out."""
        ...


class ChoiceBackend(EngineBackend):
    """Of the rewrites that the rules enumerate, the one that the model finds likeliest; of equal ones the first.

    Nothing is drawn, so a row does not depend on its seed or attempt.
    """

    enumerates = True

    def __init__(self, engine: VllmEngine, rules: Enumerates) -> None:
        super().__init__(engine)
        self._rules = rules

    def origin(self, negative_type: NegativeType) -> Origin:
        """The model, without a prompt."""
        return self.engine.origin("choice", None)

    def _ask(self, request: Request) -> None:
        candidates = self._rules.candidates(request, CANDIDATES)
        if not candidates:
            self._finish(self._row(request, "abstained", error="the rules have no rewrite to choose from"))
            return
        self._scorer.score(request, [request.caption, *candidates], partial(self._choose, request, candidates))

    def _choose(self, request: Request, candidates: Sequence[str], found: Likelihoods | Exception) -> None:
        self.usage.rows += 1  # its tokens are not counted: no prefix, so nothing for the cache's hit rate
        if isinstance(found, Exception):
            self._finish(self._row(request, "inapplicable", error=f"the texts cannot be scored: {found}"))
            return
        text = max(candidates, key=lambda each: round(found[each].total, _DIGITS))
        mean, gap = found[text].total / found[text].num_tokens, lm_gap(found, request.caption, text)
        self._finish(replace(self._row(request, "ok", text), mean_logprob=mean, lm_gap=gap))
