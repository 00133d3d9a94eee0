"""The metrics file of a run: one JSON line now and then, none twice however often the run is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from degla.files import write_text_atomic


class MetricsFile:
    """Appends lines to `metrics.jsonl`; lines after the step that training goes on from are removed first.

    Args:
        path: the file.
        step: steps done; 0 at the start.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._start, self._samples = time.monotonic(), 0
        write_text_atomic(path, "".join(f"{line}\n" for line in _lines(path) if json.loads(line)["step"] <= step))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append one line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def _lines(path: Path) -> list[str]:
    """Whole lines; a killed process may have left half of one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
