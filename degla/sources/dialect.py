"""Delimited text: its separator and quoting, recognised on a sample, and its rows, each checked.

The separator is what DuckDB's CSV sniffer finds. For the quoting, the sample is read in each way, and the one that fits most
lines is taken. If two fit and give other texts, and nothing tells them apart, the file is refused: the user must say.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, dropwhile
from pathlib import Path
from typing import Any, NamedTuple

from degla.errors import ConfigError, DataError
from degla.sources.options import Quoting, SourceOptions
from degla.sources.text import lines_of

_SAMPLE = 2 << 20  # characters
_SNIFFED_LINES = 2_000  # what DuckDB looks at
_SHOWN = 120
_ESCAPED = re.compile(r"\w\\[nt]\w")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


class Row(NamedTuple):
    """A row, or why there is none."""

    line: int
    """Where it begins."""
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True)
class Dialect:
    """How delimited text is written."""

    separator: str
    quoting: Quoting
    max_text: int
    quote: str = '"'
    is_guess: bool = False
    """Whether the quoting was recognised; then what speaks against it is a problem of its row."""

    def rows(self, lines: Iterable[str]) -> Iterator[Row]:
        """The rows of these lines; blank lines are passed over. Rows of another width than the first have a problem."""
        taken = _Taken(iter(lines))
        reader = csv.reader(taken, **self._arguments())
        csv.field_size_limit(max(csv.field_size_limit(), self.max_text + 1))
        width = 0
        while True:
            taken.start()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                limit = f"; a field may have max_text = {self.max_text:,} characters" if "limit" in str(error) else ""
                yield Row(taken.first, [], f"a quote does not close, or text follows it ({error}{limit})")
                taken.give_back()  # else a quote that does not close takes all that follows with it
                continue
            if fields and any(map(str.strip, fields)):
                width = width or len(fields)
                yield Row(taken.first, fields, self._problem(fields, width, taken.lines))

    def _problem(self, fields: list[str], width: int, lines: Sequence[str]) -> str:
        if len(fields) != width:
            return f"{len(fields)} fields, the first row has {width}"
        if not self.is_guess:
            return ""
        if len(lines) > 1 and all(line.count(self.separator) == width - 1 for line in lines):
            return f"a quote opens here and closes {len(lines) - 1} line(s) later, but each line is a whole row"
        if self.quoting == "none" and any('""' in text and _QUOTED.fullmatch(text) for text in fields):
            return "a field is quoted, with doubled quotes, unlike the rows before"
        return ""

    def _arguments(self) -> dict[str, Any]:
        shared = {"delimiter": self.separator, "skipinitialspace": True, "strict": True, "quotechar": self.quote}
        if self.quoting == "none":
            return shared | {"quoting": csv.QUOTE_NONE, "quotechar": None}
        if self.quoting == "backslash":
            return shared | {"doublequote": False, "escapechar": "\\"}
        return shared


@dataclass
class _Taken:
    """Lines, and those that the row in work has taken."""

    source: Iterator[str]
    first: int = 1
    lines: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.first += len(self.lines)
        self.lines = []

    def give_back(self) -> None:
        """Have all lines of this row but its first read again, as rows of their own."""
        self.source = chain(self.lines[1:], self.source)
        self.lines = self.lines[:1]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.source)
        self.lines.append(line)
        return line


def find_dialect(path: Path, options: SourceOptions) -> tuple[Dialect, list[str]]:
    """The dialect of a file, and what is to be said of it.

    Raises:
        ConfigError: the separator that is set is not one character.
        DataError: no separator is found, or the quoting cannot be told; names the setting.
    """
    if len(options.separator) > 1:
        raise ConfigError(f"separator must be one character; got {options.separator!r}")
    lines = _sample(path, options)
    said: list[str] = []
    separator = options.separator
    if not separator:
        separator = _separator(path, lines)
        said.append(f"the separator is {separator!r}")
    quote = options.quote or _quote(lines, separator, options.max_text)
    if quote != '"' and not options.quote:
        said.append(f"fields stand in {quote} (quote)")
    if _ESCAPED.search("".join(lines)):
        said.append(r"\n and \t written as two characters stay as they are")
    if options.quoting or quote != '"':
        return Dialect(separator, options.quoting or "doubled", options.max_text, quote), said
    quoting, why = _quoting(path, lines, separator, options.max_text)
    return Dialect(separator, quoting, options.max_text, quote, True), [*said, *why]


def first_rows(path: Path, dialect: Dialect, options: SourceOptions, count: int) -> list[list[str]]:
    """The first rows without a problem."""
    rows = (row.fields for row in dialect.rows(lines_of(path, options.encoding, options.max_text)) if not row.problem)
    return [fields for fields, _ in zip(rows, range(count), strict=False)]


def _sample(path: Path, options: SourceOptions) -> list[str]:
    """The first lines, and if they have no quote, the lines from the first that has one."""
    lines = lines_of(path, options.encoding, options.max_text)
    sample = list(_some(lines, _SAMPLE))
    if not any('"' in line for line in sample):
        sample += _some(dropwhile(lambda line: '"' not in line, lines), _SAMPLE // 4)
    if not sample:
        raise DataError(f"{path} is empty")
    return sample


def _some(lines: Iterator[str], characters: int) -> Iterator[str]:
    for line in lines:
        yield line
        characters -= len(line)
        if characters < 0:
            return


def _separator(path: Path, lines: Sequence[str]) -> str:
    """What DuckDB takes for the separator."""
    from degla.database import connect

    sniff = "select Delimiter, len(Columns) from sniff_csv(?, all_varchar=true, sample_size=-1, skip=0, ignore_errors=true)"
    with tempfile.TemporaryDirectory() as folder, connect(threads=1) as database:
        sample = Path(folder) / "sample.csv"
        sample.write_text("".join(lines[:_SNIFFED_LINES]), encoding="utf-8", newline="")
        try:
            ((separator, columns),) = database.rows(sniff, [str(sample)])
        except DataError:
            columns = 0
    first = next((line for line in lines if line.strip()), "")
    if columns < 2 or separator not in first:
        raise DataError(
            f"{path}: no separator found. The first line is {first.strip()[:_SHOWN]!r}. Set separator, or format: lines if each"
            f" line is a caption"
        )
    return separator


def _quote(lines: Sequence[str], separator: str, max_text: int) -> str:
    """The single quote if a whole column stands in it, else the double one."""
    rows = [row.fields for row in Dialect(separator, "none", max_text).rows(lines) if not row.problem][1:]
    columns = list(zip(*rows, strict=False))
    wrapped = any(all(len(text) > 1 and text[0] == text.rstrip()[-1:] == "'" for text in column) for column in columns)
    return "'" if wrapped else '"'


class _Reading(NamedTuple):
    """The sample as one way of quoting gives it."""

    quoting: Quoting
    rows: list[list[str]]
    misfits: int
    """Lines in rows with a problem."""


def _quoting(path: Path, lines: Sequence[str], separator: str, max_text: int) -> tuple[Quoting, list[str]]:
    text = "".join(lines)
    if '"' not in text:
        return "doubled", []
    ways: list[Quoting] = ["doubled"] if separator == "," else ["doubled", "none"]  # between commas RFC 4180 is the rule
    if '\\"' in text or f"\\{separator}" in text:
        ways.insert(0, "backslash")
    readings = [_read(lines, Dialect(separator, way, max_text, is_guess=True)) for way in ways]
    fewest = min(reading.misfits for reading in readings)
    best, *others = [reading for reading in readings if reading.misfits == fewest]
    if best.quoting == "backslash":
        return best.quoting, ["backslashes before quotes are taken for escapes (quoting: backslash); `none` keeps them"]
    differing = _differing(best, others)
    if differing is None:
        said = "quotes are part of the text" if best.quoting == "none" else "a field that begins with a quote is quoted"
        return best.quoting, [f"{said} (quoting: {best.quoting})"]
    if _all_quoted(others[0].rows):
        return "doubled", ["all texts are quoted (quoting: doubled)"]
    raise DataError(
        f"{path}: is the field {differing[:_SHOWN]} quoted, or are the quotes part of the text? Set quoting: doubled if it is"
        f" quoted, quoting: none if they are text"
    )


def _read(lines: Sequence[str], dialect: Dialect) -> _Reading:
    rows, misfits = [], 0
    places = list(dialect.rows(lines))
    ends = chain((row.line for row in places[1:]), [len(lines) + 1])
    for row, end in zip(places, ends, strict=False):
        if row.problem:
            misfits += end - row.line
        else:
            rows.append(row.fields)
    return _Reading(dialect.quoting, rows, misfits)


def _differing(best: _Reading, others: Sequence[_Reading]) -> str | None:
    """A field as `none` gives it that `doubled` gives otherwise, if both fit and nothing in it tells which is meant."""
    if best.quoting != "doubled" or not others:
        return None
    pairs = [
        (quoted, raw)
        for quoted_row, raw_row in zip(best.rows, others[0].rows, strict=False)
        for quoted, raw in zip(quoted_row, raw_row, strict=False)
        if quoted != raw
    ]
    if not pairs or any('"' in quoted for quoted, _ in pairs):  # a doubled quote inside: nobody writes that as text
        return None
    return pairs[0][1]


def _all_quoted(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all texts are in quotes, as R and `csv.QUOTE_ALL` write them."""
    texts = [text for row in rows for text in row if text.strip() and not text.strip().lstrip("-").replace(".", "").isdigit()]
    return all(text.startswith('"') and text.endswith('"') for text in texts)
