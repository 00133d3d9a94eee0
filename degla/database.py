"""DuckDB, behind one door: connections with limits, SQL files run in steps, and errors that say what to do.

Knows nothing of stages or rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from degla.errors import ConfigError, DataError, StorageError


class Database:
    """An in-memory DuckDB."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def close(self) -> None:
        """End it. The connection is let go too: if it outlives the interpreter's modules, DuckDB reports all its types as leaked
        when the process ends."""
        self._connection.close()
        del self._connection

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

    def keep(self, name: str, table: pa.Table) -> None:
        """Store an Arrow table under a name; a table of that name is replaced."""
        self.register("incoming", table)
        self.execute(f"create or replace table {name} as from incoming")
        self._connection.unregister("incoming")

    def define(self, name: str, function: Callable[[str], Any], returns: str) -> None:
        """Make a Python function of one text callable in SQL; a function of that name is replaced."""
        if self.rows("select 1 from duckdb_functions() where function_name = ?", [name]):
            self._connection.remove_function(name)
        self._connection.create_function(name, function, ["varchar"], returns)

    def run_steps(self, package: str, file: str, values: Mapping[str, str] | None = None) -> None:
        """Run an SQL file of a package, step by step. An error says in which step it arose.

        Args:
            package: its name.
            file: the steps follow each other; each begins with a line `-- step: <name>`.
            values: SQL to put in the place of each `{name}`.
        """
        for name, sql in _steps(package, file):
            for key, value in (values or {}).items():
                sql = sql.replace(f"{{{key}}}", value)
            try:
                self.execute(sql)
            except duckdb.Error as error:
                error.add_note(f"in step {name} of {package}/{file}")
                raise

    @staticmethod
    def literal(text: str) -> str:
        """The text as an SQL literal, where a parameter is not allowed."""
        return "'" + text.replace("'", "''") + "'"


@lru_cache
def _steps(package: str, file: str) -> list[tuple[str, str]]:
    """The names of the steps of an SQL file, and their statements."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return [(name.strip(), sql) for name, _, sql in (step.partition("\n") for step in text.split("-- step:")[1:])]


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
    database = Database(connection)
    del connection
    try:
        database.execute(f"attach ':memory:' as work (row_group_size {_ROW_GROUP_SIZE})")
        database.execute("use work")
        yield database
    finally:
        database.close()


_BYTES = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

_ROW_GROUP_SIZE = 8_192  # rows; a group is what one thread takes, so that a table of a few groups is worked on by several
