"""DuckDB, behind one door: connections with limits, the text macros, and errors that say what to do.

Knows nothing of stages or rules.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from degla.errors import ConfigError, DataError, StorageError
from degla.text.tokens import SQL_PATTERN


class Database:
    """An in-memory DuckDB with degla's macros."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        """Run a statement that gives no rows. Raises as `rows`."""
        self.rows(sql)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            DataError: a file that it reads cannot be read.
            StorageError: there is no memory or disk left to run it.
        """
        with _named_errors():
            return self._connection.execute(sql, list(parameters)).fetchall()

    def arrow(self, query: str) -> pa.Table:
        """The rows of a query as an Arrow table. Raises as `rows`."""
        with _named_errors():
            return self._connection.sql(query).to_arrow_table()

    def memory_limit(self) -> int:
        """The limit in bytes."""
        number, unit = self.rows("select current_setting('memory_limit')")[0][0].split()
        return int(float(number) * _BYTES[unit])

    def check_condition(self, name: str, sql: str, relation: str) -> None:
        """Raises ConfigError naming the rule where `sql` is not a condition on the rows of `relation`."""
        try:
            rows = f"select ({sql}) as condition from (select * from {relation} limit 0)"
            self._connection.execute(f"select count(*) from ({rows}) where condition").fetchall()
        except duckdb.Error as error:
            raise ConfigError(f"rule {name!r}: its SQL is broken: {error}") from error

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name."""
        self._connection.register(name, table)

    @staticmethod
    def literal(text: str) -> str:
        """The text as an SQL literal, where a parameter is not allowed."""
        return "'" + text.replace("'", "''") + "'"


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        what = str(error).split("\n")[0]  # after it come settings of DuckDB's own
        raise StorageError(f"DuckDB ran out of memory: {what}. Raise memory_limit or free disk space.") from error
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        if "No space left" in str(error):
            raise StorageError(f"DuckDB cannot spill to disk: {error}. Free disk space or raise memory_limit.") from error
        raise DataError(f"DuckDB cannot read its input: {error}") from error
    except duckdb.Error as error:
        if type(error) is not duckdb.Error:  # a class of its own has what is wrong with a statement
            raise
        raise DataError(f"DuckDB cannot read its input: {error}") from error


@contextmanager
def connect(threads: int = 0, memory_limit: str = "2GB", spill_dir: Path | None = None) -> Iterator[Database]:
    """Open a database that is gone at the end.

    Args:
        threads: 0 takes every core.
        memory_limit: such as `2GB`; beyond it DuckDB spills to `spill_dir`.
        spill_dir: folder for what does not fit in memory; None forbids spilling.

    Raises:
        ConfigError: the memory limit is not understood.
    """
    try:
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": str(threads or os.cpu_count() or 1),
                "memory_limit": memory_limit,
                "temp_directory": str(spill_dir) if spill_dir else "",
                "preserve_insertion_order": "false",
                "disabled_optimizers": "in_clause",  # it makes a join of each `in` with constants: 14 joins for the rules
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
    except duckdb.Error as error:
        raise ConfigError(f"DuckDB does not start with memory_limit={memory_limit!r}: {error}") from error
    try:
        connection.execute(f"attach ':memory:' as work (row_group_size {_ROW_GROUP_SIZE})")
        connection.execute("use work")
        for macro in _MACROS:
            connection.execute(macro)
        yield Database(connection)
    finally:
        connection.close()


_BYTES = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

_ROW_GROUP_SIZE = 8_192  # rows; a group is what one thread takes, so that a table of a few groups is worked on by several

_MACROS = (
    # Tokens in lower case, as degla.text.tokens makes them.
    # Most texts are plain: lower-case words, and a point at the end. Those need no search for tokens.
    "create macro is_plain(lower_text) as regexp_full_match(lower_text, '[a-z]+(?:[ -][a-z]+)*[.]?')",
    "create macro toks_of(lower_text) as case when is_plain(lower_text) then string_split(replace(lower_text, '.', ' .'), ' ')"
    f" else regexp_extract_all(lower_text, {Database.literal(SQL_PATTERN)}) end",
    "create macro toks(s) as toks_of(lower(s))",
    "create macro lowered(l) as list_transform(l, lambda t: lower(t))",
    # Agreement of a and an is no change; nor is punctuation.
    "create macro fold(l) as list_transform(l, lambda t: case when t = 'an' then 'a' else t end)",
    "create macro is_word(t) as case when t between 'a' and 'z~' then true when t between '0' and '9~' then true"
    " else regexp_matches(t, '[\\p{L}\\p{N}]') end",
    "create macro worded(l) as list_filter(l, lambda t: is_word(t))",
    "create macro without_articles(l) as list_filter(l, lambda t: t not in ('a', 'the'))",
    "create macro unarticled(l) as without_articles(worded(l))",
    # The places where two lists differ; the number of equal elements at the start; at the end, after `p` equal ones.
    "create macro differing(x, y) as list_filter(range(1, len(x) + 1), lambda i: x[i] <> y[i])",
    "create macro common_prefix(x, y) as coalesce(list_min(list_filter(range(1, least(len(x), len(y)) + 1),"
    " lambda i: x[i] <> y[i])), least(len(x), len(y)) + 1) - 1",
    "create macro common_tail(x, y, p) as coalesce(list_min(list_filter(range(1, least(len(x), len(y)) - p + 1),"
    " lambda i: x[-i] <> y[-i])), least(len(x), len(y)) - p + 1) - 1",
    "create macro middle(l, p, s) as l[p + 1 : len(l) - s]",
    # The lengths of X and Z in x = X M Z, y = Z M X, the shortest first; [] where two spans are not exchanged.
    "create macro exchanged(x, y) as case when len(x) <> len(y) or len(x) < 2 then [] else list_sort(flatten(list_transform("
    "list_filter(range(1, len(x)), lambda i: x[1:i] = y[len(y) - i + 1 : len(y)]),"
    " lambda i: list_transform(list_filter(range(1, len(x) - i + 1), lambda j: x[len(x) - j + 1 : len(x)] = y[1:j]"
    " and x[i + 1 : len(x) - j] = y[j + 1 : len(y) - i]), lambda j: [i + j, i, j])))) end",
)
