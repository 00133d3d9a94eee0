"""The prepare stage: a dataset card in, `captions.parquet` and `images.arrow` out.

Work is cut into units of images; each is read, checked, tagged and written as one part by one of several processes.
Knows the readers by their protocol only.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from degla.artifacts import Artifact, Building, building
from degla.errors import DataError
from degla.files import write_text_atomic
from degla.images import IMAGES_FILE, images_writer, read_images
from degla.prepare.config import PrepareConfig
from degla.prepare.images import store_image
from degla.prepare.readers import Source, SourceImage, open_source
from degla.processes import run_all, worker_count
from degla.progress import Progress
from degla.schemas import CAPTIONS, IMAGES, SCENES, read_table, table_writer, write_table
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

logger = logging.getLogger(__name__)

_LISTED_IMAGES = 20
_CAPTIONS_FILE, _SCENES_FILE = "captions.parquet", "scenes.parquet"


def prepare(config: PrepareConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the captions and images tables of a dataset.

    Files: `captions.parquet`, `images.arrow` (empty for a card without images), `scenes.parquet` (mini world),
    `skipped.json` (captions left out, and why), `card.json`.

    Raises:
        MissingInputError: the card, the caption file or the image folder is missing.
        DataError: the caption file is broken, or too large a share of the images is missing or undecodable.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        source = open_source(config)
        units = _units(config, source)
        _make_units(config, units, out_dir)
        _check_images(config, units, out_dir, source)
        return _finish(build, config, units, source)


def _units(config: PrepareConfig, source: Source) -> list[tuple[int, int]]:
    total = min(len(source), config.limit or len(source))
    return [(start, min(start + config.unit_size, total)) for start in range(0, total, config.unit_size)]


def _part(out_dir: Path, name: str, start: int, stop: int) -> Path:
    table, suffix = name.split(".")
    return out_dir / "parts" / f"{table}-{start:08d}-{stop:08d}.{suffix}"


def _make_units(config: PrepareConfig, units: list[tuple[int, int]], out_dir: Path) -> None:
    pending = [unit for unit in units if not _part(out_dir, _CAPTIONS_FILE, *unit).exists()]
    total = units[-1][1] if units else 0
    done = total - sum(stop - start for start, stop in pending)
    progress = Progress(out_dir, "preparing images and captions", total, "images", done)
    calls = [(out_dir, *unit) for unit in pending]
    for count in run_all(_make_unit, calls, worker_count(config.workers, len(pending)), _begin, (config,)):
        progress.advance(count)


def _begin(config: PrepareConfig) -> None:
    """Open in this process what all its units need."""
    global _worker
    _worker = _Worker(config, open_source(config), Tagger())


@dataclass(frozen=True)
class _Worker:
    config: PrepareConfig
    source: Source
    tagger: Tagger


_worker: _Worker


def _make_unit(out_dir: Path, start: int, stop: int) -> int:
    """Read, check, tag and write the images [start, stop); returns how many there were."""
    images, scenes, captions = [], [], []
    for item in _worker.source.read(start, stop):
        if _worker.source.has_images:
            images.append(_image_row(item, _worker.config))
        if item.scene is not None:
            scenes.append({"image_id": item.image_id, "scene": item.scene})
        captions.extend(_caption_row(item.image_id, caption, _worker.tagger) for caption in item.captions)
    with images_writer(_part(out_dir, IMAGES_FILE, start, stop)) as write:
        write(pa.Table.from_pylist(images, IMAGES))
    write_table(_part(out_dir, _SCENES_FILE, start, stop), pa.Table.from_pylist(scenes, SCENES), SCENES)
    # captions last: their part marks a unit as done
    write_table(_part(out_dir, _CAPTIONS_FILE, start, stop), pa.Table.from_pylist(captions, CAPTIONS), CAPTIONS)
    return stop - start


def _image_row(item: SourceImage, config: PrepareConfig) -> dict[str, Any]:
    row: dict[str, Any] = {"image_id": item.image_id, "source": item.source, "status": "ok"}
    if item.data is None:
        return row | {"status": "missing", "error": item.problem}
    try:
        stored = store_image(item.data, config.short_side, config.image_format)
    except ValueError as error:
        return row | {"status": "undecodable", "error": str(error)}
    return row | {"width": stored.width, "height": stored.height, "image": stored.data}


def _caption_row(image_id: str, caption: str, tagger: Tagger) -> dict[str, Any]:
    tokens = tokenize(caption)
    tags, lemmas = tagger.tag(tokens)
    # the id is the row's place in the whole table, known when the parts are joined
    return {"caption_id": -1, "image_id": image_id, "caption": caption, "tokens": tokens, "tags": tags, "lemmas": lemmas}


def _check_images(config: PrepareConfig, units: list[tuple[int, int]], out_dir: Path, source: Source) -> None:
    if not source.has_images:
        return
    bad = []
    for unit in units:
        rows = read_images(_part(out_dir, IMAGES_FILE, *unit), ["source", "status", "error"]).to_pylist()
        bad += [f"{row['source']}: {row['status']} ({row['error']})" for row in rows if row["status"] != "ok"]
    if not bad:
        return
    total = units[-1][1]
    listed = "\n  ".join(bad[:_LISTED_IMAGES]) + ("\n  ..." if len(bad) > _LISTED_IMAGES else "")
    message = f"{len(bad)} of {total} images are missing or do not decode:\n  {listed}"
    if len(bad) > config.max_bad_image_fraction * total:
        raise DataError(
            f"{message}\nThat is more than max_bad_image_fraction = {config.max_bad_image_fraction:g}. Mend the image"
            f" folder and delete {out_dir}, or raise prepare.max_bad_image_fraction."
        )
    logger.warning("%s\nTheir captions stay in the table; training leaves them out.", message)


def _finish(build: Building, config: PrepareConfig, units: list[tuple[int, int]], source: Source) -> Artifact:
    num_captions = _join_captions(build.path, units)
    if num_captions == 0:
        raise DataError(f"{config.dataset}: the source holds no captions")
    statuses = _join_images(build.path, units)
    counts = {"captions": num_captions, "captions_skipped": len(source.skipped), "images": len(statuses)}
    counts |= {f"images_{status}": statuses.count(status) for status in ("missing", "undecodable")}
    files = [_CAPTIONS_FILE, IMAGES_FILE, "skipped.json", "card.json"]
    scenes = pa.concat_tables(read_table(_part(build.path, _SCENES_FILE, *unit), SCENES) for unit in units)
    if len(scenes):
        write_table(build.path / _SCENES_FILE, scenes, SCENES)
        files.append(_SCENES_FILE)
    write_text_atomic(build.path / "skipped.json", json.dumps([asdict(row) for row in source.skipped], indent=1))
    write_text_atomic(build.path / "card.json", config.card().model_dump_json(indent=2))
    artifact = build.finish(counts, files)
    shutil.rmtree(build.path / "parts")
    return artifact


def _join_captions(out_dir: Path, units: list[tuple[int, int]]) -> int:
    """Join the parts in order, part by part, and number the rows; returns how many there are."""
    rows = 0
    with table_writer(out_dir / _CAPTIONS_FILE, CAPTIONS) as write:
        for unit in units:
            part = read_table(_part(out_dir, _CAPTIONS_FILE, *unit), CAPTIONS)
            ids = pa.array(range(rows, rows + len(part)), pa.int64())
            write(part.set_column(0, CAPTIONS.field("caption_id"), ids))
            rows += len(part)
    return rows


def _join_images(out_dir: Path, units: list[tuple[int, int]]) -> list[str]:
    """Join the parts in order, part by part; returns the status of every image."""
    statuses: list[str] = []
    with images_writer(out_dir / IMAGES_FILE) as write:
        for unit in units:
            part = read_images(_part(out_dir, IMAGES_FILE, *unit))
            write(part)
            statuses += part["status"].to_pylist()
    return statuses
