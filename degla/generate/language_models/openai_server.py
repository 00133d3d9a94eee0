"""Back end `openai`: rewrites by a chat model behind any OpenAI-compatible server.

At most `concurrency` requests are in flight, on one thread of their own; the others wait in this process. A row whose request
the server refuses is `failed`, and the others go on.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from degla import checksums
from degla.config import effective
from degla.generate.backend import Origin, Request, Rewrite, Usage
from degla.generate.config import Sampling, ServerConfig
from degla.generate.language_models.answers import read_answer
from degla.generate.language_models.prompts import Prompt
from degla.generate.language_models.server_answers import why_not_send
from degla.generate.language_models.server_connection import Connection, Finished
from degla.negative_types import NegativeType


class OpenAIBackend:
    """Many requests to one server; see `degla.generate.backend.Backend`.

    Nothing is sent before the first `submit`.

    Args:
        server: its URL, and how many requests, retries and seconds it is given.
        prompts: one for each type that is asked for.
        sampling: how the model draws its tokens.

    Raises:
        ConfigError: the URL or the key cannot be used.
    """

    enumerates = False

    def __init__(self, server: ServerConfig, prompts: Mapping[NegativeType, Prompt], sampling: Sampling) -> None:
        self.capacity, self.least = 2 * server.concurrency, server.concurrency
        self.usage = Usage()
        self._connection = Connection(server, prompts, sampling)
        model_sha = checksums.of_value([effective(server), effective(sampling)])[:16]
        self._origins = {name: Origin(f"openai:{server.model}", model_sha, prompt.sha) for name, prompt in prompts.items()}
        self._exemplars = {name: [each.output for each in prompt.exemplars] for name, prompt in prompts.items()}
        self._finished: queue.SimpleQueue[Future[Finished]] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._num_open = 0
        self._since = 0.0

    def origin(self, negative_type: NegativeType) -> Origin:
        """Model and prompt that write rows of this type."""
        return self._origins[negative_type]

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests. The first time, raises PassingFault if no server answers, ConfigError if it refuses the key."""
        if not self._num_open:
            self._since = time.monotonic()
        self._num_open += len(requests)
        for request in requests:
            problem = why_not_send(request.caption)
            if problem:
                refused: Future[Finished] = Future()
                refused.set_result(Finished(request, error=problem, unsendable=True))
                self._finished.put(refused)
            else:
                self._start()
                answer = asyncio.run_coroutine_threadsafe(self._connection.answer(request), self._loop)
                answer.add_done_callback(self._finished.put)

    def collect(self) -> list[Rewrite]:
        """Rows that have finished, at least one while any is open.

        Raises:
            ConfigError: the server refuses key, model or URL, or every request so far.
            PassingFault: the server does not answer, or no longer.
        """
        rows: list[Rewrite] = []
        while self._num_open and not (rows and self._finished.empty()):
            future = self._finished.get()
            if future.exception():
                self._finished.put(future)  # for the next call too
            rows.append(self._row(future.result()))
            self._num_open -= 1
        now = time.monotonic()
        self.usage.seconds += now - self._since if rows else 0.0
        self._since = now
        return rows

    def close(self) -> None:
        """Drop what is open and end the thread. May be called twice."""
        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None
        self._loop.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, name="openai", daemon=True)
            self._thread.start()
            asyncio.run_coroutine_threadsafe(self._connection.greet(), self._loop).result()

    def _row(self, finished: Finished) -> Rewrite:
        request, answer, origin = finished.request, finished.answer, self.origin(finished.request.type)
        if answer is None:
            self.usage.rows += not finished.unsendable
            return Rewrite(request, origin, "inapplicable" if finished.unsendable else "failed", error=finished.error)
        self.usage.count(request.type, answer.prompt_tokens, answer.output_tokens, answer.cached_tokens)
        if answer.why_empty:
            return Rewrite(request, origin, "failed", None, answer.finish, error=answer.why_empty, answer="")
        reading = read_answer(answer.content, request.caption, self._exemplars[request.type])
        finish = "stop" if answer.finish == "length" and reading.followed else answer.finish
        row = Rewrite(request, origin, reading.status, reading.text, finish, answer.mean_logprob, reading.error)
        return replace(row, answer=answer.content)
