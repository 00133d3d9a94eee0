"""The back ends on the engine in this process: `vllm` lets the model write, `choice` lets it pick among the rules' texts.

Both may have requests on one engine at the same time.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from degla.generate.backend import Origin, Request, Rewrite, Usage
from degla.generate.language_models.answers import read_answer
from degla.generate.language_models.vllm_engine import OpenRow, VllmEngine
from degla.negative_types import NegativeType
from degla.schemas import RewriteStatus

if TYPE_CHECKING:
    from vllm import RequestOutput

CANDIDATES = 16
"""Most texts that `choice` offers the model."""


class EngineBackend(ABC):
    """What both back ends share: count open requests, and turn outputs of the engine into rows."""

    name: str
    enumerates: bool

    def __init__(self, engine: VllmEngine) -> None:
        self.engine = engine
        self.capacity = 4 * engine.config.max_num_seqs
        self.usage = Usage()
        self._open = 0
        self._since = 0.0
        self._finished: list[Rewrite] = []

    def origin(self, negative_type: NegativeType) -> Origin:
        """Who writes rows of this type."""
        return self.engine.origin(self.name, negative_type)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests. One that the engine cannot take becomes a failed row."""
        if not self._open:
            self._since = time.monotonic()
        for request in requests:
            self._open += 1
            try:
                self._ask(request)
            except ValueError as error:
                self._finish(self._row(request, "failed", error=str(error)))

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

    @abstractmethod
    def _answer(self, open_row: OpenRow, text: str) -> Rewrite:
        """The row for what the model wrote, without the spaces around it."""

    def _send(self, request: Request, ids: list[int], temperature: float, max_tokens: int, choices: tuple[str, ...] = ()) -> None:
        params = self.engine.params(request.seed, temperature, max_tokens, choices)
        self.engine.submit(OpenRow(request, ids, params, self._deliver, choices))

    def _deliver(self, open_row: OpenRow, output: RequestOutput | Exception) -> None:
        if isinstance(output, Exception):
            self._finish(self._row(open_row.request, "failed", error=f"vLLM refused the request: {output}"))
            return
        written = output.outputs[0]
        num_prompt, num_cached = len(output.prompt_token_ids), output.num_cached_tokens or 0
        self.usage.count(open_row.request.type, num_prompt, len(written.token_ids), num_cached)
        if written.finish_reason not in ("stop", "length"):
            self._finish(self._row(open_row.request, "failed", error=f"vLLM ended the row ({written.finish_reason})"))
            return
        row = self._answer(open_row, written.text.strip())
        mean = written.cumulative_logprob / len(written.token_ids)
        self._finish(replace(row, finish=written.finish_reason, mean_logprob=mean, answer=written.text))

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

    name = "vllm"
    enumerates = False

    def _ask(self, request: Request) -> None:
        prompt, sampling = self.engine.prompts[request.type], self.engine.sampling
        ids = prompt.after_prefix(request.caption)
        temperature = sampling.temperature if request.attempt == 1 else sampling.retry_temperature
        max_tokens = min(sampling.max_tokens, 2 * (len(ids) - len(prompt.suffix)) + 8)
        self._send(request, ids, temperature, max_tokens)

    def _answer(self, open_row: OpenRow, text: str) -> Rewrite:
        reading = read_answer(text, open_row.request.caption)
        return self._row(open_row.request, reading.status, reading.text, reading.error)


class Enumerates(Protocol):
    """Lists the rewrites of a caption."""

    def candidates(self, request: Request, limit: int) -> list[str]:
        """Valid texts, the best first; those in `request.taken` left out."""
        ...


class ChoiceBackend(EngineBackend):
    """The model picks among the rewrites that the rules enumerate: it cannot write anything else.

    It always samples at `sampling.temperature`: at a higher one it would pick worse texts. A single candidate is taken
    without asking the model; its row has no log-probability.
    """

    name = "choice"
    enumerates = True

    def __init__(self, engine: VllmEngine, rules: Enumerates) -> None:
        super().__init__(engine)
        self._rules = rules

    def _ask(self, request: Request) -> None:
        ids = self.engine.prompts[request.type].after_prefix(request.caption)
        candidates = self._rules.candidates(request, CANDIDATES)
        if len(candidates) < 2:
            text = candidates[0] if candidates else None
            error = None if candidates else "the rules have no rewrite to choose from"
            self._finish(self._row(request, "ok" if candidates else "abstained", text, error))
            return
        choices = tuple(f" {text}" for text in candidates)
        max_tokens = max(len(text.encode()) for text in choices) + 1  # at worst a token a byte, and the end of the turn
        self._send(request, ids, self.engine.sampling.temperature, max_tokens, choices)

    def _answer(self, open_row: OpenRow, text: str) -> Rewrite:
        if f" {text}" not in open_row.choices:
            return self._row(open_row.request, "failed", error=f"the model's choice was cut off: {text!r}")
        return self._row(open_row.request, "ok", text)
