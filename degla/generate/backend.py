"""The seam between the generate stage and what rewrites captions: requests go in, finished rows come out.

A back end may answer in any order and as rows finish (an engine that batches holds many at once), and it refuses a bad
request by a row of its own, never by an exception for all of them. Called by `degla.generate.stage`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from degla.schemas import NegativeType, RewriteStatus


@dataclass(frozen=True)
class Request:
    """One caption to rewrite in one way; `seed` is the row's own (`row_seed`)."""

    caption_id: int
    caption: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    type: NegativeType
    attempt: int
    seed: int


@dataclass(frozen=True)
class Rewrite:
    """A finished row of `degla.schemas.REWRITES`, without the columns that the whole back end shares."""

    caption_id: int
    type: NegativeType
    status: RewriteStatus
    attempt: int
    seed: int
    text: str | None = None
    finish: str | None = None
    mean_logprob: float | None = None
    error: str | None = None

    @classmethod
    def of(cls, request: Request, text: str) -> Rewrite:
        """The rewrite that answers a request."""
        return cls(request.caption_id, request.type, "ok", request.attempt, request.seed, text)

    @classmethod
    def without_text(cls, request: Request, status: RewriteStatus, reason: str) -> Rewrite:
        """The row of a request that has no rewrite, with the reason in words."""
        return cls(request.caption_id, request.type, status, request.attempt, request.seed, error=reason)


class Backend(Protocol):
    """What rewrites captions."""

    generator: str
    """Name in the rows: `rules`, `vllm:<model>`, ..."""
    model_sha: str
    """Fingerprint of weights or lexicon."""
    prompt_sha: str | None
    """Fingerprint of the prompt, where there is one."""

    def rewrite(self, requests: Iterable[Request]) -> Iterator[Rewrite]:
        """Yield one row for every request, in any order, as they finish."""
        ...


def row_seed(seed: int, caption_id: int, negative_type: NegativeType, attempt: int) -> int:
    """The seed of one row, in [0, 2**63): the same whatever is generated before or beside it."""
    digest = hashlib.blake2b(f"{seed}|{caption_id}|{negative_type}|{attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
