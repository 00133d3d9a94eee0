"""What a person sees while rewrites are made: rows by type, rates, the cache's hit rate, reasons of refusal, time left.

Adds up what the workers of this machine report and the parts that exist.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow.parquet as pq

from degla.files import finished_files, write_text_atomic
from degla.generate.config import GenerateConfig
from degla.generate.worker import ASKED, WORKERS
from degla.progress import Progress

logger = logging.getLogger(__name__)

MEASURED = "measured.json"

_LOOK_EVERY = 2.0  # seconds
_PROBE = 200  # rows of an engine or server after which what was measured takes the place of what was assumed


class Watcher:
    """Watches the workers of one artifact from a thread, while a `with` block runs.

    Args:
        folder: the artifact in the making.
        parts: its parts, of which some may exist.
        config: its settings.
    """

    def __init__(self, folder: Path, parts: Sequence[str], config: GenerateConfig) -> None:
        self._folder, self._parts, self._config = folder, parts, config
        metadata = pq.read_metadata(folder / ASKED)
        self._sizes = [metadata.row_group(unit).num_rows for unit in range(len(parts))]
        self._done = {unit for unit, part in enumerate(parts) if (folder / part).is_file()}
        self._resumed = self._captions_in_parts()
        self._before = {path.name for path in finished_files(folder / WORKERS, "*.json")}
        self._progress = Progress(folder, "rewriting captions", sum(self._sizes), "distinct captions", done=self._resumed)
        self._ended = threading.Event()
        self._probed = False
        self._thread = threading.Thread(target=self._watch, daemon=True, name="progress")
        (folder / WORKERS).mkdir(exist_ok=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        if error is None:
            self._look()
            write_text_atomic(self._folder / MEASURED, json.dumps(add_up(self._reports()), indent=2))

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        for unit, part in enumerate(self._parts):
            if unit not in self._done and (self._folder / part).is_file():
                self._done.add(unit)
        total = add_up(self._reports())
        in_parts, answered = self._captions_in_parts(), self._resumed + total["captions"]
        self._progress.to(min(max(in_parts, answered), sum(self._sizes)), describe(total))
        if total["engine_rows"] >= _PROBE and not self._probed:
            self._probed = True
            logger.info("measured after %s rows: %s", f"{total['engine_rows']:,}", measured_rates(total, answered, self._sizes))

    def _captions_in_parts(self) -> int:
        return sum(self._sizes[unit] for unit in self._done)

    def _reports(self) -> list[dict[str, Any]]:
        found = []
        for path in finished_files(self._folder / WORKERS, "*.json"):
            if path.name not in self._before:
                found.append(json.loads(path.read_text()))
        return found


def add_up(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The workers' reports as one."""
    rows, usable, refused = Counter[str](), Counter[str](), Counter[str]()
    for report in reports:
        rows.update(report["tally"]["rows"])
        usable.update(report["tally"]["usable"])
        refused.update(report["tally"]["refused"])
    seconds = sum(report["seconds"] for report in reports)
    engine_rows, output = (sum(report[name] for report in reports) for name in ("rows", "output_tokens"))
    prompt, cached = (sum(report[name] for report in reports) for name in ("prompt_tokens", "cached_tokens"))
    return {
        "captions": sum(report["tally"]["captions"] for report in reports),
        "rows": dict(sorted(rows.items())),
        "usable": dict(sorted(usable.items())),
        "refused": dict(refused.most_common()),
        "engine_rows": engine_rows,
        "engine_seconds": round(seconds, 1),
        "prompt_tokens": prompt,
        "cached_tokens": cached,
        "output_tokens": output,
        "hit_rate": round(cached / prompt, 4) if prompt else None,
    }


def describe(total: dict[str, Any]) -> str:
    """One line for people: usable rows of each type, what is refused most, the hit rate."""
    types = [f"{name} {100 * total['usable'].get(name, 0) / count:.0f} %" for name, count in total["rows"].items() if count]
    parts = ["usable: " + ", ".join(types)] if types else []
    if total["refused"]:
        most = list(total["refused"].items())[:3]
        parts.append("refused most: " + ", ".join(f"{name} {count:,}" for name, count in most))
    if total["engine_seconds"]:
        parts.append(f"{total['engine_rows'] / total['engine_seconds']:,.1f} rows/s a worker")
    if total["hit_rate"] is not None and total["cached_tokens"]:
        parts.append(f"prefix cache {total['hit_rate']:.3f}")
    return "; ".join(parts)


def measured_rates(total: dict[str, Any], answered: int, sizes: Sequence[int]) -> str:
    """What the first rows say of the rest: rates, and the engine hours left."""
    rate = total["engine_rows"] / max(total["engine_seconds"], 1e-9)
    per_caption = total["engine_rows"] / max(total["captions"], 1)
    hours = per_caption * (sum(sizes) - answered) / rate / 3600
    tokens = total["output_tokens"] / max(total["engine_seconds"], 1e-9)
    return (
        f"{rate:,.1f} rows/s and {tokens:,.0f} output tokens/s a worker, prefix cache {total['hit_rate'] or 0:.3f}:"
        f" {hours:,.2f} engine hours left"
    )
