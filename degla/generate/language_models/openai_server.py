"""Back end `openai`: rewrites by a chat model behind any OpenAI-compatible server.

Requests wait in this process; at most `concurrency` are on their way at once, on one thread of their own. What the server
refuses for good is that row's `failed`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Mapping, Sequence

from degla import checksums
from degla.config import effective
from degla.generate.backend import Origin, Request, Rewrite, Usage
from degla.generate.config import Sampling, Server
from degla.generate.language_models.answers import read_answer
from degla.generate.language_models.prompts import Prompt
from degla.generate.language_models.server_answers import Answer, why_not_send
from degla.generate.language_models.server_connection import Connection, Finished
from degla.negative_types import NegativeType


class OpenAIBackend:
    """Many requests to one server; see `degla.generate.backend.Backend`.

    Nothing is sent before the first `submit`.

    Args:
        server: where it is, and how patient to be.
        prompts: one for each type that is asked for.
        sampling: how the model chooses its words.
        first_wait: seconds before the first retry; doubled at each further one.

    Raises:
        ConfigError: the address or the key cannot be used.
    """

    valid_by_construction = False

    def __init__(
        self, server: Server, prompts: Mapping[NegativeType, Prompt], sampling: Sampling, first_wait: float = 0.5
    ) -> None:
        self.capacity = 2 * server.concurrency
        self.usage = Usage()
        self._connection = Connection(server, prompts, sampling, first_wait)
        model_sha = checksums.of_value([effective(server), effective(sampling)])[:16]
        self._origins = {name: Origin(f"openai:{server.model}", model_sha, prompt.sha) for name, prompt in prompts.items()}
        self._finished: queue.SimpleQueue[Finished | BaseException] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._num_open = 0
        self._since = 0.0

    def origin(self, negative_type: NegativeType) -> Origin:
        """Model and prompt that write rows of this type."""
        return self._origins[negative_type]

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests. At the first, raises PassingFault where no server answers, ConfigError where the key is refused."""
        if not self._num_open:
            self._since = time.monotonic()
        self._num_open += len(requests)
        for request in requests:
            problem = why_not_send(request.caption)
            if problem:
                self._finished.put(Finished(request, error=problem))
            else:
                self._start()
                self._loop.call_soon_threadsafe(self._spawn, request)

    def collect(self) -> list[Rewrite]:
        """Rows that have finished, at least one while any is open.

        Raises:
            ConfigError: the server refuses key, model or address, or every request so far.
            PassingFault: the server does not answer, or not any more.
        """
        rows: list[Rewrite] = []
        while self._num_open and not (rows and self._finished.empty()):
            item = self._finished.get()
            if isinstance(item, BaseException):
                self._finished.put(item)  # it stays so
                raise item
            self._num_open -= 1
            rows.append(self._row(item))
        now = time.monotonic()
        self.usage.seconds += now - self._since if rows else 0.0
        self._since = now
        return rows

    def close(self) -> None:
        """Drop what is open and end the thread. May be called twice."""
        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None
        self._loop.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, name="openai", daemon=True)
            self._thread.start()
            asyncio.run_coroutine_threadsafe(self._connection.greet(), self._loop).result()

    def _spawn(self, request: Request) -> None:
        task = self._loop.create_task(self._finish(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, request: Request) -> None:
        try:
            self._finished.put(await self._connection.answer(request))
        except Exception as error:  # `collect` raises it, in the caller's thread
            self._finished.put(error)

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connection.close()

    def _row(self, finished: Finished) -> Rewrite:
        request, answer, origin = finished.request, finished.answer, self.origin(finished.request.type)
        self.usage.rows += 1
        if answer is None:
            return Rewrite(request, origin, "failed", error=finished.error)
        _count_tokens(self.usage, request.type, answer)
        reading = read_answer(answer.content, request.caption)
        return Rewrite(request, origin, reading.status, reading.text, answer.finish, answer.mean_logprob, reading.error)


def _count_tokens(usage: Usage, negative_type: NegativeType, answer: Answer) -> None:
    usage.prompt_tokens += answer.prompt_tokens
    usage.output_tokens += answer.output_tokens
    if answer.cached_tokens is not None:  # only then do the two make a hit rate
        for counts, tokens in (
            (usage.cached_tokens, answer.cached_tokens),
            (usage.prompt_tokens_by_type, answer.prompt_tokens),
        ):
            counts[negative_type] = counts.get(negative_type, 0) + tokens
