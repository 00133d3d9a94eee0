"""Rows and images to look at, drawn by a hash of their content: the same in any order of the tables.

Works on the views of `degla.filter.report.funnel.create_views`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from degla.database import Database
from degla.images import read_images
from degla.negative_types import NEGATIVE_TYPES

_ROWS_OF_A_VERDICT = 200
_SAMPLE_BYTES = 200_000  # Prefect keeps the dashboard's tables in its server's database
_IMAGES_AT_RANDOM, _IMAGES_FOR_RULES = 48, 12
_CAPTIONS_OF_AN_IMAGE, _LINES_OF_A_CAPTION = 10, 20


@dataclass(frozen=True)
class Line:
    """A negative of a caption; `rule` is None if it was kept."""

    type: str
    text: str
    generator: str
    rule: str | None


@dataclass
class CaptionLines:
    """A caption with its negatives, kept and rejected."""

    caption: str
    kept: list[Line] = field(default_factory=list)
    rejected: list[Line] = field(default_factory=list)
    left_out: int = 0
    """Number of negatives not shown."""


@dataclass
class Picture:
    """An image with its captions."""

    image_id: str
    drawn_for: str | None
    """The rule that it was drawn for; None if at random."""
    num_captions: int
    captions: list[CaptionLines] = field(default_factory=list)
    image: bytes | None = None
    problem: str = ""
    """Why there is no image."""


def sample_rows(database: Database, why: Mapping[str, str]) -> list[dict[str, Any]]:
    """A few hundred rows, kept and rejected in turn, spread evenly over types and rules.

    Args:
        database: has the views.
        why: rule name to its reason.
    """
    rows = (
        {
            "verdict": "rejected" if rule else "kept",
            "type": negative_type,
            "rule": rule or "",
            "rewrite": text,
            "caption": caption,
            "why": why.get(rule, "") if rule else "",
            "generator": generator,
            "caption_id": caption_id,
        }
        for caption_id, caption, negative_type, text, generator, rule in database.rows(_SAMPLE)
    )
    return _within_bytes(rows)


def _within_bytes(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first rows that fit the dashboard's limit."""
    taken, size = [], 0
    for row in rows:
        size += len(json.dumps(row))
        if size > _SAMPLE_BYTES:
            break
        taken.append(row)
    return taken


def sample_pictures(database: Database, images: Path | None) -> list[Picture]:
    """Images drawn at random, then one for each rule that refused nothing in those; with their captions.

    Args:
        database: has the views.
        images: the images table; None if prepare kept no images.
    """
    database.register("drawn", database.arrow(_DRAWN))
    pictures = {row[0]: Picture(*row) for row in database.rows(_DRAWN_IMAGES)}
    captions: dict[int, CaptionLines] = {}
    for caption_id, image_id, caption in database.rows(_DRAWN_CAPTIONS):
        captions[caption_id] = CaptionLines(caption)
        pictures[image_id].captions.append(captions[caption_id])
    database.register("shown", pa.table({"caption_id": pa.array(list(captions), pa.int64())}))
    for caption_id, negative_type, text, generator, rule in database.rows(_SHOWN_TEXTS):
        _add(captions[caption_id], Line(negative_type, text, generator, rule))
    _add_images(pictures, images)
    return list(pictures.values())


def _add(caption: CaptionLines, line: Line) -> None:
    lines = caption.rejected if line.rule else caption.kept
    if len(lines) < _LINES_OF_A_CAPTION:
        lines.append(line)
    else:
        caption.left_out += 1


_UNKNOWN_IMAGE: dict[str, Any] = {"image": None, "status": "missing", "error": "not in the images table"}


def _add_images(pictures: Mapping[str, Picture], images: Path | None) -> None:
    if images is None:
        return
    table = read_images(images, ["image_id", "image", "status", "error"])
    rows = pc.index_in(pa.array(list(pictures), pa.string()), table["image_id"].combine_chunks())
    for picture, row in zip(pictures.values(), rows.to_pylist(), strict=True):
        found = _UNKNOWN_IMAGE if row is None else table.slice(row, 1).to_pylist()[0]
        picture.image = found["image"]
        picture.problem = "" if picture.image else f"{found['status']}: {found['error']}"


_order = ", ".join(map(Database.literal, NEGATIVE_TYPES))

# Each cell (type, rule) gives its rows with the smallest keys; rows are taken round-robin over the cells.
_SAMPLE = f"""
with drawn as (
    select distinct type, rule, unnest(arg_min({{'key': key, 'caption_id': caption_id, 'text': text, 'generator': generator}},
        key, {_ROWS_OF_A_VERDICT}), recursive := true)
    from (select *, md5(concat_ws('|', caption_id, type, text, generator, rule)) as key from texts) group by type, rule
), turns as (
    select *, row_number() over (partition by type, rule order by key) as turn from drawn
), numbered as (
    select *, row_number() over (partition by rule is null order by turn, key) as number from turns
)
select caption_id, caption, type, text, generator, rule from numbered join training using (caption_id)
where number <= {_ROWS_OF_A_VERDICT} order by number, rule is null
"""

_DRAWN = f"""
with at_random as (
    select image_id from (select distinct image_id from training) order by md5(image_id), image_id limit {_IMAGES_AT_RANDOM}
), refused as (
    select distinct rule, image_id from rejected join training using (caption_id)
), unseen as (
    select rule, arg_min(image_id, md5(image_id)) as image_id from refused
    where rule not in (select rule from refused semi join at_random using (image_id)) group by rule
)
select image_id, null as rule, md5(image_id) as key from at_random
union all
(select image_id, min(rule), md5(image_id) from unseen group by image_id order by md5(image_id) limit {_IMAGES_FOR_RULES})
"""
_DRAWN_IMAGES = """
select image_id, drawn.rule, count(*) from training join drawn using (image_id)
group by image_id, drawn.rule, key order by drawn.rule is not null, key
"""
_DRAWN_CAPTIONS = f"""
select caption_id, image_id, caption from training join drawn using (image_id)
left join (select caption_id, rule, count(*) from rejected group by all) as refused using (caption_id, rule)
qualify row_number() over (partition by image_id order by refused.caption_id is null, caption_id) <= {_CAPTIONS_OF_AN_IMAGE}
order by caption_id
"""
_SHOWN_TEXTS = f"""
select caption_id, type, text, generator, rule from texts semi join shown using (caption_id)
group by caption_id, type, text, generator, rule
order by caption_id, list_position([{_order}], type), rule, text, generator
"""
