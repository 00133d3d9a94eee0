"""One OpenAI-compatible server: how a request is put to it, how long to insist, and when to give it up.

What passes (time-outs, cut connections, server errors, too many requests, answers that are no answers) is tried again with
growing waits. A server that refuses everything, or dies, ends the run in place of filling it with failed rows: one that does
not answer may be up again at the next try of the stage (PassingFault), one that refuses us will not change its mind
(ConfigError).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from degla.errors import ConfigError, PassingFault
from degla.generate.backend import Request
from degla.generate.config import Sampling, Server
from degla.generate.language_models.prompts import Prompt, question, shown_text
from degla.generate.language_models.server_answers import Answer, parse_completion
from degla.negative_types import NegativeType

logger = logging.getLogger(__name__)

_PASSING = {408, 409, 425, 429}  # and every status from 500: may be gone at the next try
_OF_THE_ROW = {400, 413, 422}  # the server refuses this request; other statuses are said to everyone
_FAILURES_IN_A_ROW = 20  # after that it is not the rows but the server
_LONGEST_WAIT = 30.0  # seconds between two tries
_LONGEST_RETRY_AFTER = 300.0  # seconds that a server's own word on this is believed
_SHOWN_CHARACTERS = 200  # of a server's message


@dataclass(frozen=True)
class Finished:
    """A request with its answer, or with why there is none."""

    request: Request
    answer: Answer | None = None
    error: str | None = None


class _TryAgain(Exception):
    """What may be gone at the next try; `wait` is the server's own word on when, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Unreadable(_TryAgain):
    """Something that answers and speaks another language; where nothing else ever came, the address is of something else."""


class _Refused(Exception):
    """The server does not want this request, whoever asks again."""


class _RefusedToAll(_Refused):
    """The server does not want anything from us: the key, the model, the address."""


class Connection:
    """One server: how a request is put to it, how long to insist, and when to give it up. Lives on one event loop."""

    def __init__(self, server: Server, prompts: Mapping[NegativeType, Prompt], sampling: Sampling, first_wait: float) -> None:
        self._server, self._sampling, self._first_wait = server, sampling, first_wait
        self._shown = {name: (prompt.rule, shown_text(prompt.shown())) for name, prompt in prompts.items()}
        self._url = _checked_url(server.url)
        self._key = _checked_key(server.api_key_variable)
        # A request on its way holds a client of one connection: httpx's pool takes time that grows with its size squared.
        self._slots: asyncio.LifoQueue[httpx.AsyncClient | None] = asyncio.LifoQueue()
        for _ in range(server.concurrency):
            self._slots.put_nowait(None)
        self._clients: list[httpx.AsyncClient] = []
        self._certificates = httpx.create_ssl_context()
        self._with_logprobs = True
        self._answered = False
        self._failures = 0
        self._models: list[str] = []
        self._random = random.Random()

    async def greet(self) -> None:
        """Ask for the list of models, once. Raises PassingFault where nobody answers, ConfigError where the key is refused."""
        try:
            async with self._slot() as client:
                response = await client.get(f"{self._url}/models", timeout=self._server.timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise PassingFault(
                f"no server answers at {self._shown_url()} ({_named(error)}). Start it, or set generate.server.url."
            ) from error
        except httpx.TransportError as error:
            logger.warning("%s: no list of models (%s); asking all the same", self._shown_url(), _named(error))
            return
        if response.status_code in (401, 403):
            raise self._shut_out(f"it says {response.status_code}: {self._message(response)}")
        self._models = _model_names(response)

    async def answer(self, request: Request) -> Finished:
        """The answer to a request, or why it has none.

        Raises:
            ConfigError: nothing was ever answered and the server refuses key, model or address, or all that was asked.
            PassingFault: the server does not answer, or not any more.
        """
        async with self._slot() as client:
            try:
                answer = await self._insist(client, request)
            except (_TryAgain, _Refused) as error:
                self._judge(error)
                return Finished(request, error=str(error))
            self._answered, self._failures = True, 0
            return Finished(request, answer)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[httpx.AsyncClient]:
        """One of the `concurrency` places among the requests on their way, the last used first."""
        client = await self._slots.get() or self._new_client()
        try:
            yield client
        finally:
            self._slots.put_nowait(client)

    def _new_client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._clients.append(httpx.AsyncClient(headers=headers, timeout=None, verify=self._certificates))
        return self._clients[-1]

    def _judge(self, error: _TryAgain | _Refused) -> None:
        """Count a failure. Raises where it is the server's and not the row's."""
        if isinstance(error, _RefusedToAll) and not self._answered:
            raise self._shut_out(str(error))
        if type(error) is _Refused and self._answered:
            return  # it answers others
        self._failures += 1
        if self._failures < _FAILURES_IN_A_ROW:
            return
        message = f"{self._shown_url()}: the last {self._failures} requests all failed, the last one because {error}."
        if self._answered or type(error) is _TryAgain:
            raise PassingFault(f"{message} What is finished is kept: see to the server and run again.")
        raise ConfigError(f"{message} None was ever answered: look at generate.server and at the server's log.")

    async def _insist(self, client: httpx.AsyncClient, request: Request) -> Answer:
        tries = self._server.retries + 1
        for number in range(tries):
            try:
                return await self._post(client, request)
            except _TryAgain as fault:
                if number + 1 == tries:
                    raise type(fault)(f"{fault} ({tries} tries)" if number else str(fault)) from fault
                await asyncio.sleep(self._wait(number, fault.wait))
        raise AssertionError("unreachable")

    def _wait(self, number: int, told: float | None) -> float:
        own = min(_LONGEST_WAIT, self._first_wait * 2**number) * self._random.uniform(0.5, 1.5)
        return own if told is None else told + own

    async def _post(self, client: httpx.AsyncClient, request: Request) -> Answer:
        with_logprobs = self._with_logprobs
        response = await self._send(client, self._body(request, with_logprobs))
        status = response.status_code
        if status == 200:
            return _parsed(response)
        message = f"the server says {status}: {self._message(response)}"
        if status in _PASSING or status >= 500:
            raise _TryAgain(message, _retry_after(response))
        if status in _OF_THE_ROW and with_logprobs and "logprobs" in message:
            self._with_logprobs = False  # it does not give them, and nobody depends on them
            return await self._post(client, request)
        raise (_Refused if status in _OF_THE_ROW else _RefusedToAll)(message)

    async def _send(self, client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
        try:
            async with asyncio.timeout(self._server.timeout):  # of the whole answer: httpx counts from byte to byte
                return await client.post(f"{self._url}/chat/completions", json=body)
        except TimeoutError as error:
            raise _TryAgain(f"no answer within {self._server.timeout:g} s") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _TryAgain(f"the connection failed: {_named(error)}") from error

    def _body(self, request: Request, with_logprobs: bool) -> dict[str, Any]:
        rule, shown = self._shown[request.type]
        first = request.attempt == 1
        return {
            "model": self._server.model,
            "messages": [
                {"role": "system", "content": rule},
                {"role": "user", "content": shown + question(request.caption)},
            ],
            "temperature": self._sampling.temperature if first else self._sampling.retry_temperature,
            "top_p": self._sampling.top_p,
            "max_tokens": self._sampling.max_tokens,
            "seed": request.seed % 2**31,  # what every server's integer holds
            "stop": ["\n"],
            **({"logprobs": True} if with_logprobs else {}),
        }

    def _shown_url(self) -> str:
        return str(httpx.URL(self._url).copy_with(userinfo=b""))

    def _message(self, response: httpx.Response) -> str:
        """The server's message in one short line, without our key should it repeat that."""
        text = " ".join(_error_text(response).split()) or response.reason_phrase or "nothing more"
        text = text.replace(self._key, "***") if self._key else text
        return text[:_SHOWN_CHARACTERS] + ("..." if len(text) > _SHOWN_CHARACTERS else "")

    def _shut_out(self, message: str) -> ConfigError:
        known = f" It serves: {', '.join(self._models[:10])}." if self._models else ""
        key = "is set" if self._key else "is not set"
        return ConfigError(
            f"{self._shown_url()} refuses to work for us: {message.rstrip('.')}.{known} Look at generate.server.model"
            f" ({self._server.model!r}), at generate.server.url (it usually ends in /v1), and at the key: the environment"
            f" variable {self._server.api_key_variable} {key}."
        )


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"generate.server.url: {error}; expected an address such as http://localhost:8000/v1") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"generate.server.url: {url!r} is no address; expected one such as http://localhost:8000/v1")
    return url.rstrip("/")


def _checked_key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds characters that no key has; set it anew")
    return key


def _parsed(response: httpx.Response) -> Answer:
    try:
        return parse_completion(response.json())
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"the answer cannot be read: {str(error)[:_SHOWN_CHARACTERS]}") from error


def _error_text(response: httpx.Response) -> str:
    """The message in an error answer: OpenAI's form, or whatever there is. Always encodable."""
    try:
        data = response.json()
        error = data.get("error", data)
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, RecursionError, AttributeError, KeyError):
        text = response.text
    return str(text).encode("utf-8", "replace").decode()


def _model_names(response: httpx.Response) -> list[str]:
    try:
        return [str(entry["id"]) for entry in response.json()["data"]]
    except (ValueError, RecursionError, KeyError, TypeError):
        return []


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds in the header Retry-After, which holds seconds or a date; None where it is absent or senseless."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
