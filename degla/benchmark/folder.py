"""A benchmark on disk: items, images, decisions, and the card that evaluate takes.

items.jsonl       the items as they were made; never changed
decisions.jsonl   what people said of them (`degla.benchmark.decisions`)
pairs.jsonl       what is scored: all items but the dropped ones, with what was fixed; written anew with each decision
images/           their images
NAME.yaml         the card: `evaluate.benchmarks=[{name: FOLDER/NAME.yaml}]`
benchmark.json    how it was made
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from degla import checksums
from degla.errors import DataError, MissingInputError
from degla.files import write_text_atomic
from degla.text_files import read_json_lines

ITEMS, PAIRS, FACTS, IMAGES = "items.jsonl", "pairs.jsonl", "benchmark.json", "images"


@dataclass(frozen=True)
class Item:
    """An image with a true caption and a false one."""

    id: str
    image: str
    """File name below `images/`."""
    caption: str
    negative: str
    type: str
    generator: str


@dataclass(frozen=True)
class BenchmarkFolder:
    """A benchmark that was made."""

    path: Path
    items: tuple[Item, ...]
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> BenchmarkFolder:
        """Open it.

        Raises:
            MissingInputError: there is none.
            DataError: the items are not those that were made.
        """
        if not (path / FACTS).is_file():
            raise MissingInputError(
                f"{path} holds no benchmark (no {FACTS}); make one: python -m degla.benchmark make SOURCE --out {path}"
            )
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        items = tuple(Item(**entry) for _, entry in read_json_lines(path / ITEMS))
        if items_id(items) != facts["id"]:
            raise DataError(f"{path / ITEMS} was changed after it was made; people's decisions are in decisions.jsonl")
        return cls(path, items, facts)

    @property
    def id(self) -> str:
        """Names these items: decisions on others are refused."""
        return str(self.facts["id"])

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def card_path(self) -> Path:
        return self.path / f"{self.name}.yaml"


def items_id(items: Iterable[Item]) -> str:
    """A fingerprint of items, 16 hex digits."""
    return checksums.of_value([asdict(item) for item in items])[:16]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line, whole or not at all."""
    write_text_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_folder(path: Path, name: str, items: Sequence[Item], facts: Mapping[str, Any]) -> BenchmarkFolder:
    """Write everything but the images; `benchmark.json` comes last."""
    write_lines(path / ITEMS, map(asdict, items))
    write_lines(path / PAIRS, map(asdict, items))
    write_text_atomic(path / f"{name}.yaml", yaml.safe_dump(_card(name, facts), sort_keys=False, allow_unicode=True, width=120))
    known = {"name": name, "id": items_id(items), **facts}
    write_text_atomic(path / FACTS, json.dumps(known, ensure_ascii=False, indent=1) + "\n")
    return BenchmarkFolder(path, tuple(items), known)


def _card(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "benchmark",
        "reader": "pairs",
        "description": "A photo with its caption and a false caption, by negative type; made by python -m degla.benchmark make.",
        "source": facts["source"],
        "licence": "that of the photos and captions",
        "revision": "1",
        "files": {"annotations": {"path": PAIRS}, "images": {"path": IMAGES}},
        "options": {
            "format": "json_lines",
            "image": "image",
            "caption": "caption",
            "negatives": ["negative"],
            "id": "id",
            "subset": "type",
        },
    }
