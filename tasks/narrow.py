"""Tables of a Markdown text that fit the dashboard's column. It neither wraps cells nor shows a scroll bar: what is wider is cut.

Columns of text that do not fit become a list below their table; rows named by paths are grouped by the first part of them;
columns of numbers that still do not fit become a second table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

WIDTH = 112
"""Characters of 7.3 pixels: the default dashboard's column is 840 pixels wide in a window of 1,400."""
_PADDING = 3.3  # characters to both sides of a cell: 24 pixels
_CELLS = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_WORD = re.compile(r"[A-Za-z]{3}")
_Table = Sequence[Sequence[str]]


def narrow(markdown: str, width: float = WIDTH) -> str:
    """The text with tables of at most `width` characters, as far as two columns allow."""
    made: list[str] = []
    table: list[str] = []
    in_code = False
    for line in [*markdown.splitlines(), ""]:
        in_code ^= line.lstrip().startswith("```")
        if line.startswith("|") and not in_code:
            table.append(line)
            continue
        if table:
            made += _fitted([_split(each) for each in table], width)
            table = []
        made.append(line)
    return "\n".join(made[:-1]) + ("\n" if markdown.endswith("\n") else "")


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in _CELLS.split(line.strip())[1:-1]]


def _fitted(table: _Table, width: float) -> Iterator[str]:
    header, _, *rows = table
    named_by = 1 if len({row[0] for row in rows}) == len(rows) else 2  # columns that tell the rows apart
    inside, widths = list(range(len(header))), _widths(table)
    while sum(widths[column] for column in inside) > width:
        texts = [column for column in inside[named_by:] if any(_WORD.search(_plain(row[column])) for row in rows)]
        if not texts:
            break
        inside.remove(max(texts, key=lambda column: widths[column]))
    kept = [[row[column] for column in inside] for row in table]
    if sum(widths[column] for column in inside) > width and all("/" in row[0] for row in kept[2:]):
        yield from _grouped(kept, width)
    else:
        yield from _in_parts(kept, width)
    moved = [column for column in range(len(header)) if column not in inside]
    if moved:
        yield ""
    for row in rows:
        told = "; ".join(f"{header[column]}: {row[column]}" for column in moved if row[column] not in ("", "-"))
        if told:
            yield f"- **{' '.join(row[:named_by]).replace('**', '')}**: {told}"


def _grouped(table: _Table, width: float) -> Iterator[str]:
    header, rules, *rows = table
    for number, (group, own) in enumerate(groupby(rows, lambda row: row[0].strip("`").split("/")[0])):
        yield from [""] if number else []
        yield from (f"**{group}**", "")
        inner = [[row[0].replace(f"{group}/", "", 1), *row[1:]] for row in own]
        yield from _in_parts([header, rules, *inner], width)


def _in_parts(table: _Table, width: float) -> Iterator[str]:
    """The table, in as many as its columns need, each with the first column."""
    first, *others = _widths(table)
    parts: list[list[int]] = [[]]
    for column, own in enumerate(others, 1):
        if parts[-1] and first + sum(others[each - 1] for each in parts[-1]) + own > width:
            parts.append([])
        parts[-1].append(column)
    for number, columns in enumerate(parts):
        yield from [""] if number else []
        yield from ("| " + " | ".join(row[column] for column in (0, *columns)) + " |" for row in table)


def _widths(table: _Table) -> list[float]:
    header, _, *rows = table
    return [max(len(_plain(row[column])) for row in (header, *rows)) + _PADDING for column in range(len(header))]


def _plain(cell: str) -> str:
    return _LINK.sub(r"\1", cell).replace("**", "").replace("`", "").replace("\\", "")
