"""Whether a run's answers are of any use: one that makes nothing stops early, or at its end, and shows what it was told.

A model behind the wrong chat template, or one that only thinks, answers every request and gives not one rewrite.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from degla.database import Database
from degla.errors import ConfigError, DataError
from degla.generate.backend import Origin, Request, Rewrite
from degla.generate.verdicts import verdicts

_SHOWN = 3  # answers
_CHARACTERS = 100  # of each
_JUDGED = 500  # rewrites of a finished run at once, until one can be used

_WHAT_TO_DO = (
    "Look at what the model writes: a reasoning model must be told not to think, and a model under about a billion parameters"
    ' rarely rewrites (docs/generation.md, "Which model"). Further attempts with choice or rules make what it does not.'
)


class FirstAnswers:
    """Counts the answers of each back end until one of them can be used.

    Args:
        most: answers after which a back end without a usable one stops the run; 0 never stops it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._useless: dict[str, list[str]] = {}
        self._num_useless = Counter[str]()
        self._useful: set[str] = set()

    def none_is_useful_yet(self, name: str) -> bool:
        """Whether a back end has given nothing usable so far, so that its answers should be judged soon."""
        return self._most > 0 and name not in self._useful

    def count(self, name: str, row: Rewrite, refused: str | None) -> None:
        """Take an answer of the back end `name`, and the rule that refuses it.

        Raises:
            ConfigError: none of the first `most` answers can be used; three are shown.
        """
        written = row.text if row.answer is None else row.answer
        if name in self._useful or written is None or not self._most:
            return
        if row.status == "ok" and refused is None:
            self._useful.add(name)
            return
        shown = self._useless.setdefault(name, [])
        if len(shown) < _SHOWN:
            shown.append(_line(row.request.caption, written, refused or row.error or row.status))
        self._num_useless[name] += 1
        if self._num_useless[name] >= self._most:
            raise ConfigError(
                f"{name}: none of the first {self._most} answers ({row.origin.generator}) can be used, for example\n"
                + "\n".join(shown)
                + f"\n{_WHAT_TO_DO} generate.useless_answers=0 asks on."
            )


def check_asked(not_asked: Mapping[str, int], num_captions: int) -> None:
    """Raises DataError if nobody was asked about any caption, with the reasons (`degla.generate.routing.unusable`)."""
    if sum(not_asked.values()) == num_captions:
        listed = ", ".join(f"{reason} {count:,}" for reason, count in not_asked.items())
        raise DataError(f"none of the {num_captions:,} captions can have a negative: {listed}. See docs/generation.md.")


def any_useful(statistics: Iterable[Path]) -> bool:
    """Whether a worker has told of a rewrite that the judge accepts (`degla.generate.worker.WorkerStatistics`)."""
    return any(any(json.loads(path.read_text())["tally"]["usable"].values()) for path in statistics)


def check_useful(database: Database, asked: Path, uses: Path) -> None:
    """Look at the rewrites of a finished run.

    Args:
        database: with the table `generated`, of `degla.schemas.REWRITES`.
        asked: the distinct captions.
        uses: how the captions use their words.

    Raises:
        DataError: nothing was answered, or nothing that was answered can be used.
    """
    again = f"{_WHAT_TO_DO} None of these rows is kept: mend the cause and run again."
    judged: list[tuple[Rewrite, str | None]] = []
    while rows := database.rows(f"{_TEXTS} limit {_JUDGED} offset {len(judged)}"):
        captions = _captions(asked, {row[0] for row in rows})
        rewrites = [
            Rewrite(Request(number, *captions[number], kind, 0, 1, 0), Origin(generator, ""), "ok", text, finish)
            for number, kind, text, finish, generator in rows
        ]
        refused = verdicts(rewrites, pq.read_table(uses))
        if not all(refused):
            return
        judged += zip(rewrites, refused, strict=True)
    if judged:
        shown = "\n".join(_line(row.request.caption, row.text or "", rule or "") for row, rule in judged[:_SHOWN])
        raise DataError(f"no rewrite can be used: the judge refuses all {len(judged):,}, for example\n{shown}\n{again}")
    reasons = "\n".join(f"  {count:,} rows {status}: {reason}" for status, reason, count in database.rows(_REASONS))
    raise DataError(f"no caption has a rewrite. Most frequent reasons:\n{reasons}\n{again}")


_TEXTS = """
select caption_id, type, text, finish, generator from generated where status = 'ok'
order by caption_id, type, candidate, attempt
"""
_REASONS = f"""
select status, coalesce(error, status), count(*) from generated where status <> 'ok' group by all order by 3 desc, 2
limit {_SHOWN}
"""


def _captions(asked: Path, wanted: set[int]) -> dict[int, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    found: dict[int, tuple[str, tuple[str, ...], tuple[str, ...]]] = {}
    for batch in pq.ParquetFile(asked).iter_batches():
        for row in batch.to_pylist():
            for number in wanted.intersection(row["caption_ids"]):
                found[number] = row["caption"], tuple(row["tokens"]), tuple(row["tags"])
        if len(found) == len(wanted):
            break
    return found


def _line(caption: str, written: str, why: str) -> str:
    return f"  {_short(caption)!r}: {_short(written)!r} ({why})"


def _short(text: str) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= _CHARACTERS else f"{line[:_CHARACTERS]}..."
