"""What people see while rewrites are made: rows by type, rates, the cache's hit rate, reasons for refusal, time left.

Sums the statistics of this machine's workers, and counts the parts that exist.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from degla.files import finished_files, write_text_atomic
from degla.generate.worker import WORKERS
from degla.progress import duration
from degla.units import Units

logger = logging.getLogger(__name__)

MEASURED = "measured.json"

_LOOK_EVERY = 2.0  # seconds
_PROBE = 200  # rows of an engine or server after which measured rates replace the estimate
_KNOWN = 20  # captions with all their rows, before which it is not known how many rows a caption takes


class Watcher:
    """Watches the workers of one artifact from a thread, while a `with` block runs.

    Args:
        folder: the artifact in the making.
        units: of its distinct captions.
        most_rows: that a caption takes, as long as nothing is known.
    """

    def __init__(self, folder: Path, units: Units, most_rows: int) -> None:
        self._folder, self._units, self._most_rows = folder, units, most_rows
        self._done = 0
        self._resumed = units.num_done()
        self._before = {path.name for path in finished_files(folder / WORKERS, "*.json")}
        self._progress = units.progress(folder, "rewriting captions", "distinct captions")
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
            write_text_atomic(self._folder / MEASURED, json.dumps(add_up(self._statistics()), indent=2))

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            try:
                self._look()
            except OSError as error:  # storage that fails now may work again; the workers say if it does not
                logger.warning("cannot report progress: %s", error)

    def _look(self) -> None:
        total = add_up(self._statistics())
        worth = self._resumed + total["captions"] + captions_worth(total, self._most_rows)
        finished = self._units.num_done()
        most = self._units.total - (finished < self._units.total)  # rows are an estimate, and the whole is no estimate's to say
        self._done = min(max(self._done, finished, worth), most)
        self._progress.to(self._done, describe(total), steady=total["captions"] >= _KNOWN)
        if total["engine_rows"] >= _PROBE and total["captions"] >= _KNOWN and not self._probed:
            self._probed = True
            rates = measured_rates(total, self._units.total - self._resumed)
            logger.info("measured after %s rows: %s", f"{total['engine_rows']:,}", rates)

    def _statistics(self) -> list[dict[str, Any]]:
        paths = finished_files(self._folder / WORKERS, "*.json")
        return [json.loads(path.read_text()) for path in paths if path.name not in self._before]


def add_up(statistics: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The workers' statistics as one."""
    workers = list(statistics)
    rows, usable, refused = Counter[str](), Counter[str](), Counter[str]()
    for each in workers:
        rows.update(each["tally"]["rows"])
        usable.update(each["tally"]["usable"])
        refused.update(each["tally"]["refused"])
    seconds = sum(each["seconds"] for each in workers)
    engine_rows, output = (sum(each[name] for each in workers) for name in ("rows", "output_tokens"))
    prompt, cached = (sum(each[name] for each in workers) for name in ("prompt_tokens", "cached_tokens"))
    return {
        **{
            name: sum(each["tally"][name] for each in workers)
            for name in ("captions", "begun", "answered", "answered_of_captions")
        },
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
    parts = [f"{total['answered']:,} rows of {total['begun']:,} captions"] if total["begun"] > total["captions"] else []
    parts += ["usable: " + ", ".join(types)] if types else []
    if total["refused"]:
        most = list(total["refused"].items())[:3]
        parts.append("refused most: " + ", ".join(f"{name} {count:,}" for name, count in most))
    if total["engine_seconds"]:
        parts.append(f"{total['engine_rows'] / total['engine_seconds']:,.1f} rows/s a worker")
    if total["hit_rate"] is not None and total["cached_tokens"]:
        parts.append(f"prefix cache {total['hit_rate']:.3f}")
    return "; ".join(parts)


def captions_worth(total: dict[str, Any], most_rows: int) -> int:
    """How many captions the rows are worth that captions in the middle of their rows have got: without them nothing would be
    done before the first caption is, and captions come together at the end."""
    begun = total["begun"] - total["captions"]
    rows = total["answered"] - total["answered_of_captions"]
    return int(min(begun, rows / _rows_per_caption(total, most_rows))) if begun else 0


def _rows_per_caption(total: dict[str, Any], most_rows: int) -> float:
    known = total["captions"] >= _KNOWN
    return max(total["answered_of_captions"] / total["captions"] if known else most_rows, 1.0)


def measured_rates(total: dict[str, Any], num_captions: int) -> str:
    """Rates so far, and the engine hours that the rows left of `num_captions` will take at them."""
    rate = total["engine_rows"] / max(total["engine_seconds"], 1e-9)
    tokens = total["output_tokens"] / max(total["engine_seconds"], 1e-9)
    left = max(0.0, _rows_per_caption(total, 1) * num_captions - total["answered"])
    left *= total["engine_rows"] / max(total["answered"], 1)
    cache = f", prefix cache {total['hit_rate']:.3f}" if total["cached_tokens"] else ""  # many servers do not tell
    return (
        f"{rate:,.1f} rows/s and {tokens:,.0f} output tokens/s a worker{cache}:"
        f" about {left:,.0f} rows left, {duration(left / rate)} of engine time"
    )
