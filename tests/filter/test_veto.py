"""The image-text veto and the log-probability limit: figures from elsewhere, nothing about batches, what a kill leaves."""

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from degla.database import connect
from degla.errors import DataError
from degla.filter import veto
from degla.filter.config import ImageVeto
from degla.filter.veto import check_images, measure_gaps
from degla.miniworld import CLIP_DIR
from degla.miniworld.dataset import reference_negatives
from degla.prepare import PrepareConfig
from degla.prepare import run as prepare
from degla.schemas import GAPS, IMAGES, read_table, write_table

SCENES = 60
CANDIDATES = pa.schema([*list(GAPS)[:-1], *(pa.field(name, pa.string()) for name in ("image_id", "caption", "text"))])
BROKEN = ("miniworld-000003", "miniworld-000021")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """60 drawn images with 3 captions each, in three row groups."""
    config = PrepareConfig(dataset="miniworld", options={"num_scenes": SCENES}, unit_size=20, workers=1)
    return prepare(config, {}, tmp_path_factory.mktemp("world") / "prepare")


def captions_of(world):
    return pq.read_table(world.file("captions.parquet")).to_pylist()


def table(rows):
    """Candidates from (caption row, type, text)."""
    shared = {"candidate": 0, "attempt": 1}
    kept = ("caption_id", "image_id", "caption")
    return pa.Table.from_pylist(
        [{name: caption[name] for name in kept} | shared | {"type": kind, "text": text} for caption, kind, text in rows],
        CANDIDATES,
    )


@pytest.fixture(scope="module")
def candidates(world):
    """Of each caption the next caption of the image, which is true, and a negative of the world's own, which is not."""
    captions = captions_of(world)
    false = [texts[0] for per_image in reference_negatives(SCENES, negatives_per_caption=1) for texts in per_image]
    true = [captions[3 * (k // 3) + (k + 1) % 3]["caption"] for k in range(len(captions))]
    rows = [(caption, "swap_nouns", text) for caption, text in zip(captions, true, strict=True)]
    return table([*rows, *((caption, "replace_nouns", text) for caption, text in zip(captions, false, strict=True))])


def gaps(candidates, images, out_dir, **settings):
    """The gap by caption and type."""
    with connect() as database:
        database.register("candidates", candidates)
        parts = measure_gaps(database, ImageVeto(**settings), images, out_dir)
    rows = pa.concat_tables([read_table(path, GAPS) for path in parts]).to_pylist()
    return {(row["caption_id"], row["type"]): row["gap"] for row in rows}


@pytest.fixture(scope="module")
def measured(world, candidates, tmp_path_factory):
    return gaps(candidates, check_images(world), tmp_path_factory.mktemp("measured"))


def test_the_gaps_are_those_of_plain_open_clip_one_pair_at_a_time(world, candidates, measured):
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{CLIP_DIR}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{CLIP_DIR}")
    pictures = {row["image_id"]: row["image"] for row in pq.read_table(world.file("images.parquet")).to_pylist()}
    assert len(measured) == len(candidates) == 2 * 3 * SCENES
    for row in candidates.to_pylist()[::7]:
        image = preprocess(Image.open(pa.BufferReader(pictures[row["image_id"]])))[None]
        with torch.no_grad():
            logits = [model(image, tokenizer([row[name]])) for name in ("caption", "text")]
        caption, negative = (float(scale * (image * text).sum()) for image, text, scale in logits)
        assert measured[row["caption_id"], row["type"]] == pytest.approx(negative - caption, abs=2e-4)


def test_what_is_true_is_refused_more_often_than_what_is_false(measured):
    true, false = (
        np.array([gap for (_, kind), gap in measured.items() if kind == name]) for name in ("swap_nouns", "replace_nouns")
    )
    for margin in (0.0, -0.25, -0.5):
        assert (true > margin).mean() > (false > margin).mean() + 0.1


def test_neither_batches_nor_order_nor_units_change_a_gap(world, candidates, measured, tmp_path, monkeypatch):
    monkeypatch.setattr(veto, "_UNIT_SIZE", 7)
    mixed = candidates.take(np.random.default_rng(0).permutation(len(candidates)))
    again = gaps(mixed, check_images(world), tmp_path, batch_size=5)
    assert again.keys() == measured.keys()
    assert max(abs(again[key] - measured[key]) for key in again) <= 1.01e-4
    assert len(list((tmp_path / "veto").iterdir())) == 9


def test_an_image_that_is_missing_or_broken_is_not_judged(world, candidates, measured, tmp_path):
    images = read_table(world.file("images.parquet"), IMAGES).to_pylist()
    for row, status in zip((row for row in images if row["image_id"] in BROKEN), ("missing", "undecodable"), strict=True):
        row |= {"status": status, "image": None}
    write_table(tmp_path / "images.parquet", pa.Table.from_pylist(images, IMAGES), IMAGES)
    found = gaps(candidates, tmp_path / "images.parquet", tmp_path)
    broken = {row["caption_id"] for row in candidates.to_pylist() if row["image_id"] in BROKEN}
    assert {caption for (caption, _), gap in found.items() if gap is None} == broken
    assert all(gap == pytest.approx(measured[key], abs=1.01e-4) for key, gap in found.items() if key[0] not in broken)


def test_an_image_that_no_longer_decodes_is_named(world, candidates, tmp_path):
    images = read_table(world.file("images.parquet"), IMAGES).to_pylist()
    images[5]["image"] = images[5]["image"][:40]
    write_table(tmp_path / "images.parquet", pa.Table.from_pylist(images, IMAGES), IMAGES)
    with pytest.raises(DataError, match="image miniworld-000005 cannot be decoded"):
        gaps(candidates, tmp_path / "images.parquet", tmp_path)


def test_images_of_other_data_are_refused(world, tmp_path):
    stray = table([({"caption_id": 0, "image_id": "elsewhere", "caption": "a"}, "replace_nouns", "b")])
    with pytest.raises(DataError, match="a caption is of image 'elsewhere'"):
        gaps(stray, check_images(world), tmp_path)
