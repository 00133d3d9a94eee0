"""The prepare stage: a dataset card in, `captions.parquet` and `images.arrow` out.

The images are cut into units (`degla.units`); a pool of processes reads, checks and tags them. Knows the readers by their
protocol only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from degla.artifacts import Artifact, Building, building
from degla.errors import DataError
from degla.files import write_text_atomic
from degla.images import IMAGES_FILE, images_writer, read_images
from degla.prepare.config import PrepareConfig
from degla.prepare.images import store_image
from degla.prepare.readers import Source, SourceImage, open_source
from degla.processes import run_all, worker_count
from degla.schemas import CAPTIONS, IMAGES, SCENES, read_table, table_writer, write_table
from degla.text.clip_tokens import CONTEXT, exceeds_clip
from degla.text.tags import Tagger
from degla.text.tokens import tokenize
from degla.units import Unit, Units, cut, join

logger = logging.getLogger(__name__)

_LISTED_IMAGES = 20
_CAPTIONS_FILE, _SCENES_FILE = "captions.parquet", "scenes.parquet"
_CAPTIONS_PART, _IMAGES_PART, _SCENES_PART = (
    f"{name}-{{start:08d}}-{{stop:08d}}.{ending}"
    for name, ending in (("captions", "parquet"), ("images", "arrow"), ("scenes", "parquet"))
)


def prepare(config: PrepareConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the captions and images tables of a dataset.

    Files: `captions.parquet`, `images.arrow` (empty for a card without images), `scenes.parquet` (mini world),
    `skipped.json` (captions left out, and why), `card.json`.

    Raises:
        MissingInputError: the card, the caption file or the image folder is missing.
        DataError: the caption file is broken, or more images than allowed are missing or undecodable.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        source = open_source(config, out_dir / "parts")
        total = min(len(source), config.limit or len(source))
        units = Units(out_dir / "parts", _CAPTIONS_PART, cut(total, config.unit_size))
        _make_units(config, units, out_dir)
        if source.has_images:
            _check_images(config, units, out_dir)
        return _finish(build, config, units, source)


def _make_units(config: PrepareConfig, units: Units, out_dir: Path) -> None:
    missing = units.missing()
    progress = units.progress(out_dir, "preparing images and captions", "images")
    calls = [(units, unit) for unit in missing]
    for count in run_all(_make_unit, calls, worker_count(config.workers, len(missing)), _begin, (config, units.folder)):
        progress.advance(count)


def _begin(config: PrepareConfig, folder: Path) -> None:
    """Open in this process what all its units need."""
    global _worker
    _worker = _Worker(config, open_source(config, folder), Tagger())


@dataclass(frozen=True)
class _Worker:
    config: PrepareConfig
    source: Source
    tagger: Tagger


_worker: _Worker


def _make_unit(units: Units, unit: Unit) -> int:
    """Read, check, tag and write the images of a unit; returns how many there were."""
    images: list[dict[str, Any]] = []
    scenes: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    for item in _worker.source.read(unit.start, unit.stop):
        if _worker.source.has_images:
            images.append(_image_row(item, _worker.config))
        if item.scene is not None:
            scenes.append({"image_id": item.image_id, "scene": item.scene})
        captions.extend(_caption_row(item.image_id, caption, _worker.tagger) for caption in item.captions)
    with images_writer(units.path(unit, _IMAGES_PART)) as write:
        write(pa.Table.from_pylist(images, IMAGES))
    write_table(units.path(unit, _SCENES_PART), pa.Table.from_pylist(scenes, SCENES), SCENES)
    write_table(units.path(unit), pa.Table.from_pylist(captions, CAPTIONS), CAPTIONS)  # last: the unit is done
    return unit.stop - unit.start


def _image_row(item: SourceImage, config: PrepareConfig) -> dict[str, Any]:
    row: dict[str, Any] = {"image_id": item.image_id, "source": item.source, "status": "ok"}
    if item.data is None:
        return row | {"status": "missing", "error": item.problem}
    try:
        stored = store_image(item.data, config.short_side, config.image_format, config.max_pixels)
    except ValueError as error:
        return row | {"status": "undecodable", "error": str(error)}
    return row | {"width": stored.width, "height": stored.height, "image": stored.data}


def _caption_row(image_id: str, caption: str, tagger: Tagger) -> dict[str, Any]:
    tokens = tokenize(caption)
    tags, lemmas = tagger.tag(tokens)
    # the id is the row number in the whole table: set when the parts are joined
    return {"caption_id": -1, "image_id": image_id, "caption": caption, "tokens": tokens, "tags": tags, "lemmas": lemmas}


def _check_images(config: PrepareConfig, units: Units, out_dir: Path) -> None:
    bad = []
    for part in units.paths(_IMAGES_PART):
        rows = read_images(part, ["source", "status", "error"]).to_pylist()
        bad += [f"{row['source']}: {row['status']} ({row['error']})" for row in rows if row["status"] != "ok"]
    if not bad:
        return
    listed = "\n  ".join(bad[:_LISTED_IMAGES]) + ("\n  ..." if len(bad) > _LISTED_IMAGES else "")
    message = f"{len(bad)} of {units.total} images are missing or do not decode:\n  {listed}"
    if len(bad) > config.max_bad_image_fraction * units.total:
        raise DataError(
            f"{message}\nThat is more than max_bad_image_fraction = {config.max_bad_image_fraction:g}. Fix the image"
            f" folder and delete {out_dir}, or raise prepare.max_bad_image_fraction."
        )
    logger.warning("%s\nTheir captions stay in the table; training skips them.", message)


def _finish(build: Building, config: PrepareConfig, units: Units, source: Source) -> Artifact:
    num_captions, num_long = _join_captions(units, build.path / _CAPTIONS_FILE)
    if num_captions == 0:
        raise DataError(f"{config.dataset}: the source holds no captions; check the card and prepare.captions")
    statuses = _join_images(units, build.path / IMAGES_FILE)
    counts = {
        "captions": num_captions,
        "captions_skipped": len(source.skipped),
        "captions_beyond_clip": num_long,
        "images": len(statuses),
    }
    counts |= {f"images_{status}": statuses.count(status) for status in ("missing", "undecodable")}
    files = [_CAPTIONS_FILE, IMAGES_FILE, "skipped.json", "card.json"]
    scenes = units.paths(_SCENES_PART)
    if any(pq.read_metadata(part).num_rows for part in scenes):
        join(scenes, build.path / _SCENES_FILE, SCENES)
        files.append(_SCENES_FILE)
    write_text_atomic(build.path / "skipped.json", json.dumps([row._asdict() for row in source.skipped], indent=1))
    write_text_atomic(build.path / "card.json", config.card().model_dump_json(indent=2))
    artifact = build.finish(counts, files)
    units.remove()
    return artifact


def _join_captions(units: Units, path: Path) -> tuple[int, int]:
    """Join the parts and number the captions; returns how many there are, and how many CLIP cannot read to their end."""
    rows = num_long = 0
    with table_writer(path, CAPTIONS) as write:
        for part in units.paths():
            table = read_table(part, CAPTIONS)
            ids = pa.array(range(rows, rows + len(table)), pa.int64())
            write(table.set_column(0, CAPTIONS.field("caption_id"), ids))
            rows += len(table)
            num_long += sum(map(exceeds_clip, table["caption"].to_pylist()))
    if num_long:
        logger.warning(
            "%s of %s captions are longer than the %d tokens that CLIP reads of a text: a model with this context does not see"
            " their ends, and they get no negatives",
            f"{num_long:,}",
            f"{rows:,}",
            CONTEXT,
        )
    return rows, num_long


def _join_images(units: Units, path: Path) -> list[str]:
    """Join the parts; returns the status of every image."""
    statuses: list[str] = []
    with images_writer(path) as write:
        for part in units.paths(_IMAGES_PART):
            table = read_images(part)
            write(table)
            statuses += table["status"].to_pylist()
    return statuses
