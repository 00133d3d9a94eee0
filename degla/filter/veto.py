"""The image-text veto: how much better a CLIP finds a negative to fit the image than its caption does.

Works through the images in units (`degla.units`). In a unit every image and every distinct text is encoded once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image

from degla.database import Database
from degla.errors import DataError
from degla.filter.config import ImageVeto
from degla.filter.rules import match_rule
from degla.filter.sieve import refuse
from degla.images import decode, read_images
from degla.models.fast_modules import make_fast
from degla.models.features import check_finite, default_batch_size, image_features, in_batches, text_features
from degla.models.loading import LoadedClip, load
from degla.schemas import GAPS, write_table
from degla.units import Unit, Units, cut, join

logger = logging.getLogger(__name__)

_UNIT_SIZE = 500  # images; with 25 texts each, their features take 50 MB at a width of 512
_DECIMALS = 4  # of a gap: what float32 can tell of 100 times a cosine


def apply_veto(database: Database, config: ImageVeto, images_path: Path, gaps_path: Path) -> dict[str, int]:
    """Refuse in `verdicts` the texts that fit their image too well.

    Args:
        database: holds `all_captions`, `texts`, and `verdicts` in which every row rule has spoken.
        config: the veto.
        images_path: prepare's `images.arrow`.
        gaps_path: the GAPS file to write, a row for each text of `config.types` that passed so far; what is there is used.

    Returns:
        Counts: `veto_judged`, and `veto_not_judged` (texts whose image is missing or does not decode).

    Raises:
        As `measure_gaps`.
    """
    database.execute(_CANDIDATES.format(types=", ".join(map(database.literal, config.types))))
    if not gaps_path.is_file():
        units = measure_gaps(database, config, images_path, gaps_path.with_suffix(""))
        join(units.paths(), gaps_path, GAPS)
        units.remove()
    database.execute(f"create temp view gaps as select * from read_parquet({database.literal(str(gaps_path))})")
    rule = match_rule(config)
    database.execute(f"create table better_matches as select * from gaps where not ({rule.sql})")
    refuse(database, rule.name, "better_matches")
    asked, judged, refused = database.rows(_COUNTS)[0]
    logger.info("the veto refused %s of %s texts", f"{refused:,}", f"{judged:,}")
    if judged < asked:
        logger.warning("the veto could not judge %s texts: their image is missing or does not decode", f"{asked - judged:,}")
    return {"veto_judged": judged, "veto_not_judged": asked - judged}


def measure_gaps(database: Database, config: ImageVeto, images_path: Path, parts_dir: Path) -> Units:
    """Make the missing parts; together they hold a GAPS row for every candidate.

    The gap is in logits, `s (v·n - v·c)` with the model's logit scale s and the normalised features of image, negative and
    caption: the model holds the negative to be e^gap times as likely as the caption. Null where the image is missing or does
    not decode.

    Args:
        database: holds `candidates` with `caption_id, type, candidate, attempt, image_id, caption, text`.
        config: the model and its batch size.
        images_path: prepare's `images.arrow`.
        parts_dir: where the parts go; progress is told to the folder above.

    Raises:
        DataError: a candidate's image is not in the table, or an image that prepare could read cannot be read now.
        ModelError: a feature is not finite.
        MissingInputError, ModelError: see `degla.models.loading.load`.
    """
    images = read_images(images_path, ["image_id", "status", "image"])
    units = Units(parts_dir, "{start:08d}-{stop:08d}.parquet", cut(len(images), _UNIT_SIZE))
    spans = _register_images(database, images_path, images, units)
    if missing := units.missing():
        clip = load(config.model, "cuda" if torch.cuda.is_available() else "cpu", any_tower=True)
        make_fast(clip.model)
        batch_size = config.batch_size or default_batch_size(clip.device)
        progress = units.progress(parts_dir.parent, "comparing texts with images", "images")
        for unit in missing:
            first, last = spans.get(unit.start, (0, -1))
            candidates = database.arrow(_OF_UNIT.format(start=unit.start, first=first, last=last))
            of_unit = images.slice(unit.start, unit.stop - unit.start)
            write_table(units.path(unit), _gaps(clip, batch_size, of_unit, candidates), GAPS)
            progress.advance(unit.stop - unit.start)
    return units


def _register_images(database: Database, path: Path, images: pa.Table, units: Iterable[Unit]) -> dict[int, tuple[int, int]]:
    """Make `veto_images` readable: each image and the `start` of its unit. Returns the first and last caption of each unit."""
    starts = np.repeat([unit.start for unit in units], [unit.stop - unit.start for unit in units])
    database.register("veto_images", images.select(["image_id"]).append_column("start", pa.array(starts)))
    strays = database.rows("select min(image_id) from candidates anti join veto_images using (image_id)")
    if strays[0][0] is not None:
        raise DataError(f"a caption is of image {strays[0][0]!r}, which {path} does not have. Run prepare again.")
    return {start: (first, last) for start, first, last in database.rows(_SPANS)}


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
    check_finite("of filter.veto", image_MD, [f"image {image}" for image in images["image_id"].to_pylist()])
    check_finite("of filter.veto", text_TD, [f"text {text!r}" for text in texts.to_pylist()])
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
        return Image.fromarray(decode(images["image"][row].as_buffer(), max_pixels=None))
    except ValueError as error:
        raise DataError(f"image {images['image_id'][row]} cannot be decoded: {error}. Run prepare again.") from error


_CANDIDATES = """
create temp view candidates as
select caption_id, type, candidate, attempt, c.image_id, c.caption, t.text
from texts t join verdicts v using (caption_id, type, candidate, attempt) join all_captions c using (caption_id)
where v.rule is null and type in ({types})
"""
_SPANS = "select start, min(caption_id), max(caption_id) from candidates join veto_images using (image_id) group by start"
_OF_UNIT = """
select c.* from candidates c join veto_images using (image_id)
where start = {start} and caption_id between {first} and {last} order by caption_id, type, candidate, attempt
"""
_COUNTS = "select (select count(*) from gaps), (select count(gap) from gaps), (select count(*) from better_matches)"
