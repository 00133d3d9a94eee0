"""One OpenAI-compatible server: what a request asks, and whose fault it is if there is no answer.

The `openai` client retries, after random delays, what may pass: time-outs, cut connections, the statuses 408, 409 and 429
and those from 500 on. What still fails is the row's (it is recorded and the others go on), the server's (PassingFault: the
next try of the stage may find it up again) or a wrong setting (ConfigError: no retry helps).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import openai

from degla.errors import ConfigError, PassingFault
from degla.generate.backend import Request
from degla.generate.config import Sampling, ServerConfig
from degla.generate.language_models.prompts import Prompt, shown_text
from degla.generate.language_models.server_answers import Answer, parse_completion
from degla.generate.language_models.server_requests import Form, refusal_of, says_too_long
from degla.negative_types import NegativeType

logger = logging.getLogger(__name__)

_PASSING = {408, 409, 429}  # and those from 500 on: what the `openai` client retries
_OF_THE_ROW = {400, 413, 422}  # what is wrong with one request; other statuses concern all
_OF_THE_FORM = {400, 422, 500, 501}  # llama.cpp says 500 if the chat template refuses a turn
_PLAIN_CAPTION = 200  # characters: if one of these is too long for the model, the prompt is
_NO_MONEY = "insufficient_quota"
_MIN_CHARACTERS_PER_TOKEN = 6.0  # of an English prompt, more than any tokenizer's mean: a prompt longer than that is too long
_FAILURES_IN_A_ROW = 20  # more than a few bad rows: then it is the server
_SHOWN_CHARACTERS = 200  # of a server's message


@dataclass(frozen=True)
class Finished:
    """A request with its answer, or with why there is none."""

    request: Request
    answer: Answer | None = None
    error: str | None = None
    unsendable: bool = False
    """Whether no server like this can be asked about the caption."""


class _HttpClient(openai.DefaultAsyncHttpxClient):
    """Raises, for the `openai` client to retry, if a reply is not complete in time or is not a chat completion.

    httpx limits the time between two bytes only, and some servers send blank lines while they work.
    """

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            async with asyncio.timeout(self.timeout.read):
                response = await super().send(request, **options)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("the reply is not complete", request=request) from error
        if request.method == "POST" and response.is_success:
            _read(response)
        if response.status_code == 429 and _NO_MONEY in response.text:
            response.headers["x-should-retry"] = "false"  # read by the client
        return response


class Connection:
    """One server: what a request asks, and whose fault it is if there is no answer. Lives on one event loop."""

    def __init__(self, server: ServerConfig, prompts: Mapping[NegativeType, Prompt], sampling: Sampling) -> None:
        self._server, self._sampling = server, sampling
        self._shown = {name: (prompt.rule, shown_text(prompt.shown())) for name, prompt in prompts.items()}
        self._key = _checked_key(server.api_key_variable)
        self._headers = {} if self._key else {"Authorization": openai.Omit()}
        self._clients = _clients(server, self._key)
        self._idle: asyncio.LifoQueue[openai.AsyncOpenAI] = asyncio.LifoQueue()
        for client in self._clients:
            self._idle.put_nowait(client)
        self._form = Form(forced=bool(server.forced_start))
        self._answered = False
        self._failures = 0
        self._models: list[str] = []

    async def greet(self) -> None:
        """Ask for the list of models, once. Raises PassingFault if nobody answers, ConfigError if the key is refused."""
        try:
            response = await self._clients[0].get(
                "/models", cast_to=httpx2.Response, options={"headers": self._headers, "max_retries": 0}
            )
            models = response.json()["data"]
            self._models = [str(model["id"]) for model in models]
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._shut_out(self._reason(error)) from error
        except (openai.APIError, ValueError, RecursionError, KeyError, TypeError) as error:
            if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
                raise PassingFault(
                    f"no server answers at {self._shown_url()} ({_named(error.__cause__)}). Start it, or set generate.server.url."
                ) from error
            logger.warning("%s gives no list of models (%s); asking anyway", self._shown_url(), type(error).__name__)
        else:
            self._look_at(next((model for model in models if model["id"] == self._server.model), {}))

    def _look_at(self, model: Mapping[str, Any]) -> None:
        """What the list says of our model: vLLM continues a turn that we begin, and tells the length of its context."""
        if self._server.forced_start is None and model.get("owned_by") == "vllm":
            self._form = replace(self._form, forced=True)
        context = model.get("max_model_len")
        longest = max(len(rule + shown) for rule, shown in self._shown.values()) / _MIN_CHARACTERS_PER_TOKEN
        if isinstance(context, int) and context < longest:
            raise self._too_short(f"its context is {context:,} tokens, and the longest prompt has at least {longest:,.0f}")

    def _too_short(self, reason: str) -> ConfigError:
        return ConfigError(
            f"{self._server.model} cannot read the prompts: {reason.rstrip('.')}. Serve it with a longer context (vLLM:"
            " --max-model-len, llama.cpp: -c, Ollama: num_ctx), choose another model, or shorten the prompts (generate.prompts)."
        )

    async def answer(self, request: Request) -> Finished:
        """The answer to a request, or why it has none.

        Raises:
            ConfigError: nothing was ever answered and the server refuses key, model or URL, or all requests.
            PassingFault: the server does not answer, or no longer.
        """
        client = await self._idle.get()
        try:
            answer = await self._ask(client, request)
        except openai.APIError as error:
            too_long = isinstance(error, openai.APIStatusError) and says_too_long(refusal_of(error.body, request.caption))
            return Finished(request, error=self._blame(error, request, too_long), unsendable=too_long)
        finally:
            self._idle.put_nowait(client)
        self._answered, self._failures = True, 0
        return Finished(request, answer)

    async def close(self) -> None:
        """Cancel what runs on this event loop and close the connections."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()

    async def _ask(self, client: openai.AsyncOpenAI, request: Request) -> Answer:
        form = self._form
        rule, shown = self._shown[request.type]
        try:
            # Not `chat.completions.create`: it takes 1.9 ms of CPU a request, this 1.1, and a GPU answers 500 a second.
            response = await client.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=form.body(request, rule, shown, self._server, self._sampling),
                options={"headers": self._headers},
            )
        except openai.APIStatusError as error:
            if self._may_ask_otherwise(error, form, request):
                return await self._ask(client, request)
            raise
        return _read(response)

    def _may_ask_otherwise(self, error: openai.APIStatusError, form: Form, request: Request) -> bool:
        """Whether to ask again because something that this form holds, and the next one does not, was refused."""
        smaller = form.without(refusal_of(error.body, request.caption)) if error.status_code in _OF_THE_FORM else None
        if smaller is None:
            return False
        if form == self._form:  # else another request was refused first
            self._form = smaller
            logger.warning(
                "%s refuses %s: asking without. It says: %s", self._shown_url(), smaller.less_than(form), self._message(error)
            )
        return True

    def _blame(self, error: openai.APIError, request: Request, too_long: bool) -> str:
        """Why a request has no answer. Raises if the server or a setting is at fault and not the row."""
        reason = self._reason(error)
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        passing = status is None or status in _PASSING or status >= 500
        if too_long and not self._answered and len(request.caption) < _PLAIN_CAPTION:
            raise self._too_short(reason)
        if error.code == _NO_MONEY:
            raise ConfigError(f"{self._shown_url()}: {reason.rstrip('.')}. What is finished is kept: pay, and run again.")
        if status in _OF_THE_ROW and self._answered:
            return reason  # it answers others
        if not (passing or status in _OF_THE_ROW or self._answered):
            raise self._shut_out(reason)
        self._failures += 1
        if self._failures < _FAILURES_IN_A_ROW:
            return reason
        message = (
            f"{self._shown_url()}: the last {self._failures} requests all failed, the last one because {reason.rstrip('.')}."
        )
        if self._answered or (passing and not isinstance(error.__cause__, httpx2.DecodingError)):
            raise PassingFault(f"{message} What is finished is kept: check the server and run again.")
        raise ConfigError(f"{message} None was ever answered: check generate.server and the server's log.")

    def _reason(self, error: openai.APIError) -> str:
        if isinstance(error, openai.APIStatusError):
            reason = f"the server says {error.status_code}: {self._message(error)}"
        elif isinstance(error, openai.APITimeoutError):
            reason = f"no answer within {self._server.timeout:g} s"
        elif isinstance(error.__cause__, httpx2.DecodingError):
            reason = f"the reply is not a chat completion: {error.__cause__}"
        else:
            reason = f"the connection failed: {_named(error.__cause__ or error)}"
        tries = int(error.request.headers.get("x-stainless-retry-count", 0)) + 1
        return f"{reason} ({tries} tries)" if tries > 1 else reason

    def _message(self, error: openai.APIStatusError) -> str:
        """The server's message in one short line that can be encoded, without our key in case it repeats that."""
        body = error.body.get("message", error.body) if isinstance(error.body, dict) else error.body
        text = " ".join(str(body or error.response.reason_phrase).encode("utf-8", "replace").decode().split())
        text = text.replace(self._key, "***") if self._key else text
        return text[:_SHOWN_CHARACTERS] + ("..." if len(text) > _SHOWN_CHARACTERS else "")

    def _shut_out(self, reason: str) -> ConfigError:
        known = f" It serves: {', '.join(self._models[:10])}." if self._models else ""
        key = "is set" if self._key else "is not set"
        return ConfigError(
            f"{self._shown_url()} rejects every request: {reason.rstrip('.')}.{known} Check generate.server.model"
            f" ({self._server.model!r}), generate.server.url (it usually ends in /v1), and the key: the environment"
            f" variable {self._server.api_key_variable} {key}."
        )

    def _shown_url(self) -> str:
        return str(httpx2.URL(self._server.url).copy_with(userinfo=b""))


def _clients(server: ServerConfig, key: str) -> list[openai.AsyncOpenAI]:
    """A client for each request in flight: the time of one pool of connections grows with the square of its size.

    With 256 in flight a request takes 4.2 ms of CPU in one pool, 1.9 in pools of one connection.
    """
    url, certificates = _checked_url(server.url), httpx2.create_ssl_context()
    return [
        openai.AsyncOpenAI(
            base_url=url,
            api_key=key or "none",  # it insists on one; without ours the header is left out
            timeout=server.timeout,
            max_retries=server.retries,
            http_client=_HttpClient(timeout=server.timeout, verify=certificates),
        )
        for _ in range(server.concurrency)
    ]


def _checked_url(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ConfigError(f"generate.server.url: {error}; expected a URL such as http://localhost:8000/v1") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"generate.server.url: {url!r} is not a URL; expected one such as http://localhost:8000/v1")
    return url


def _checked_key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds characters that no key has; set it again")
    return key


def _read(response: httpx2.Response) -> Answer:
    """The answer in a reply. Raises httpx2.DecodingError if the reply is not a chat completion."""
    try:
        return parse_completion(response.json())
    except (ValueError, RecursionError) as error:
        raise httpx2.DecodingError(str(error)[:_SHOWN_CHARACTERS], request=response.request) from error


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
