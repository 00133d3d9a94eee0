"""Format `delimited`: text with a separator, with or without a header: CSV, TSV, Kaggle's `captions.txt`, Flickr30k's
`results.csv`, CC3M's TSV, open_clip's CSV, NegCLIP's TSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from degla.errors import DataError
from degla.sources.columns import Row, RowReader, choose_columns, looks_like_header
from degla.sources.dialect import Dialect, find_dialect, first_rows
from degla.sources.format import Format, Head, with_encoding
from degla.sources.options import Column, SourceOptions
from degla.sources.records import Record, Skipped
from degla.sources.text import lines_of

_SAMPLE_ROWS = 500
_LISTED = 5
_SHOWN = 200
_BINARY = b"\0\0\0"  # in UTF-32 too, which is claimed by its mark


def _claims(head: Head) -> bool:
    return not head.path.is_dir() and (head.encoding.startswith("utf-32") or _BINARY not in head.start)


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    options, said = with_encoding(head)
    dialect, more = find_dialect(head.path, options)
    options = options.model_copy(
        update={
            "separator": dialect.separator,
            "quoting": dialect.quoting,
            "quote": "" if dialect.quote == '"' else dialect.quote,
        }
    )
    first, *rows = first_rows(head.path, dialect, options, _SAMPLE_ROWS) or [[]]
    first = [cell.strip() for cell in first]
    if options.header is None:
        options = options.model_copy(update={"header": _header(head.path, first, rows, options)})
        more.append(
            "the first row has the names of the columns" if options.header else f"no header: the first row, {first}, is data"
        )
    if not options.header:
        rows.insert(0, first)
    names = _names(first, options, head.path)
    options, columns = choose_columns(names, [dict(zip(names, row, strict=False)) for row in rows], options, str(head.path))
    return options, [*said, *more, *columns]


def _header(path: Path, first: list[str], rows: Sequence[Sequence[str]], options: SourceOptions) -> bool:
    columns = (options.image_column, *options.caption_columns(), *options.negative_columns())
    named = [name for name in columns if isinstance(name, str) and name]
    if any(name in first for name in named):
        return True
    found = looks_like_header(first, rows)
    if found is None:
        raise DataError(
            f"{path}: does the first row, {str(first)[:_SHOWN]}, name the columns or is it data? Set header: true or header:"
            f" false, and image_column and caption_column, by name or by number from 1"
        )
    return found


def _names(first: Sequence[str], options: SourceOptions, path: Path) -> list[Column]:
    if not options.header:
        return list(range(1, len(first) + 1))
    filled = [name for name in first if name]
    twice = next((name for name in filled if filled.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: two columns are called {twice!r}. Rename one, or set header: false and name columns by number.")
    return [name or number for number, name in enumerate(first, 1)]  # pandas' index has no name


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    names: list[Column] = []
    for path in files:
        rows = _Rows(path, options, "quoting" in guessed)
        if names and rows.names != names:
            raise DataError(f"{path} has the columns {rows.names}, {files[0]} has {names}. Give them one by one.")
        names = rows.names
        yield from rows.records()


class _Rows:
    """The rows of one file."""

    def __init__(self, path: Path, options: SourceOptions, is_guess: bool) -> None:
        self._path, self._options = path, options
        self._dialect = Dialect(options.separator, options.quoting or "doubled", options.max_text, options.quote or '"', is_guess)
        (first,) = first_rows(path, self._dialect, options, 1) or [[]]
        self._first = [cell.strip() for cell in first]
        self.names = _names(self._first, options, path)

    def records(self) -> Iterator[Record | Skipped]:
        reader, broken, number = RowReader(self._options), [], 0
        rows = self._dialect.rows(lines_of(self._path, self._options.encoding, self._options.max_text))
        for place, row in enumerate(rows):
            where = f"{self._path}, line {row.line}"
            if self._options.header and not row.problem and [cell.strip() for cell in row.fields] == self._first:
                if place:
                    yield Skipped(where, "", "repeats the header")
                continue
            number += 1
            if row.problem:
                broken.append(f"line {row.line}: {row.problem}")
                yield Skipped(where, "", row.problem)
            elif record := reader.record(self._named(row.fields), number, where):
                yield record
        if broken and self._options.broken_rows == "refuse":
            listed = "; ".join(broken[:_LISTED])
            raise DataError(
                f"{self._path}: {len(broken)} broken line(s): {listed}. Fix them, set separator or quoting (now"
                f" {self._options.separator!r}, {self._options.quoting}), or leave them out with broken_rows: skip."
            )

    def _named(self, fields: Sequence[str]) -> Row:
        return dict(zip(self.names, fields, strict=True))


DELIMITED = Format("delimited", "text with a separator: CSV, TSV and their kin", _claims, _complete, _read)
