"""How a file of outcomes is named, and what its columns mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from degla import checksums
from degla.catalog import path_checksum
from degla.config import Config
from degla.errors import MissingInputError

NAME = re.compile(r"^[A-Za-z0-9_.-]+$")
"""Of models and benchmarks in the scores: they name files."""

Role = Literal[
    "benchmark",
    "subset",
    "kind",
    "item",
    "model",
    "right",
    "margin",
    "image",
    "label",
    "rank",
    "r_precision",
    "average_precision",
    "targets",
    "candidates",
    "caption",
    "negative",
]


class OutcomesRef(Config):
    """A file of outcomes that somebody brings: which model was right on which item. Its columns are those of
    `degla.outcomes.table`, or are named here."""

    path: str
    """Parquet, CSV, JSON or JSON lines."""

    benchmark: str = Field("", pattern=rf"^$|{NAME.pattern}")
    """The benchmark of all rows; empty takes the column. That of a card (`sugarcrepe`) has the card's averages."""

    columns: dict[Role, str] = Field(default_factory=dict)
    """Column of the documented table to the column of this file, or a text with columns, such as `{type}_{subtype}`."""

    models: dict[Annotated[str, Field(pattern=NAME.pattern)], str] = Field(default_factory=dict)
    """Name in the scores to the name in the file; a list takes names unchanged. Empty takes all models of the column."""

    right: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """For a file with one row an item and columns for each model: kind of outcome (`choice`, `text`, `image`, `group`) to the
    columns that must all be right, with `{model}` for the model's name in the file."""

    candidates: int | None = Field(None, ge=1)
    """Texts to choose from in every item, if no column says it; empty: chance is not known."""

    images: str = ""
    """Folder of the images that the column `image` names, for the pictures of the report's page; scoring needs none."""

    @field_validator("models", mode="before")
    @classmethod
    def _names_stay(cls, value: Any) -> Any:
        return {name: name for name in value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _models_are_named(self) -> OutcomesRef:
        if self.right and not self.models:
            raise ValueError("right names columns of each model; name the models too")
        if not all(self.right.values()):
            raise ValueError("right has a kind of outcome without columns")
        return self

    def checksum(self) -> str:
        """Checksum of the file and these settings. Raises MissingInputError if the file does not exist."""
        path = Path(self.path).expanduser().absolute()
        if not path.is_file():
            raise MissingInputError(f"evaluate.outcomes: {path} does not exist")
        return checksums.of_value([path_checksum(path), self.model_dump(exclude={"path"})])
