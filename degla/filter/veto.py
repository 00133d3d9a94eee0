"""The image-text veto: how much better a CLIP finds a negative to fit the image than its caption does.

Works through the images in units, one part each, written beside and moved into place: a filter that was killed goes on from
them. In a unit every image and every distinct text is encoded once. Knows nothing of rules and of what comes of a gap. Called
by `degla.filter.stage`, where the veto is on; this module loads torch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from PIL import Image

from degla.artifacts import Artifact
from degla.database import Database
from degla.errors import ConfigError, DataError
from degla.filter.config import ImageVeto
from degla.models.features import image_features, in_batches, text_features
from degla.models.loading import LoadedClip, load
from degla.progress import Progress
from degla.schemas import GAPS, IMAGES, check_table, read_table, write_table

PARTS_DIR = "veto"
_UNIT_SIZE = 500  # images; with 25 texts each, their features take 50 MB at a width of 512
_DECIMALS = 4  # of a gap: what float32 can tell of 100 times a cosine


@dataclass(frozen=True)
class _Unit:
    """The images [start, stop) of the table; all lie in one row group of its file."""

    group: int
    start: int
    stop: int

    @property
    def part(self) -> str:
        return f"{PARTS_DIR}/{self.start:08d}-{self.stop:08d}.parquet"


def check_images(prepared: Artifact) -> Path:
    """The images table. Raises ConfigError where nothing but captions was prepared."""
    path = prepared.file("images.parquet") if prepared.has("images.parquet") else None
    if path is None or pq.read_metadata(path).num_rows == 0:
        raise ConfigError(
            f"filter.veto compares texts with images, but {prepared.path} holds captions only. Prepare the dataset with its"
            f" images (prepare.images), or switch the veto off: filter.veto=null."
        )
    check_table(path, IMAGES)
    return path


def measure_gaps(database: Database, config: ImageVeto, images_path: Path, out_dir: Path) -> list[Path]:
    """Make the parts that are not there yet, and give the paths of all; together they hold a GAPS row for every candidate.

    The gap is in logits, `s (v·n - v·c)` with the model's logit scale s and the normalised features of image, negative and
    caption: the model holds the negative to be e^gap times as likely as the caption. Null where the image is missing or does
    not decode.

    Args:
        database: holds `candidates` with `caption_id, type, candidate, attempt, image_id, caption, text`.
        config: the model and its batch size.
        images_path: prepare's `images.parquet`.
        out_dir: the artifact in the making; parts go to `veto/` below it.

    Raises:
        DataError: a candidate's image is not in the table, or an image that prepare could read cannot be read now.
        MissingInputError, ModelError: see `degla.models.loading.load`.
    """
    units = list(_units(images_path))
    _register_images(database, images_path, units)
    pending = [unit for unit in units if not (out_dir / unit.part).is_file()]
    if pending:
        clip = load(config.model, "cuda" if torch.cuda.is_available() else "cpu")
        done = units[-1].stop - sum(unit.stop - unit.start for unit in pending)
        progress = Progress(out_dir, "comparing texts with images", units[-1].stop, "images", done)
        for unit, images in _read(images_path, pending):
            candidates = database.arrow(f"{_CANDIDATES} where start = {unit.start} {_ORDER}")
            write_table(out_dir / unit.part, _gaps(clip, config.batch_size, images, candidates), GAPS)
            progress.advance(unit.stop - unit.start)
    return [out_dir / unit.part for unit in units]


_CANDIDATES = "select c.* from candidates c join veto_images using (image_id)"
_ORDER = "order by caption_id, type, candidate, attempt"


def _units(path: Path) -> Iterator[_Unit]:
    metadata, first = pq.read_metadata(path), 0
    for group in range(metadata.num_row_groups):
        end = first + metadata.row_group(group).num_rows
        yield from (_Unit(group, start, min(start + _UNIT_SIZE, end)) for start in range(first, end, _UNIT_SIZE))
        first = end


def _register_images(database: Database, path: Path, units: Sequence[_Unit]) -> None:
    """Make `veto_images` readable: each image and the `start` of its unit."""
    starts = np.repeat([unit.start for unit in units], [unit.stop - unit.start for unit in units])
    images = read_table(path, IMAGES, ["image_id"])
    database.register("veto_images", images.append_column("start", pa.array(starts)))
    strays = database.rows("select min(image_id) from candidates anti join veto_images using (image_id)")
    if strays[0][0] is not None:
        raise DataError(f"a caption is of image {strays[0][0]!r}, which {path} does not have. Run prepare again.")


def _read(path: Path, units: Sequence[_Unit]) -> Iterator[tuple[_Unit, pa.Table]]:
    """The units with their images; a row group is read once."""
    parquet, group, table = pq.ParquetFile(path), -1, pa.table({})
    first = np.cumsum([0] + [parquet.metadata.row_group(k).num_rows for k in range(parquet.num_row_groups)])
    for unit in units:
        if unit.group != group:
            group, table = unit.group, parquet.read_row_group(unit.group, columns=["image_id", "status", "image"])
        yield unit, table.slice(unit.start - first[group], unit.stop - unit.start)


def _gaps(clip: LoadedClip, batch_size: int, images: pa.Table, candidates: pa.Table) -> pa.Table:
    """The GAPS rows of these candidates, in their order."""
    usable = images.filter(pc.equal(images["status"], "ok"))
    image_row = pc.index_in(candidates["image_id"], usable["image_id"].combine_chunks())
    judged = candidates.filter(pc.is_valid(image_row))
    gaps = np.full(len(candidates), np.nan)
    if len(judged):
        used = usable.take(pc.unique(image_row.drop_null()))
        gaps[pc.is_valid(image_row).to_numpy()] = _judged_gaps(clip, batch_size, used, judged)
    gap = pc.round(pa.array(gaps, from_pandas=True), _DECIMALS)
    return candidates.append_column("gap", gap)


def _judged_gaps(clip: LoadedClip, batch_size: int, images: pa.Table, candidates: pa.Table) -> np.ndarray:
    """Gaps, float64 (N,), of N candidates of these images."""
    image_MD = _image_features(clip, batch_size, images)
    image_N = pc.index_in(candidates["image_id"], images["image_id"].combine_chunks()).to_numpy()
    texts = pa.chunked_array([*candidates["text"].chunks, *candidates["caption"].chunks]).unique()
    text_TD = text_features(clip, clip.tokenizer(texts.to_pylist()), batch_size)
    negative_N, caption_N = (pc.index_in(candidates[name], texts).to_numpy() for name in ("text", "caption"))
    scale = clip.model.logit_scale.exp().item()
    pairs = zip(image_N, negative_N, caption_N, strict=True)
    return np.array([scale * image_MD[image] @ (text_TD[negative] - text_TD[caption]) for image, negative, caption in pairs])


def _image_features(clip: LoadedClip, batch_size: int, images: pa.Table) -> np.ndarray:
    def encode(rows: Sequence[int]) -> np.ndarray:
        return image_features(clip, [clip.preprocess(_decoded(images, row)) for row in rows])

    return np.stack(list(in_batches(encode, range(len(images)), batch_size, clip.device)))


def _decoded(images: pa.Table, row: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(images["image"][row].as_py())).convert("RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"image {images['image_id'][row]} cannot be decoded: {error}. Run prepare again.") from error
