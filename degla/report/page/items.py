"""The scored items, their texts and pictures, as the failure browser's script takes them: columns, because they are many."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from degla.artifacts import Artifact
from degla.outcomes.items import MATCH_GROUP
from degla.outcomes.outcome import Outcome
from degla.outcomes.reading import read_texts
from degla.outcomes.ref import OutcomesRef
from degla.outcomes.telling import Key, most_telling
from degla.report.page.script_json import as_json
from degla.schemas import PICTURES, SHOWN, read_table

_SHARE = 0.6
"""Of the bytes that items may take."""
_BYTES, _BYTES_OF_A_MODEL = 40, 24
"""No less than what an item takes in the page beside its texts and its id, and for each model."""

Shown = dict[tuple[str, str, str], dict[str, Any]]
"""Benchmark, set and item to its row of `degla.schemas.SHOWN`."""


@dataclass
class Items:
    """What the failure browser gets."""

    data: dict[str, Any]
    """`groups` (benchmark, set, kind), `of` (each item's group), `item` (ids), `entry` (number in `entries`, or -1), `entries`
    (texts, how many are right, numbers of pictures or -1), `label`, and for each model `right` (a text of 1, 0 and - for not
    scored), `margin`, `rank` and `predicted`, null where no item has any."""
    pictures: list[str] = field(default_factory=list)
    """Base64 of WebP."""
    total: int = 0
    """Scored items; `of` has fewer if not all have room."""
    with_image: int = 0
    """Items of the page that have an image, and `with_picture` of them a picture in the page."""
    with_picture: int = 0

    @property
    def kept(self) -> int:
        """Items of the page."""
        return len(self.data.get("of", ()))

    @property
    def cut(self) -> bool:
        """Whether not all have room."""
        return self.kept < self.total

    @property
    def has_matches(self) -> bool:
        """Whether items are scored by text, by image and as a group."""
        return any(kind == MATCH_GROUP for *_, kind in self.data.get("groups", ()))


def read_shown(sources: Iterable[Artifact], files: Iterable[Path] = ()) -> Shown:
    """Texts and image ids of the items, from evaluations and from files in the documented form."""
    found: Shown = {}
    for source in sources:
        for name in source.manifest.files:
            folder, _, file = name.partition("/")
            if folder == "shown":
                title = file.removesuffix(".parquet")
                for row in read_table(source.file(name), SHOWN).to_pylist():
                    found.setdefault((title, row["set"], row["item"]), row)
    for path in files:
        for title, rows in read_texts(OutcomesRef(path=str(path))).items():
            for row in rows:
                found.setdefault((title, row["set"], row["item"]), row)
    return found


def read_pictures(sources: Iterable[Artifact]) -> dict[tuple[str, str], bytes]:
    """Pictures by benchmark and image id, the best first."""
    found: dict[tuple[str, str], bytes] = {}
    for source in sources:
        if source.has("pictures.parquet"):
            rows = read_table(source.file("pictures.parquet"), PICTURES)
            for title, image, picture in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                found.setdefault((title, image), picture)
    return found


def gather_items(
    outcomes: Sequence[Outcome],
    models: Sequence[str],
    shown: Shown,
    pictures: Mapping[tuple[str, str], bytes],
    most_bytes: float,
) -> Items:
    """The items with the most telling first until `_SHARE` of the bytes are full, and their pictures in what is left."""
    every = list(most_telling(outcomes))
    keys, size = _that_fit(every, shown, _SHARE * most_bytes, _BYTES + _BYTES_OF_A_MODEL * len(models))
    groups = {group: number for number, group in enumerate(dict.fromkeys(key[:3] for key in keys))}
    wanted = dict.fromkeys(
        (key.benchmark, image) for key in keys for image in shown.get((key.benchmark, key.set, key.item), {}).get("images", ())
    )
    numbers, encoded = _encoded([(key, pictures[key]) for key in pictures if key in wanted], most_bytes - size)
    entry_of: dict[tuple[str, str, str], int] = {}
    entries: list[list[Any]] = []
    found = Items({}, encoded, len(every))
    places = []
    for key in keys:
        of, row = (key.benchmark, key.set, key.item), shown.get((key.benchmark, key.set, key.item))
        if row is not None and of not in entry_of:
            entry_of[of] = len(entries)
            entries.append([row["texts"], row["right"], [numbers.get((key.benchmark, image), -1) for image in row["images"]]])
        places.append(entry_of.get(of, -1))
        if row is not None and row["images"]:
            found.with_image += 1
            found.with_picture += any(picture >= 0 for picture in entries[places[-1]][2])
    labels, columns = _columns(outcomes, models, keys)
    found.data = {
        "groups": [list(group) for group in groups],
        "of": [groups[key[:3]] for key in keys],
        "item": [key.item for key in keys],
        "entry": places,
        "entries": entries,
        "label": labels,
        "models": columns,
    }
    return found


def _that_fit(keys: Sequence[Key], shown: Shown, most_bytes: float, others: int) -> tuple[Sequence[Key], int]:
    """The first keys, and about the bytes that their items take."""
    size, seen = 0, set()
    for number, key in enumerate(keys):
        if (of := (key.benchmark, key.set, key.item)) not in seen:
            seen.add(of)
            size += len(as_json(shown[of]["texts"]).encode()) if of in shown else 0
        size += len(as_json(key.item).encode()) + others
        if size > most_bytes:
            return keys[:number], size
    return keys, size


def _encoded(
    pictures: Sequence[tuple[tuple[str, str], bytes]], most_bytes: float
) -> tuple[dict[tuple[str, str], int], list[str]]:
    """Image to the number of its picture, and the pictures; equal ones of two benchmarks are kept once."""
    numbers: dict[bytes, int] = {}
    of: dict[tuple[str, str], int] = {}
    encoded: list[str] = []
    size = 0
    for key, picture in pictures:
        if picture not in numbers:
            text = base64.b64encode(picture).decode()
            size += len(text) + 3
            if size > most_bytes:
                break
            numbers[picture] = len(encoded)
            encoded.append(text)
        of[key] = numbers[picture]
    return of, encoded


def _columns(
    outcomes: Sequence[Outcome], models: Sequence[str], keys: Sequence[Key]
) -> tuple[list[str | None], list[dict[str, Any]]]:
    place = {key: number for number, key in enumerate(keys)}
    labels: list[str | None] = [None] * len(keys)
    columns = []
    for model in models:
        right = ["-"] * len(keys)
        own: dict[str, list[Any]] = {name: [None] * len(keys) for name in ("margin", "rank", "predicted")}
        for outcome in outcomes:
            if outcome.model == model:
                names = ("set", "kind", "item", "correct", "label", "margin", "rank", "predicted")
                for row in zip(*(outcome.items[name].to_pylist() for name in names), strict=True):
                    number = place.get(Key(outcome.benchmark, *row[:3]))
                    if number is None or row[3] is None:
                        continue
                    right[number] = "01"[row[3]]
                    labels[number] = labels[number] or row[4]
                    margin = row[5]
                    own["margin"][number] = None if margin is None or not math.isfinite(margin) else round(margin, 4)
                    own["rank"][number], own["predicted"][number] = row[6], row[7]
        known = {name: column if any(value is not None for value in column) else None for name, column in own.items()}
        columns.append({"right": "".join(right), **known})
    return labels, columns
