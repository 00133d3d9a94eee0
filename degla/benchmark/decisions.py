"""What people said of items: a log that only grows, so that nothing is overwritten.

A line of `decisions.jsonl` is one decision: who, when, of which item, on which texts. The first line names the benchmark. Of a
person the last decision on an item counts. One `drop` drops an item, whoever else keeps it: an item that anybody doubts is of no
use. Of fixes the last one counts. Several processes may write: each line under a lock, flushed to disk before it is confirmed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from degla.benchmark.folder import PAIRS, BenchmarkFolder, Item, write_lines
from degla.errors import DataError, StorageError, is_storage_error
from degla.text.clip_tokens import CONTEXT, exceeds_clip
from degla.text.edits import what_is_said
from degla.text_files import parse_json, shown

Verdict = Literal["keep", "drop", "fix"]
LOG = "decisions.jsonl"


class Conflict(DataError):
    """Somebody else changed the item after it was shown."""


@dataclass(frozen=True)
class Decision:
    """One line of the log."""

    item: str
    reviewer: str
    verdict: Verdict
    caption: str
    """As it was shown; of a fix, as it is to be."""
    negative: str
    when: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class State:
    """An item, and what was said of it so far."""

    item: Item
    """With what was fixed."""
    verdicts: Mapping[str, Decision]
    """Reviewer to their last decision."""

    @property
    def verdict(self) -> Verdict | None:
        """`drop` if anybody drops it, else `fix` if it was changed, else `keep`; None if nobody looked."""
        said = {each.verdict for each in self.verdicts.values()}
        return next((verdict for verdict in ("drop", "fix", "keep") if verdict in said), None)


class Decisions:
    """The decisions on a benchmark.

    Args:
        folder: the benchmark.

    Raises:
        DataError: the log is of another benchmark, or a line is broken.
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: BenchmarkFolder) -> None:
        self._folder, self._path = folder, folder.path / LOG
        self._items = {item.id: item for item in folder.items}
        with self._locked():
            self._read()

    def states(self) -> list[State]:
        """Every item with its decisions, in the benchmark's order."""
        with self._locked():
            return self._states(self._read())

    def add(self, item: str, reviewer: str, verdict: str, seen: tuple[str, str], texts: tuple[str, str] | None = None) -> State:
        """Record a decision; it is on disk when this returns.

        Args:
            item: its id.
            reviewer: who decided.
            verdict: `keep`, `drop` or `fix`.
            seen: caption and negative as they were shown.
            texts: of a fix, caption and negative as they are to be.

        Returns:
            The item after it.

        Raises:
            Conflict: the texts are no longer those that were shown.
            DataError: there is no such item or verdict, or a fix is no pair of texts.
            StorageError: it could not be saved.
        """
        if item not in self._items:
            raise DataError(f"the benchmark has no item {item!r}")
        if verdict not in get_args(Verdict):
            raise DataError(f"verdict {verdict!r}: expected one of {', '.join(get_args(Verdict))}")
        caption, negative = _checked(texts) if verdict == "fix" else seen
        with self._locked():
            before = self._states(self._read())
            state = next(each for each in before if each.item.id == item)
            if (state.item.caption, state.item.negative) != seen:
                raise Conflict(f"item {item} was changed in the meantime by {_who_fixed(state)}; look at it again")
            when = datetime.now(UTC).isoformat(timespec="seconds")
            decision = Decision(item, reviewer, verdict, caption, negative, when)  # type: ignore[arg-type]
            self._append(asdict(decision))
            after = self._states(self._read())
            write_lines(self._folder.path / PAIRS, map(_pair, (each for each in after if each.verdict != "drop")))
        return next(each for each in after if each.item.id == item)

    def _states(self, decisions: Sequence[Decision]) -> list[State]:
        items, last = dict(self._items), {item: dict[str, Decision]() for item in self._items}
        for each in decisions:
            last[each.item][each.reviewer] = each
            if each.verdict == "fix":
                items[each.item] = replace(items[each.item], caption=each.caption, negative=each.negative)
        return [State(items[name], last[name]) for name in items]

    def _read(self) -> list[Decision]:
        if not self._path.is_file():
            return []
        *lines, _ = self._path.read_bytes().split(b"\n")  # what follows the last newline is of a process that was killed
        if not lines:
            return []
        rows = [self._row(line, number) for number, line in enumerate(lines, 1)]
        if rows[0].get("benchmark") != self._folder.id:
            raise DataError(
                f"{self._path} has decisions on the benchmark {rows[0].get('benchmark')!r}, this one is {self._folder.id!r}."
                f" Put the file back where it belongs, or remove it."
            )
        try:
            decisions = [Decision(**row) for row in rows[1:]]
        except TypeError as error:
            raise DataError(f"{self._path}: a line is no decision: {error}") from error
        strange = next((each.item for each in decisions if each.item not in self._items), None)
        if strange is not None:
            raise DataError(f"{self._path} has a decision on item {strange!r}, which the benchmark lacks")
        return decisions

    def _row(self, line: bytes, number: int) -> dict[str, Any]:
        where = f"{self._path}, line {number}"
        row = parse_json(line.decode("utf-8", "replace"), where)
        if not isinstance(row, dict):
            raise DataError(f"{where}: {shown(row)} is no decision")
        return row

    def _append(self, row: Mapping[str, object]) -> None:
        whole = self._path.read_bytes() if self._path.is_file() else b""
        end = whole.rfind(b"\n") + 1
        lines = [] if end else [json.dumps({"benchmark": self._folder.id, "name": self._folder.name})]
        with self._path.open("r+b" if whole else "wb") as file:
            file.seek(end)
            file.truncate()
            file.write("".join(f"{line}\n" for line in [*lines, json.dumps(row, ensure_ascii=False)]).encode())
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with (self._folder.path / f"{LOG}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            if is_storage_error(error):
                raise StorageError(f"cannot save below {self._folder.path}: {error}. Free space, or make it writable.") from error
            raise


def _checked(texts: tuple[str, str] | None) -> tuple[str, str]:
    caption, negative = (" ".join(text.split()) for text in texts or ("", ""))
    for name, text in (("caption", caption), ("negative", negative)):
        if not text:
            raise DataError(f"the {name} is empty")
        if exceeds_clip(text):
            raise DataError(f"the {name} has more than the {CONTEXT} tokens that CLIP reads")
    if what_is_said(caption) == what_is_said(negative):
        raise DataError("both texts say the same")
    return caption, negative


def _who_fixed(state: State) -> str:
    return ", ".join(sorted(each.reviewer for each in state.verdicts.values() if each.verdict == "fix")) or "somebody"


def _pair(state: State) -> dict[str, object]:
    said = sorted(state.verdicts.values(), key=lambda each: each.when)
    checked = [{"reviewer": each.reviewer, "verdict": each.verdict, "when": each.when} for each in said]
    return asdict(state.item) | {"verdict": state.verdict or "unchecked", "checked": checked}
