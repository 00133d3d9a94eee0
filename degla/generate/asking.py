"""Asks for the rewrites of captions: which types, which back end next if an answer is refused, and when a caption has enough.

A caption is asked about in rounds. The first asks for one rewrite of each type that the caption can have. Requests without a
usable text are repeated along the configured attempts; then types that may have another rewrite are asked for it, until the
caption has enough. A round ends when all its answers are judged, so that the rows of a caption do not depend on what else is
being asked. Types that may give the same text are not asked in one round, so that the second knows the first one's text. Knows
nothing of engines, files or units.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from degla.generate.backend import Backend, Request, Rewrite, RowKey, row_seed
from degla.generate.config import BackendName, GenerateConfig
from degla.generate.routing import unanswerable
from degla.generate.usefulness import FirstAnswers
from degla.negative_types import NegativeType, types_that
from degla.text.edits import what_is_said

Verdicts = Callable[[Sequence[Rewrite]], list[str | None]]
"""For each row with a text, the rule of the judge that refuses it, or None."""

_BATCH = 16_000  # most rows judged at once; planning DuckDB's queries costs each call as much as 5,000 rows
_AHEAD = 5.0  # seconds of work in flight: more would begin captions, and units, that a kill loses, and keep no engine busier
_JUDGE_EVERY, _JUDGE_WITHIN = 3.0, 6.0  # seconds of rows that are judged at once, and that may wait for the judge
_MOST_PROPOSALS = 8  # attempts at a candidate by a back end that enumerates

_MAY_SAY_THE_SAME = types_that("reorders", "exchanges", of="nouns")  # two nouns that change places can be any of these
_SAME_TEXTS: frozenset[BackendName] = frozenset(("rules", "choice"))  # they enumerate the same ones


@dataclass(frozen=True)
class Caption:
    """A caption to rewrite, for all rows of the dataset with this text."""

    caption_ids: tuple[int, ...]
    text: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    unusable: str | None = None
    """Why nobody is asked about it (`degla.generate.routing.unusable`)."""


@dataclass
class Tally:
    """Counts so far, for people."""

    captions: int = 0
    """Captions that have all their rows."""
    begun: int = 0
    """Captions asked about so far."""
    answered: int = 0
    """Rows that came back."""
    answered_of_captions: int = 0
    """Those of `captions`."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows asked of a back end, by type."""
    usable: Counter[str] = field(default_factory=Counter)
    """Rows whose text passes the judge and is new to its caption, by type."""
    refused: Counter[str] = field(default_factory=Counter)
    """Rows without a usable text, by rule or status."""


class Asking:
    """Asks back ends about captions and yields each caption with its rows.

    Args:
        config: types, attempts and the number of rewrites wanted.
        chain: the back end of each attempt.
        verdicts: judges every text.
    """

    def __init__(self, config: GenerateConfig, chain: Sequence[Backend], verdicts: Verdicts) -> None:
        self.tally = Tally()
        self._config, self._chain, self._verdicts = config, chain, verdicts
        self._dialogues: dict[int, _Dialogue] = {}
        self._open: Counter[int] = Counter()  # position in _backends to open rows
        self._backends = list({id(backend): backend for backend in chain}.values())
        self._unjudged: list[Rewrite] = []
        self._judging: tuple[list[Rewrite], list[Rewrite], Future[list[str | None]]] | None = None  # rows, what may follow them
        self._alone = set(config.attempts) == {"rules"}  # beside the judge these take a fifth more of a core, for Python's lock
        self._done: list[_Dialogue] = []
        self._first_answers = FirstAnswers(config.useless_answers)
        self._began = time.monotonic()

    def answered(
        self, captions: Iterator[Caption], between: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Caption, list[Rewrite]]]:
        """Yield every caption with its rows, in the order in which they finish.

        Captions are taken from the iterator only while the first back end has room. `between` is called whenever answers have
        come in, also while no caption has all of its own. Raises ConfigError if a back end answers and
        none of its answers can be used.
        """
        self._began = time.monotonic()
        with ThreadPoolExecutor(1, "judge") as pool:
            more = True
            while more or self._dialogues:
                more = more and self._start_captions(captions)
                self._collect()
                self._judge_some(pool, wait=not self._open.total())
                between()
                for dialogue in self._done:
                    self.tally.captions += 1
                    self.tally.answered_of_captions += sum(row.status != "inapplicable" for row in dialogue.rows)
                    yield dialogue.caption, dialogue.rows
                self._done = []

    def _start_captions(self, captions: Iterator[Caption]) -> bool:
        """Take captions while there is room; returns whether there may be more."""
        room = self._room()
        waiting = max(room, min(_BATCH, round(_JUDGE_WITHIN * self._rate())))
        while self._open.total() < room and self._open.total() + len(self._unjudged) < waiting:
            caption = next(captions, None)
            if caption is None:
                return False
            self.tally.begun += 1
            dialogue = _Dialogue(caption, self._config, self._chain, self.tally.usable)
            self._dialogues[caption.caption_ids[0]] = dialogue
            self._go_on(dialogue, dialogue.start())
        return True

    def _room(self) -> int:
        """Rows that may be open: what keeps the first back end busy, and what it answers in 5 seconds."""
        first = self._chain[0]
        return max(first.least, min(first.capacity, round(_AHEAD * self._rate())))

    def _rate(self) -> float:
        """Rows answered a second."""
        return self.tally.answered / max(time.monotonic() - self._began, 1.0)

    def _go_on(self, dialogue: _Dialogue, requests: list[Request]) -> None:
        """Send a caption's next requests to their back ends; without any, it is done."""
        if not requests:
            del self._dialogues[dialogue.caption.caption_ids[0]]
            dialogue.notes.clear()
            self._done.append(dialogue)
            return
        by_backend: dict[int, list[Request]] = {}
        for request in requests:
            self.tally.rows[request.type] += 1
            by_backend.setdefault(self._backends.index(self._chain[request.turn]), []).append(request)
        for place, group in by_backend.items():
            self._open[place] += len(group)
            self._backends[place].submit(group)

    def _collect(self) -> None:
        for place, backend in enumerate(self._backends):
            if not self._open[place]:
                continue
            rows = backend.collect()
            self._open[place] -= len(rows)
            self.tally.answered += sum(row.status != "inapplicable" for row in rows)
            for row in rows:
                if row.status != "ok":
                    self._take(row, None)
                    continue
                text, known = _text(row), self._dialogues[row.request.caption_id].known
                if text in known:
                    self._take(row, known[text])
                else:
                    self._unjudged.append(row)

    def _take(self, row: Rewrite, refused: str | None) -> None:
        self._first_answers.count(self._config.attempts[row.request.turn], row, refused)
        dialogue = self._dialogues[row.request.caption_id]
        if dialogue.take(row, refused):
            self._go_on(dialogue, dialogue.next())
        if refused or row.status != "ok":
            self.tally.refused[refused or row.status] += 1

    def _judge_some(self, pool: ThreadPoolExecutor, wait: bool) -> None:
        """Judge texts in batches beside the engine; `wait`: no row is open, so wait for the verdicts."""
        if self._judging and (wait or self._judging[-1].done()):
            rows, following, future = self._judging
            self._judging, verdicts = None, future.result()
            for row, refused in zip(following, verdicts[len(rows) :], strict=True):
                self._dialogues[row.request.caption_id].known[_text(row)] = refused
            for row, refused in zip(rows, verdicts, strict=False):
                self._take(row, refused)
        enough = min(_BATCH // 2, max(self._chain[0].least // 2, round(_JUDGE_EVERY * self._rate())))
        if self._first_answers.none_is_useful_yet(self._config.attempts[0]):
            enough = min(enough, self._config.useless_answers)
        if self._judging is None and self._unjudged and (wait or len(self._unjudged) >= enough or not self._open.total()):
            rows, self._unjudged = self._unjudged[:_BATCH], self._unjudged[_BATCH:]
            following = [Rewrite(row.request, row.origin, "ok", text) for row in rows for text in row.following]
            future = pool.submit(self._verdicts, rows + following)
            self._judging = rows, following, future
            if self._alone:
                future.exception()  # waits


_Text = tuple[NegativeType, str | None, str | None]


def _text(row: Rewrite) -> _Text:
    """What of a row the verdict depends on, beside its caption."""
    return row.request.type, row.text, row.finish


class _Dialogue:
    """All requests and answers of one caption; decides what to ask next."""

    def __init__(self, caption: Caption, config: GenerateConfig, chain: Sequence[Backend], usable: Counter[str]) -> None:
        self.caption = caption
        self.rows: list[Rewrite] = []
        self.known: dict[_Text, str | None] = {}  # verdicts on texts that may be answered yet
        self.notes: dict[Hashable, Any] = {}  # of back ends
        self._num_usable = usable  # of all captions, by type
        self._config, self._chain = config, chain
        self._texts: dict[str, str] = {}  # usable texts, by what they say
        self._possible: list[NegativeType] = []  # types that the caption can have
        self._refused: defaultdict[NegativeType, list[str]] = defaultdict(list)  # refused or repeated texts
        self._num_asked: Counter[str] = Counter()  # candidates by type
        self._gave: defaultdict[NegativeType, set[BackendName]] = defaultdict(set)  # who gave a usable text
        self._spent: defaultdict[NegativeType, set[BackendName]] = defaultdict(set)  # who is not asked for the type again
        self._draws: dict[NegativeType, bytes] = {}
        self._round: dict[RowKey, tuple[Rewrite, str | None] | None] = {}

    def start(self) -> list[Request]:
        """The first round: types that the caption can have. The others get a row `inapplicable`."""
        for negative_type in self._config.types:
            reason = self.caption.unusable or unanswerable(self.caption.tags, negative_type)
            if reason:
                origin = self._chain[0].origin(negative_type)
                self.rows.append(Rewrite(self._request(negative_type, 0, 1, 0), origin, "inapplicable", error=reason))
            else:
                self._possible.append(negative_type)
        return self._ask(self._more())

    def take(self, row: Rewrite, refused: str | None) -> bool:
        """Take an answer; returns whether the round is complete."""
        self._round[row.request.key] = (row, refused)
        return all(self._round.values())

    def next(self) -> list[Request]:
        """Record the complete round; returns what to ask next, nothing if the caption is done."""
        again = [request for answer in self._round.values() if answer and (request := self._look_at(*answer))]
        self._round = {}
        return self._ask(again or self._more())

    def _look_at(self, row: Rewrite, refused: str | None) -> Request | None:
        """Record a row; returns the request to make if it gave nothing usable and another back end can be asked."""
        self.rows.append(row)
        request = row.request
        if row.text is not None:
            said = what_is_said(row.text)
            if refused is None and said not in self._texts:
                self._texts[said] = row.text
                self._num_usable[request.type] += 1
                self._gave[request.type].add(self._config.attempts[request.turn])
                return None
            self._refused[request.type].append(row.text)
        turn = self._next_turn(row)
        return None if turn is None else self._request(request.type, request.candidate, request.attempt + 1, turn)

    def _next_turn(self, row: Rewrite) -> int | None:
        """Position in the chain of the back end to ask after a useless row, or None.

        A back end that enumerates gives its next text. Not asked for the type again, for this or another candidate: one that
        cannot be sent the caption; those that enumerate, when they have no further text; one whose answers were all useless.
        """
        names, request = self._config.attempts, row.request
        turn, spent = request.turn, self._spent[request.type]
        enumerates = self._chain[turn].enumerates
        if enumerates and row.status == "ok" and request.attempt < _MOST_PROPOSALS:
            return turn
        if row.status == "inapplicable":
            spent.add(names[turn])
        elif enumerates:
            spent |= _SAME_TEXTS
        elif names[turn] not in names[turn + 1 :] and names[turn] not in self._gave[request.type]:
            spent.add(names[turn])
        return self._first_turn(request.type, turn + 1)

    def _first_turn(self, negative_type: NegativeType, start: int = 0) -> int | None:
        """The first position in the chain, from `start` on, of a back end that is not spent for the type."""
        names, spent = self._config.attempts, self._spent[negative_type]
        for turn in range(start, len(names)):
            if names[turn] not in spent:
                return turn
        return None

    def _more(self) -> list[Request]:
        """A first rewrite of each type, then another one of types that may have one."""
        types = [each for each in self._possible if not self._num_asked[each]] or self._types_for_more()
        alike = [each for each in types if each in _MAY_SAY_THE_SAME]
        requests = []
        for negative_type in types:
            if negative_type not in alike[1:]:
                turn = self._first_turn(negative_type) or 0
                requests.append(self._request(negative_type, self._num_asked[negative_type], 1, turn))
                self._num_asked[negative_type] += 1
        return requests

    def _types_for_more(self) -> list[NegativeType]:
        """As many types as rewrites are missing, the least asked first."""
        wanted = max(0, self._config.per_caption - len(self._texts))
        most = self._config.max_per_type
        types = [each for each in self._possible if self._num_asked[each] < most and self._first_turn(each) is not None]
        types.sort(key=lambda each: (self._num_asked[each], self._shuffled(each)))
        return types[:wanted]

    def _ask(self, requests: list[Request]) -> list[Request]:
        self._round = dict.fromkeys((request.key for request in requests), None)
        return requests

    def _request(self, negative_type: NegativeType, candidate: int, attempt: int, turn: int) -> Request:
        caption = self.caption
        return Request(
            caption.caption_ids[0],
            caption.text,
            caption.tokens,
            caption.tags,
            negative_type,
            candidate,
            attempt,
            row_seed(self._config.seed, caption.text, negative_type, candidate, attempt),
            turn,
            (*self._texts.values(), *self._refused[negative_type]),
            self.notes,
        )

    def _shuffled(self, negative_type: NegativeType) -> bytes:
        if negative_type not in self._draws:
            drawn = f"{self._config.seed}|{negative_type}|{self.caption.text}".encode()
            self._draws[negative_type] = hashlib.blake2b(drawn, digest_size=8).digest()
        return self._draws[negative_type]
