"""How a file of captions is to be read. Everything that is not set is recognised and said."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from degla.config import Config

Column = str | int
"""A column by its name, or by its number from 1."""

Quoting = Literal["doubled", "backslash", "none"]


def joined(paths: object) -> object:
    """Several paths as the one pattern that means them: `{a.json,b.json}`."""
    if not isinstance(paths, list | tuple):
        return paths
    names = [str(path) for path in paths]
    wrong = next((name for name in names if len(names) > 1 and set(name) & set("{},")), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r}: a path with braces or commas cannot be one of several; rename it")
    return names[0] if len(names) == 1 else f"{{{','.join(names)}}}"


Paths = Annotated[str, BeforeValidator(joined)]
"""A path or a pattern: `part-*.parquet`, `{00000..00041}.tar`, `{a.json,b.json}`; a list means the same as the last."""


class SourceOptions(Config):
    """How captions, images and negatives that others wrote are read. `python -m degla.prepare sniff PATH` prints what a file
    needs."""

    format: str = ""
    """Name of a format of `degla.sources.formats`; empty recognises it."""

    encoding: str = ""
    """Of text files: `utf-8`, `latin-1`, `cp1252`, `utf-16-le`, ...; empty takes UTF-8, or UTF-16 if the file says so (BOM)."""

    separator: str = ""
    """Between the fields of delimited text, one character, such as `|` or `\\t`; empty recognises it."""

    quoting: Quoting | Literal[""] = ""
    """Of delimited text. `doubled`: fields may stand in double quotes, in which a quote is written twice (RFC 4180, pandas).
    `backslash`: a quote is written as \\". `none`: quotes are part of the text. Empty recognises it."""

    quote: str = ""
    """The character around quoted fields; empty takes the double quote, or the single one if a whole column stands in it."""

    header: bool | None = None
    """Whether the first row of delimited text has the names of the columns; empty recognises it."""

    broken_rows: Literal["refuse", "skip"] = "refuse"
    """What to do with rows of another number of fields, or with quotes that do not close."""

    image_column: Column = ""
    """Column or field with the image: file name, URL or id; empty recognises it."""

    caption_column: Column | tuple[Column, ...] = ()
    """Columns or fields with captions; empty recognises them."""

    negative_column: Column | tuple[Column, ...] = ()
    """Columns or fields with negatives; empty recognises them."""

    type_column: Column = ""
    """Column or field with the type of a row's negatives, one of degla's five."""

    split_column: Column = ""
    """Column or field with the split; empty takes `split` if there is one."""

    more_columns: tuple[Column, ...] = ()
    """Further columns or fields that are read if they are there, for a stage that needs them."""

    list_column: Column | tuple[Column, ...] | None = None
    """Columns or fields whose texts are lists, as `["a", "b"]` or `['a', 'b']`; empty recognises them, `[]` names none."""

    splits: tuple[str, ...] = ()
    """The splits to read, such as `[train, restval]`; empty reads all."""

    where: dict[str, str] = {}
    """Column to value: only rows that have it are read, for instance `{language: en}`."""

    no_text: tuple[str, ...] = ("###", "<mask>", "nan", "NaN", "None", "null", "NULL")
    """Texts that stand for none: CE-CLIP's two, and what programs write for a missing value."""

    max_text: int = Field(8 << 20, ge=1)
    """Longest field, line or JSON entry, in characters. A quote that does not close reads on up to this."""

    @field_validator("separator")
    @classmethod
    def _unescaped(cls, separator: str) -> str:
        return codecs.decode(separator, "unicode_escape") if separator.startswith("\\") and len(separator) > 1 else separator

    def caption_columns(self) -> tuple[Column, ...]:
        """The caption columns; empty if they are to be recognised."""
        return _several(self.caption_column)

    def list_columns(self) -> tuple[Column, ...]:
        """The columns of lists; empty if there are none, or if they are to be recognised."""
        return _several(() if self.list_column is None else self.list_column)

    def negative_columns(self) -> tuple[Column, ...]:
        """The negative columns; empty if they are to be recognised."""
        return _several(self.negative_column)


def _several(columns: Column | tuple[Column, ...]) -> tuple[Column, ...]:
    if isinstance(columns, tuple):
        return columns
    return () if columns == "" else (columns,)
