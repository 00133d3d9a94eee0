"""The prepare stage: a dataset card in, `captions.parquet` and `images.parquet` out.

Work is cut into units of images; each is read, checked, tagged and written as one part by one of several processes.
Knows the readers by their protocol only. Called by `degla.prepare.run`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from degla.artifacts import Artifact, Building, building
from degla.errors import DataError
from degla.files import atomic_path, write_text_atomic
from degla.prepare.config import PrepareConfig
from degla.prepare.images import store_image
from degla.prepare.readers import Source, SourceImage, open_source
from degla.processes import run_all, worker_count
from degla.progress import Progress
from degla.schemas import CAPTIONS, IMAGES, SCENES, read_table, write_table
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

logger = logging.getLogger(__name__)

_LISTED_IMAGES = 20
_SCHEMAS = {"images": IMAGES, "scenes": SCENES, "captions": CAPTIONS}  # captions last: its part marks a unit as done


def prepare(config: PrepareConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the captions and images tables of a dataset.

    Files: `captions.parquet`, `images.parquet` (empty for a card without images), `scenes.parquet` (mini world),
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


def _part(out_dir: Path, table: str, start: int, stop: int) -> Path:
    return out_dir / "parts" / f"{table}-{start:08d}-{stop:08d}.parquet"


def _make_units(config: PrepareConfig, units: list[tuple[int, int]], out_dir: Path) -> None:
    todo = [unit for unit in units if not _part(out_dir, "captions", *unit).exists()]
    total = units[-1][1] if units else 0
    done = total - sum(stop - start for start, stop in todo)
    progress = Progress(out_dir, "preparing images and captions", total, "images", done)
    calls = [(out_dir, *unit) for unit in todo]
    for count in run_all(_make_unit, calls, worker_count(config.workers, len(todo)), _begin, (config,)):
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
            images.append(_image_row(item, _worker.config.short_side))
        if item.scene is not None:
            scenes.append({"image_id": item.image_id, "scene": item.scene})
        captions.extend(_caption_row(item.image_id, caption, _worker.tagger) for caption in item.captions)
    rows = {"images": images, "scenes": scenes, "captions": captions}
    for table, schema in _SCHEMAS.items():
        write_table(_part(out_dir, table, start, stop), pa.Table.from_pylist(rows[table], schema), schema)
    return stop - start


def _image_row(item: SourceImage, short_side: int) -> dict[str, Any]:
    row: dict[str, Any] = {"image_id": item.image_id, "source": item.source, "status": "ok"}
    if item.data is None:
        return row | {"status": "missing", "error": item.problem}
    try:
        stored = store_image(item.data, short_side)
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
        columns = ["source", "status", "error"]
        rows = read_table(_part(out_dir, "images", *unit), IMAGES, columns).to_pylist()
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
    num_captions = _join(build.path, "captions", units)
    if num_captions == 0:
        raise DataError(f"{config.dataset}: the source holds no captions")
    counts = {"captions": num_captions, "captions_skipped": len(source.skipped)}
    files = ["captions.parquet", "images.parquet", "skipped.json", "card.json"]
    counts |= {"images": _join(build.path, "images", units)} | _bad_image_counts(build.path)
    if _join(build.path, "scenes", units):
        files.append("scenes.parquet")
    else:
        (build.path / "scenes.parquet").unlink()
    write_text_atomic(build.path / "skipped.json", json.dumps([asdict(row) for row in source.skipped], indent=1))
    write_text_atomic(build.path / "card.json", config.card().model_dump_json(indent=2))
    artifact = build.finish(counts, files)
    shutil.rmtree(build.path / "parts")
    return artifact


def _join(out_dir: Path, table: str, units: list[tuple[int, int]]) -> int:
    """Join a table's parts in order, part by part; captions get their ids. Returns the number of rows."""
    schema, rows = _SCHEMAS[table], 0
    with atomic_path(out_dir / f"{table}.parquet") as temporary:
        compression = "none" if table == "images" else "zstd"  # encoded images do not compress
        with pq.ParquetWriter(temporary, schema, compression=compression) as writer:
            for part in _parts(out_dir, table, units):
                if table == "captions":
                    ids = pa.array(range(rows, rows + part.num_rows), pa.int64())
                    part = part.set_column(0, schema.field("caption_id"), ids)
                writer.write_table(part.cast(schema))
                rows += part.num_rows
    return rows


def _parts(out_dir: Path, table: str, units: list[tuple[int, int]]) -> Iterator[pa.Table]:
    for unit in units:
        yield read_table(_part(out_dir, table, *unit), _SCHEMAS[table])


def _bad_image_counts(out_dir: Path) -> dict[str, int]:
    statuses = read_table(out_dir / "images.parquet", IMAGES, ["status"])["status"].to_pylist()
    return {f"images_{status}": statuses.count(status) for status in ("missing", "undecodable")}
