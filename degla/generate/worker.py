"""One worker of the generate stage: it claims units, asks for the rewrites of their captions, and writes their parts.

Several workers, on one machine or many, share one folder. The captions of the next unit are asked about while the last answers of
the current one come in, so that the engine is never idle between units.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import ConfigError
from degla.files import write_text_atomic
from degla.generate.asking import Asking, Caption, Tally
from degla.generate.backend import Rewrite, Usage
from degla.generate.backends import make_backends
from degla.generate.config import WITH_ENGINE, WITH_MODEL, GenerateConfig
from degla.generate.rules.vocabulary import Vocabulary
from degla.generate.verdicts import verdicts
from degla.schemas import REWRITES, write_table
from degla.units import Claims, Unit, Units

ASKED, VOCABULARY, WORD_USES, WORKERS, CLAIMS = "asked.parquet", "vocabulary.json", "word_uses.parquet", "workers", "claims"
"""In the artifact's folder: the distinct captions, the words that replacements may use, how the captions use words, the
workers' statistics, the units that workers are busy with."""

ASKED_GROUP = 2000
"""Rows in a row group of the distinct captions."""

ROWS_BEFORE_CHECK = 2000
"""Rows of a type before its hit rate is checked."""

_TELL_EVERY = 2.0  # seconds
_ALLOCATIONS = 10_000_000  # between garbage collections: rows make no cycles, and one of a million objects takes 0.2 s


@dataclass
class WorkerStatistics:
    """What one worker tells the process that started it, as a JSON file."""

    tally: Tally
    rows: int = 0
    """Rows answered by an engine or server."""
    seconds: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


def work(index: int, config: GenerateConfig, folder: Path, units: Units, devices: Sequence[str]) -> None:
    """Work on units until none is missing.

    Args:
        index: of the worker on this machine.
        config: the settings.
        folder: the artifact in the making.
        units: of all workers.
        devices: for each worker on this machine the GPUs it sees (CUDA_VISIBLE_DEVICES); empty leaves the variable alone.

    Raises:
        ConfigError: the prefix cache does not work as it must, or a model or prompt is wrong.
        PassingFault: an engine or server failed.
    """
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[index]
    pa.set_cpu_count(1)
    gc.set_threshold(_ALLOCATIONS)
    with Claims(units, folder / CLAIMS) as claims:
        if units.missing():
            _Worker(config, folder, units, claims).run()


class _Worker:
    def __init__(self, config: GenerateConfig, folder: Path, units: Units, claims: Claims) -> None:
        self._config, self._folder, self._units, self._claims = config, folder, units, claims
        self._backends = make_backends(config, Vocabulary.load(folder / VOCABULARY))
        uses = pq.read_table(folder / WORD_USES)
        self._asking = Asking(config, [self._backends[name] for name in config.attempts], partial(verdicts, uses=uses))
        self._unit_of: dict[int, Unit] = {}  # by first caption id
        self._left: dict[Unit, int] = {}  # captions without rows
        self._rows: dict[Unit, list[tuple[Caption, list[Rewrite]]]] = {}
        self._written: list[Path] = []
        self._last_told = 0.0

    def run(self) -> None:
        try:
            more = True
            while more:
                for caption, rows in self._asking.answered(self._captions(), self._tell_sometimes):
                    self._take(caption, rows)
                more = self._claims.wait()
            self._tell()
        except ConfigError:
            if not self._asking.tally.usable.total():
                for path in self._written:
                    path.unlink(missing_ok=True)  # of no use, and not to be kept for the next try
            raise
        finally:
            for backend in self._backends.values():
                backend.close()

    def _captions(self) -> Iterator[Caption]:
        for unit in self._claims.free():
            captions = _read_unit(self._folder / ASKED, unit)
            self._left[unit], self._rows[unit] = len(captions), []
            for caption in captions:
                self._unit_of[caption.caption_ids[0]] = unit
                yield caption

    def _take(self, caption: Caption, rows: list[Rewrite]) -> None:
        unit = self._unit_of.pop(caption.caption_ids[0])
        self._rows[unit].append((caption, rows))
        self._left[unit] -= 1
        if not self._left[unit]:
            self._written.append(self._units.path(unit))
            write_table(self._units.path(unit), _table(self._rows.pop(unit), self._config), REWRITES)
            self._claims.release(unit)

    def _tell_sometimes(self) -> None:
        if time.monotonic() - self._last_told >= _TELL_EVERY:
            self._tell()

    def _tell(self) -> None:
        self._last_told = time.monotonic()
        found = WorkerStatistics(self._asking.tally)
        for name in WITH_MODEL & set(self._backends):
            usage = self._backends[name].usage
            found.rows += usage.rows
            found.seconds = max(found.seconds, usage.seconds)
            found.prompt_tokens += usage.prompt_tokens
            found.output_tokens += usage.output_tokens
            found.cached_tokens += sum(usage.cached_tokens.values())
        path = self._folder / WORKERS / f"{socket.gethostname()}-{os.getpid()}.json"
        write_text_atomic(path, json.dumps(vars(found) | {"tally": vars(found.tally)}))
        for name in WITH_ENGINE & set(self._backends):
            check_hit_rate(self._backends[name].usage, self._config.min_hit_rate)


def check_hit_rate(usage: Usage, least: float) -> None:
    """Stop a run whose prompts do not come from the prefix cache: it would cost many times the estimate.

    Raises:
        ConfigError: names the type, its hit rate and the likely cause.
    """
    for negative_type, total in usage.prompt_tokens_by_type.items():
        rate = usage.cached_tokens.get(negative_type, 0) / max(total, 1)
        rows = usage.rows_by_type.get(negative_type, 0)
        if rows < ROWS_BEFORE_CHECK or rate >= least:
            continue
        if rate == 0:
            cause = "prefix caching is off (engine.options), or something in front of the caption differs from row to row"
        elif rate < 0.5:
            cause = "the cache is too small for the prompts and they push each other out: give it more memory"
        else:
            cause = "the prompt's shared part is short against the caption: lower generate.min_hit_rate if that is meant"
        raise ConfigError(
            f"{negative_type}: only {rate:.2f} of the prompt tokens came from the prefix cache after"
            f" {rows:,} rows, expected at least {least:.2f}. Likely: {cause}."
        )


def _read_unit(path: Path, unit: Unit) -> list[Caption]:
    first, last = unit.start // ASKED_GROUP, (unit.stop - 1) // ASKED_GROUP
    table = pq.ParquetFile(path).read_row_groups(range(first, last + 1), use_threads=False)
    rows = table.slice(unit.start - first * ASKED_GROUP, unit.stop - unit.start).to_pylist()
    return [
        Caption(tuple(row["caption_ids"]), row["caption"], tuple(row["tokens"]), tuple(row["tags"]), row["unusable"])
        for row in rows
    ]


def _table(answered: Sequence[tuple[Caption, list[Rewrite]]], config: GenerateConfig) -> pa.Table:
    """The rows of a unit, once for each row of the dataset that has the caption, in an order that units do not change."""
    place = {negative_type: number for number, negative_type in enumerate(config.types)}

    def order(row: Rewrite) -> tuple[int, int, int]:
        return place[row.request.type], row.request.candidate, row.request.attempt

    found = []
    for caption, rows in sorted(answered, key=lambda each: each[0].caption_ids[0]):
        ordered = sorted(rows, key=order)
        found += [(caption_id, row) for caption_id in caption.caption_ids for row in ordered]
    columns = list(zip(*(_values(caption_id, row) for caption_id, row in found), strict=True)) or [()] * len(REWRITES)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, REWRITES, strict=True)], schema=REWRITES)


def _values(caption_id: int, row: Rewrite) -> tuple[Any, ...]:
    """The columns of REWRITES, in their order."""
    request, origin = row.request, row.origin
    return (
        caption_id,
        request.type,
        request.candidate,
        row.status,
        row.text,
        row.finish,
        row.mean_logprob,
        row.lm_gap,
        row.error,
        request.attempt,
        request.seed,
        origin.generator,
        origin.model_sha,
        origin.prompt_sha,
    )
