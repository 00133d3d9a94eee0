"""The back ends that ask the engine in this process: `vllm` lets the model write, `choice` lets it pick among the rules' texts.

Both may have rows open on one engine at the same time. Know the engine's answers, not how it runs.
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
"""Most texts that `choice` puts before the model."""


class EngineBackend(ABC):
    """What both back ends do: count what is open, and make rows of what the engine delivers."""

    name: str
    valid_by_construction: bool

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
        """Rows that have finished, at least one while any is open. Raises PassingFault where the engine has crashed."""
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
        """Stop the engine, for the other back end on it as well."""
        self.engine.close()

    @abstractmethod
    def _ask(self, request: Request) -> None:
        """Send a request to the engine, or finish it. Raises ValueError where the caption cannot be encoded."""

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
        self._count(open_row.request.type, output)
        written = output.outputs[0]
        if written.finish_reason not in ("stop", "length"):
            self._finish(self._row(open_row.request, "failed", error=f"vLLM gave the row up ({written.finish_reason})"))
            return
        row = self._answer(open_row, written.text.strip())
        mean = written.cumulative_logprob / len(written.token_ids)
        self._finish(replace(row, finish=written.finish_reason, mean_logprob=mean))

    def _count(self, negative_type: NegativeType, output: RequestOutput) -> None:
        usage, prompt, cached = self.usage, len(output.prompt_token_ids), output.num_cached_tokens or 0
        usage.rows += 1
        usage.rows_by_type[negative_type] = usage.rows_by_type.get(negative_type, 0) + 1
        usage.prompt_tokens += prompt
        usage.output_tokens += len(output.outputs[0].token_ids)
        usage.prompt_tokens_by_type[negative_type] = usage.prompt_tokens_by_type.get(negative_type, 0) + prompt
        usage.cached_tokens[negative_type] = usage.cached_tokens.get(negative_type, 0) + cached

    def _finish(self, row: Rewrite) -> None:
        self._open -= 1
        self._finished.append(row)

    def _row(self, request: Request, status: RewriteStatus, text: str | None = None, error: str | None = None) -> Rewrite:
        return Rewrite(request, self.origin(request.type), status, text, error=error)


class VllmBackend(EngineBackend):
    """The model writes the rewrite itself, on one line, or says NONE.

    The first attempt is sampled at `sampling.temperature`, later ones at `sampling.retry_temperature`. A text that reaches
    its limit of tokens is handed on as `finish="length"`, for the filter to refuse.
    """

    name = "vllm"
    valid_by_construction = False

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
    """What knows the valid rewrites of a caption."""

    def candidates(self, request: Request, limit: int) -> list[str]:
        """Valid texts, the best first; those in `request.taken` left out."""
        ...


class ChoiceBackend(EngineBackend):
    """The model picks among the valid rewrites that the rules enumerate: it cannot write anything else.

    It always draws at `sampling.temperature`: a hotter draw would pick worse among texts that are all valid. A single
    candidate is taken without asking, as the answer is known; its row has no log-probability.
    """

    name = "choice"
    valid_by_construction = True

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
        max_tokens = max(len(text.encode()) for text in choices) + 1  # in the smallest tokens, and the end of the turn
        self._send(request, ids, self.engine.sampling.temperature, max_tokens, choices)

    def _answer(self, open_row: OpenRow, text: str) -> Rewrite:
        if f" {text}" not in open_row.choices:
            return self._row(open_row.request, "failed", error=f"the model's choice broke off: {text!r}")
        return self._row(open_row.request, "ok", text)
