"""From a file of outcomes to the items of each model on each benchmark.

Parquet, CSV, JSON or JSON lines, with one row an item and model (the documented table), or one row an item and columns for each
model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from degla.errors import DataError, MissingInputError
from degla.outcomes.items import CHOICE, MATCH_GROUP, MATCH_IMAGE, MATCH_TEXT
from degla.outcomes.ref import NAME, OutcomesRef
from degla.outcomes.table import OUTCOMES, REQUIRED, odds, own_images, to_items
from degla.text_files import columns_of, filled, nearest_key, read_json, read_json_lines, shown

_TRUE, _FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")
_NONE = ("", "nan", "none", "null", "na", "n/a")

Outcomes = dict[tuple[str, str], pa.Table]
"""Model and benchmark to items."""


def read_outcomes(ref: OutcomesRef) -> Outcomes:
    """The items of each model on each benchmark, in the order of the file.

    Raises:
        MissingInputError: the file does not exist.
        DataError: a column is missing, a value is of the wrong kind, an item comes twice, or a right answer has a margin that no
            right answer has; names the file and the row.
    """
    path = Path(ref.path).expanduser().absolute()
    table = _of_models(ref, path, read_rows(path))
    _check_margins(path, table)
    found: Outcomes = {}
    for model in table["model"].unique().to_pylist():
        of_model = table.filter(pc.equal(table["model"], model))
        for benchmark in of_model["benchmark"].unique().to_pylist():
            own = of_model.filter(pc.equal(of_model["benchmark"], benchmark))
            _check_names(path, model=model, benchmark=benchmark)
            _check_distinct(path, own)
            found[model, benchmark] = to_items(own)
    if not found:
        raise DataError(f"{path} holds no outcomes")
    return found


def read_texts(ref: OutcomesRef) -> dict[str, list[dict[str, Any]]]:
    """The texts of the items, for people to look at: by benchmark a row of `degla.schemas.SHOWN` for each; empty if the file has
    no column `caption`.

    Raises:
        MissingInputError: the file does not exist.
        DataError: a column that the settings name is missing.
    """
    path = Path(ref.path).expanduser().absolute()
    table = read_rows(path)
    columns = [ref.columns.get(role, role if role in table.column_names else "") for role in ("caption", "negative")]
    if not columns[0]:
        return {}
    texts = [_column(path, table, name).to_pylist() if name else [""] * table.num_rows for name in columns]
    given = {"model": "any", "kind": next(iter(ref.right)), "right": pa.nulls(table.num_rows, pa.bool_())} if ref.right else {}
    rows = _rows(ref, path, table, given)
    keys = (rows[name].to_pylist() for name in ("benchmark", "subset", "item", "kind", "image"))
    found: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for benchmark, subset, item, kind, image, *both in zip(*keys, *texts, strict=True):
        said = [text for text in both if text]
        right = 2 if kind in (MATCH_TEXT, MATCH_IMAGE, MATCH_GROUP) else 1
        row = {
            "set": subset,
            "item": item,
            "texts": said,
            "right": min(right, len(said)),
            "images": [image] if ref.images else [],
        }
        found.setdefault(benchmark, {}).setdefault((subset, item), row)
    return {benchmark: list(own.values()) for benchmark, own in found.items()}


def read_rows(path: Path) -> pa.Table:
    """The file as it is; cells of CSV are texts."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return pq.read_table(path)
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return _of_objects(path, [row for _, row in read_json_lines(path)])
        if path.suffix.lower() == ".json":
            return _of_objects(path, read_json(path, list))
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        parse = pacsv.ParseOptions(delimiter=separator, newlines_in_values=True)
        names = pacsv.open_csv(path, parse_options=parse).schema.names
        texts = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        return pacsv.read_csv(path, parse_options=parse, convert_options=texts)
    except FileNotFoundError as error:
        raise MissingInputError(f"evaluate.outcomes: {path} does not exist") from error
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{path}: not a readable table of outcomes (Parquet, CSV, JSON, JSON lines): {error}") from error


def _of_objects(path: Path, rows: list[Any]) -> pa.Table:
    """A table with a column for each name that any of the objects has."""
    strange = next((row for row in rows if not isinstance(row, dict)), None)
    if strange is not None:
        raise DataError(f"{path}: {shown(strange)} is no object; expected one for each item and model")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _of_models(ref: OutcomesRef, path: Path, table: pa.Table) -> pa.Table:
    """All rows as OUTCOMES, in the names that the scores have."""
    if not ref.right:
        rows = _rows(ref, path, table, {})
        rows = rows.set_column(OUTCOMES.names.index("model"), OUTCOMES.field("model"), _renamed(ref, path, rows["model"]))
        return rows.filter(pc.is_valid(rows["model"])) if ref.models else rows
    parts = []
    for model, in_table in ref.models.items():
        for kind, columns in ref.right.items():
            right = [_truths(path, _column(path, table, name.replace("{model}", in_table))) for name in columns]
            every = right[0]
            for other in right[1:]:
                every = pc.and_(every, other)
            parts.append(_rows(ref, path, table, {"model": model, "kind": kind, "right": every}))
    return pa.concat_tables(parts)


def _rows(ref: OutcomesRef, path: Path, table: pa.Table, given: Mapping[str, Any]) -> pa.Table:
    """The rows of a table, with the values that are given in place of columns."""
    number = table.num_rows
    given = {**given, **({"benchmark": ref.benchmark} if ref.benchmark else {})}

    def values(role: str) -> Any:
        if isinstance(given.get(role), str):
            return pa.array([given[role]] * number, pa.string())
        if role in given:
            return given[role]
        if role in ref.columns:
            return _column(path, table, ref.columns[role])
        return table[role] if role in table.column_names else None

    found = {role: values(role) for role in OUTCOMES.names}
    if found["right"] is not None and "right" not in given:
        found["right"] = _truths(path, found["right"])
    for role in ("margin", "rank", "r_precision", "average_precision", "targets", "candidates"):
        if found[role] is not None:
            found[role] = _numbers(path, role, found[role], OUTCOMES.field(role).type)
    if found["right"] is None and found["margin"] is not None:
        found["right"] = pc.greater(found["margin"], 0.0)
    if found["item"] is None and ref.right:
        # with the file's name, so that rows of two files are never taken for the same item
        found["item"] = pa.array([f"{path.name}:{row}" for row in range(1, number + 1)])
    lacking = next((role for role in REQUIRED if found[role] is None), None)
    if lacking:
        raise DataError(
            f"{path}: no column {lacking!r} among {', '.join(table.column_names)}. Name it in evaluate.outcomes.columns"
            + (", or set evaluate.outcomes.benchmark" if lacking == "benchmark" else "")
        )
    texts = ("benchmark", "subset", "item", "model", "kind", "image", "label")
    found |= {role: _texts(path, role, found[role]) for role in texts if found[role] is not None}
    if found["kind"] is None:
        found["kind"] = pa.array([CHOICE] * number)
    if found["image"] is None:
        found["image"] = own_images(found["benchmark"], found["subset"], found["item"])
    chances = [odds(kind, ref.candidates) for kind in found["kind"].to_pylist()]
    for place, role in enumerate(("targets", "candidates")):
        if found[role] is None:
            found[role] = pa.array([each[place] for each in chances], pa.int64())
    columns = [found[field.name] if found[field.name] is not None else pa.nulls(number, field.type) for field in OUTCOMES]
    return pa.table(columns, schema=OUTCOMES)


def _column(path: Path, table: pa.Table, text: str) -> Any:
    """A column, or the texts that a text with columns gives in each row."""
    names = [nearest_key(table.column_names, name, str(path)) for name in columns_of(text)]
    if "{" not in text:
        return table[text]
    rows = enumerate(table.select(list(dict.fromkeys(names))).to_pylist(), 1)
    return pa.array([filled(text, row.__getitem__, f"{path}, row {number}") for number, row in rows], pa.string())


def _texts(path: Path, role: str, column: Any) -> Any:
    texts = column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
    empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), True)
    if role == "label":
        return pc.if_else(empty, pa.scalar(None, pa.string()), texts)
    if pc.any(empty).as_py():
        raise DataError(f"{path}, row {pc.index(empty, True).as_py() + 1}: {role} is empty")
    return texts


def _truths(path: Path, column: Any) -> Any:
    """Right or wrong; null where a cell has neither."""
    if pa.types.is_boolean(column.type):
        return column
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), "")))
    wrong = next((each for each in texts.unique().to_pylist() if each not in (*_TRUE, *_FALSE, *_NONE)), None)
    if wrong is not None:
        row = pc.index(texts, wrong).as_py() + 1
        raise DataError(f"{path}, row {row}: right is {wrong!r}, expected 1, 0, true or false, or nothing if it was not scored")
    none = pc.is_in(texts, pa.array(_NONE))
    return pc.if_else(none, pa.scalar(None, pa.bool_()), pc.is_in(texts, pa.array(_TRUE)))


def _numbers(path: Path, role: str, column: Any, kind: pa.DataType) -> Any:
    if pa.types.is_string(column.type):
        none = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(column)), pa.array([each for each in _NONE if each != "nan"]))
        column = pc.if_else(none, pa.scalar(None, pa.string()), column)
    try:
        return pc.cast(column, kind)
    except pa.ArrowException as error:
        raise DataError(f"{path}: {role} is not a number in every row: {error}") from error


def _renamed(ref: OutcomesRef, path: Path, models: pa.ChunkedArray) -> pa.Array:
    """The models by their names in the scores; null for those that are not named, if any are."""
    if not ref.models:
        return models
    names = {in_table: name for name, in_table in ref.models.items()}
    there = models.unique().to_pylist()
    for in_table in names:
        nearest_key(there, in_table, f"{path}, column model")
    return pa.array([names.get(each) for each in models.to_pylist()], pa.string())


def _check_margins(path: Path, table: pa.Table) -> None:
    """A right answer has a finite margin of 0 or more: what is not a number is never right."""
    possible = pc.and_(pc.is_finite(table["margin"]), pc.greater_equal(table["margin"], 0.0))
    strange = pc.fill_null(pc.and_(table["right"], pc.invert(possible)), False)
    if pc.any(strange).as_py():
        row = table.slice(pc.index(strange, True).as_py(), 1).to_pylist()[0]
        raise DataError(
            f"{path}: item {row['item']!r} of {row['subset']!r} is right with the margin {row['margin']}. A margin is the cosine"
            f" with the right answer minus the largest with a wrong one: leave the column out if it is another"
        )


def _check_names(path: Path, **names: str) -> None:
    for role, name in names.items():
        if not NAME.fullmatch(name):
            raise DataError(
                f"{path}: {role} {shown(name)} is no name of letters, digits, '.', '_' and '-'."
                + (f" Rename it: evaluate.outcomes.models={{short: {name}}}" if role == "model" else "")
            )


def _check_distinct(path: Path, table: pa.Table) -> None:
    keys = pc.binary_join_element_wise(table["subset"], table["kind"], table["item"], "\x1f")
    counts = keys.value_counts()
    twice = next((each["values"] for each in counts.to_pylist() if each["counts"] > 1), None)
    if twice is not None:
        subset, kind, item = twice.split("\x1f")
        raise DataError(f"{path}: item {item!r} of {subset!r} ({kind}) comes twice for {table['model'][0].as_py()!r}")
