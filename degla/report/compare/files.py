"""The files of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from degla.files import write_text_atomic
from degla.report.compare.comparison import Comparison
from degla.report.compare.latex import latex
from degla.report.compare.layouts import tables
from degla.report.compare.markdown import markdown
from degla.report.compare.records import as_json, scores_csv, table_csv


def write(comparison: Comparison, folder: Path, forms: Sequence[str]) -> list[Path]:
    """Write the comparison to a folder in these forms; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for form in forms:
        for name, text in _files(comparison, form):
            write_text_atomic(folder / name, text)
            written.append(folder / name)
    return written


def _files(comparison: Comparison, form: str) -> Iterator[tuple[str, str]]:
    name, make = FORMS[form]
    yield name, make(comparison)
    if form == "csv":
        for table in tables(comparison):
            yield f"{table.name}.csv", table_csv(table)


FORMS: dict[str, tuple[str, Callable[[Comparison], str]]] = {
    "md": ("comparison.md", markdown),
    "csv": ("scores.csv", scores_csv),
    "json": ("comparison.json", as_json),
    "latex": ("tables.tex", latex),
}
"""Form to its file and what makes it; CSV also has a file for each of the papers' tables."""
