"""The seam between the generate stage and what rewrites captions: requests go in, finished rows come out.

A back end holds many requests at once and hands rows back as they finish, in any order. It refuses a bad request by a row
of its own, never by an exception for all of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from degla.negative_types import NegativeType
from degla.schemas import RewriteStatus


@dataclass(slots=True)  # a frozen one takes five times as long to make, and there are nine for a caption
class Request:
    """One caption to rewrite in one way; `seed` is the row's own (`row_seed`)."""

    caption_id: int
    caption: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    type: NegativeType
    candidate: int
    """0, 1, ...: which rewrite of this type for this caption."""
    attempt: int
    """1, 2, ...: which request for this candidate this is."""
    seed: int
    turn: int = 0
    """Position in `attempts` of the back end that is asked."""
    taken: tuple[str, ...] = ()
    """Texts that the caption has already or that were refused; an equal one is useless."""
    notes: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)
    """What back ends have worked out about the caption, under keys of their own: one for all its requests, empty at last."""

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: without the notes, which it works out anew."""
        values = [getattr(self, each.name) for each in fields(self) if each.name != "notes"]
        return Request, tuple(values)

    @property
    def key(self) -> RowKey:
        return (self.caption_id, self.type, self.candidate, self.attempt)


RowKey = tuple[int, NegativeType, int, int]
"""Key of a row: caption, type, candidate, attempt."""


@dataclass(frozen=True)
class Origin:
    """The generator of a row."""

    generator: str
    """`rules`, `vllm:<model>`, `choice:<model>`, `openai:<model>`, `import:<name>`."""
    model_sha: str
    """Fingerprint of weights or lexicon."""
    prompt_sha: str | None = None
    """Fingerprint of the prompt, if there is one."""


@dataclass(slots=True)  # as with Request
class Rewrite:
    """The answer to a request: a row of `degla.schemas.REWRITES`."""

    request: Request
    origin: Origin
    status: RewriteStatus
    text: str | None = None
    finish: str | None = None
    mean_logprob: float | None = None
    error: str | None = None
    lm_gap: float | None = None
    answer: str | None = None
    """What a language model wrote, where that is not the text; shown to people and not stored."""
    following: tuple[str, ...] = ()
    """Texts that come next for this caption and type, as far as they are known already."""


@dataclass
class Usage:
    """Time, rows and tokens of a back end so far; tokens are 0 if it is no language model."""

    seconds: float = 0.0
    """Wall time with requests open."""
    rows: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    rows_by_type: Counter[str] = field(default_factory=Counter)
    """Type to rows whose cached tokens are known; the next two are of these rows."""
    prompt_tokens_by_type: Counter[str] = field(default_factory=Counter)
    """Type to prompt tokens."""
    cached_tokens: Counter[str] = field(default_factory=Counter)
    """Type to prompt tokens that came from the prefix cache."""

    def count(self, negative_type: str, prompt_tokens: int, output_tokens: int, cached_tokens: int | None) -> None:
        """Add an answered row; `cached_tokens` is None if the server does not report them."""
        self.rows += 1
        self.prompt_tokens += prompt_tokens
        self.output_tokens += output_tokens
        if cached_tokens is not None:
            self.rows_by_type[negative_type] += 1
            self.prompt_tokens_by_type[negative_type] += prompt_tokens
            self.cached_tokens[negative_type] += cached_tokens


class Backend(Protocol):
    """Rewrites captions.

    `capacity`: most rows in flight; more only cost memory.
    `least`: rows in flight that keep a slow one busy; a fast one needs more, up to `capacity`.
    `enumerates`: whether it gives its next text if its earlier ones are in `taken`, so that it is worth asking again.
    `usage`: its statistics.
    """

    capacity: int
    least: int
    enumerates: bool
    usage: Usage

    def origin(self, negative_type: NegativeType) -> Origin:
        """Who writes rows of this type."""
        ...

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests. A request that cannot be answered becomes a row like any other."""
        ...

    def collect(self) -> list[Rewrite]:
        """Finished rows; waits for at least one while any request is open."""
        ...

    def close(self) -> None:
        """Stop the engine."""
        ...


def row_seed(seed: int, caption: str, negative_type: NegativeType, candidate: int, attempt: int) -> int:
    """The seed of one row, in [0, 2**63): the same whatever is generated before or beside it, and for equal captions."""
    name = f"{seed}|{negative_type}|{candidate}|{attempt}|{caption}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(name, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
