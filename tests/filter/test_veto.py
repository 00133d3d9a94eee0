"""The image-text veto and the log-probability limit: figures from elsewhere, nothing about batches, what a kill leaves."""

import itertools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from caption_tables import captions_table, prepare_artifact
from PIL import Image
from world_negatives import reference_negatives

from degla.artifacts import Building
from degla.config import effective
from degla.database import connect
from degla.errors import ConfigError, DataError, ModelError
from degla.filter import FilterConfig, veto
from degla.filter.config import ImageVeto
from degla.filter.inputs import veto_images
from degla.filter.stage import filter_rewrites
from degla.filter.veto import measure_gaps
from degla.generate import GenerateConfig
from degla.images import images_writer, read_images
from degla.judge.rules import Rule
from degla.miniworld import CLIP_DIR
from degla.models import ModelRef
from degla.models.loading import load
from degla.negative_types import NEGATIVE_TYPES
from degla.prepare import PrepareConfig
from degla.prepare import run as prepare
from degla.schemas import GAPS, IMAGES, REWRITES, read_table, write_table

pytestmark = pytest.mark.slow

SCENES = 60
CANDIDATES = pa.schema([*list(GAPS)[:-1], *(pa.field(name, pa.string()) for name in ("image_id", "caption", "text"))])
BROKEN = (3, 21)
KEEP_ALL = Rule("any", NEGATIVE_TYPES, "true", "test", "form")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """60 drawn images with 3 captions each, in three row groups."""
    config = PrepareConfig(dataset="miniworld", options={"num_scenes": SCENES}, unit_size=20, workers=1)
    return prepare(config, {}, tmp_path_factory.mktemp("world") / "prepare")


def captions_of(world):
    return pq.read_table(world.file("captions.parquet")).to_pylist()


def candidate_table(rows):
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
    return candidate_table([*rows, *((caption, "replace_nouns", text) for caption, text in zip(captions, false, strict=True))])


def gaps(candidates, images, out_dir, **settings):
    """The gap by caption and type."""
    with connect() as database:
        database.register("candidates", candidates)
        parts = measure_gaps(database, ImageVeto(**settings), images, out_dir / "veto").paths()
    rows = pa.concat_tables([read_table(path, GAPS) for path in parts]).to_pylist()
    return {(row["caption_id"], row["type"]): row["gap"] for row in rows}


@pytest.fixture(scope="module")
def measured(world, candidates, tmp_path_factory):
    return gaps(candidates, veto_images(world), tmp_path_factory.mktemp("measured"))


def test_the_gaps_are_those_of_plain_open_clip_one_pair_at_a_time(world, candidates, measured):
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{CLIP_DIR}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{CLIP_DIR}")
    pictures = {row["image_id"]: row["image"] for row in read_images(world.file("images.arrow")).to_pylist()}
    assert len(measured) == len(candidates) == 2 * 3 * SCENES
    for row in candidates.to_pylist()[::23]:
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
    again = gaps(mixed, veto_images(world), tmp_path, batch_size=5)
    assert again.keys() == measured.keys()
    assert max(abs(again[key] - measured[key]) for key in again) <= 1.01e-4
    assert len(list((tmp_path / "veto").iterdir())) == 9


def test_an_image_that_is_missing_or_broken_is_not_judged(world, candidates, measured, tmp_path):
    images = read_images(world.file("images.arrow")).to_pylist()
    for place, status in zip(BROKEN, ("missing", "undecodable"), strict=True):
        images[place] |= {"status": status, "image": None}
    with images_writer(tmp_path / "images.arrow") as write:
        write(pa.Table.from_pylist(images, IMAGES))
    found = gaps(candidates, tmp_path / "images.arrow", tmp_path)
    broken = {3 * place + k for place in BROKEN for k in range(3)}
    assert {caption for (caption, _), gap in found.items() if gap is None} == broken
    assert all(gap == pytest.approx(measured[key], abs=1.01e-4) for key, gap in found.items() if key[0] not in broken)


def test_an_image_that_no_longer_decodes_is_named(world, candidates, tmp_path):
    images = read_images(world.file("images.arrow")).to_pylist()
    images[5]["image"] = images[5]["image"][:40]
    with images_writer(tmp_path / "images.arrow") as write:
        write(pa.Table.from_pylist(images, IMAGES))
    with pytest.raises(DataError, match="image miniworld-000005 cannot be decoded"):
        gaps(candidates, tmp_path / "images.arrow", tmp_path)


def test_images_of_other_data_are_refused(world, tmp_path):
    stray = candidate_table([({"caption_id": 0, "image_id": "elsewhere", "caption": "a"}, "replace_nouns", "b")])
    with pytest.raises(DataError, match="a caption is of image 'elsewhere'"):
        gaps(stray, veto_images(world), tmp_path)


def generated(folder, rows):
    """A generate artifact of these rows: (caption_id, type, text) and perhaps candidate, generator, mean_logprob."""
    names = ("caption_id", "type", "text", "candidate", "generator", "mean_logprob")
    defaults = {"status": "ok", "candidate": 0, "attempt": 1, "seed": 7, "generator": "test", "model_sha": "0"}
    table = [defaults | dict(zip(names, row, strict=False)) for row in rows]
    write_table(folder / "rewrites" / "part-00000.parquet", pa.Table.from_pylist(table, REWRITES), REWRITES)
    return Building(folder, GenerateConfig(), {}, {}, "1" * 16).finish({}, ["rewrites/part-00000.parquet"])


@pytest.fixture(scope="module")
def inputs(world, candidates, tmp_path_factory):
    rows = [(row["caption_id"], row["type"], row["text"]) for row in candidates.to_pylist()]
    return {"prepare": world, "generate": generated(tmp_path_factory.mktemp("generate"), rows)}


def filtered(inputs, out_dir, **settings):
    return filter_rewrites(FilterConfig(**settings), inputs, out_dir, rules=[KEEP_ALL], set_rules=[])


def rejected(artifact):
    rows = pq.read_table(artifact.file("rejected.parquet")).to_pylist()
    return {(row["caption_id"], row["type"]) for row in rows if row["rule"] == "no_better_match"}


@pytest.fixture(scope="module")
def vetoed(inputs, tmp_path_factory):
    return filtered(inputs, tmp_path_factory.mktemp("vetoed"), veto={"margin": -0.25})


def test_the_veto_refuses_what_exceeds_the_margin_of_the_types_that_it_judges(vetoed, measured):
    judged = {key: gap for key, gap in measured.items() if key[1] == "replace_nouns"}
    assert rejected(vetoed) == {key for key, gap in judged.items() if gap > -0.25}
    assert (vetoed.counts["veto_judged"], vetoed.counts["veto_not_judged"]) == (len(judged), 0)
    rules = json.loads(vetoed.file("summary.json").read_text())["rules"]
    assert [rule["name"] for rule in rules] == [KEEP_ALL.name, "no_better_match"]


def test_the_gaps_can_be_asked_beside_the_rejected_rows(vetoed, measured):
    table = read_table(vetoed.file("veto.parquet"), GAPS)
    assert {(row["caption_id"], row["type"]): row["gap"] for row in table.to_pylist()} == {
        key: gap for key, gap in measured.items() if key[1] == "replace_nouns"
    }
    assert not (vetoed.path / "veto").exists()


def test_texts_that_another_rule_refused_are_not_compared(inputs, tmp_path):
    odd = Rule("odd", NEGATIVE_TYPES, "caption_id % 2 = 1", "test", "form")
    artifact = filter_rewrites(FilterConfig(veto={}), inputs, tmp_path, rules=[odd], set_rules=[])
    assert {caption % 2 for caption in read_table(artifact.file("veto.parquet"), GAPS)["caption_id"].to_pylist()} == {1}
    assert artifact.counts["veto_judged"] == 3 * SCENES / 2


def test_texts_of_broken_images_are_kept_and_counted(inputs, tmp_path, caplog):
    images = read_images(inputs["prepare"].file("images.arrow")).to_pylist()
    images[BROKEN[0]] |= {"status": "missing", "image": None}
    folder = tmp_path / "prepare"
    with images_writer(folder / "images.arrow") as write:
        write(pa.Table.from_pylist(images, IMAGES))
    shutil.copy(inputs["prepare"].file("captions.parquet"), folder)
    holey = Building(folder, PrepareConfig(), {}, {}, "2" * 16).finish({}, ["captions.parquet", "images.arrow"])
    with caplog.at_level(logging.WARNING):
        artifact = filtered({**inputs, "prepare": holey}, tmp_path / "filter", veto={"margin": -100})
    assert (artifact.counts["veto_judged"], artifact.counts["veto_not_judged"]) == (3 * (SCENES - 1), 3)
    assert len(rejected(artifact)) == 3 * (SCENES - 1)
    assert "could not judge 3 texts: their image is missing or does not decode" in caplog.text


KILLED = """
import os, signal, sys
from pathlib import Path
from degla.artifacts import Artifact
from degla.filter import FilterConfig, veto
from degla.filter.stage import filter_rewrites
from test_veto import KEEP_ALL

write = veto.write_table
def write_one_and_die(path, table, schema):
    write(path, table, schema)
    os.kill(os.getpid(), signal.SIGKILL)
veto.write_table, veto._UNIT_SIZE = write_one_and_die, 20
prepare, generate, out_dir = map(Path, sys.argv[1:])
inputs = {"prepare": Artifact.load(prepare), "generate": Artifact.load(generate)}
filter_rewrites(FilterConfig(veto={"margin": -0.25}), inputs, out_dir, rules=[KEEP_ALL], set_rules=[])
"""


@pytest.mark.slow
def test_a_killed_filter_goes_on_from_its_parts_to_the_same_artifact(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(veto, "_UNIT_SIZE", 20)
    whole = filtered(inputs, tmp_path / "whole", veto={"margin": -0.25})
    out_dir = tmp_path / "killed"
    paths = [str(inputs[stage].path) for stage in ("prepare", "generate")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *paths, str(out_dir)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (out_dir / "veto").glob("[!.]*")] == ["00000000-00000020.parquet"]
    made, write = [], veto.write_table
    monkeypatch.setattr(veto, "write_table", lambda path, table, schema: made.append(path.name) or write(path, table, schema))
    again = filtered(inputs, out_dir, veto={"margin": -0.25})
    assert made == ["00000020-00000040.parquet", "00000040-00000060.parquet"]
    assert again.manifest.files == whole.manifest.files


def test_captions_without_images_are_refused_before_anything_is_judged(tmp_path):
    captions_only = prepare_artifact(tmp_path / "prepare", captions_table(["a dog on a couch"]))
    inputs = {"prepare": captions_only, "generate": generated(tmp_path / "generate", [(0, "replace_nouns", "a cat on a couch")])}
    with pytest.raises(ConfigError, match=r"holds captions only.*prepare\.images.*filter\.veto=null"):
        filtered(inputs, tmp_path / "filter", veto={})
    assert not (tmp_path / "filter" / "rejected.parquet").exists()


def test_the_model_is_part_of_what_the_filter_read_and_the_batch_size_is_not():
    assert FilterConfig().raw_inputs() == {}
    assert FilterConfig(veto={}).raw_inputs() == {"veto": ModelRef().checksum()}
    assert effective(FilterConfig(veto={"batch_size": 3})) == effective(FilterConfig(veto={}))
    assert effective(FilterConfig(veto={"margin": 3})) != effective(FilterConfig(veto={}))


def test_a_filter_without_the_veto_loads_no_torch():
    code = "import sys, degla.filter.stage; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False"]


@pytest.fixture(scope="module")
def likelihoods(tmp_path_factory):
    """400 texts of two types and two generators, and texts by rules, which tell no log-probability."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("likelihoods")
    rows = []
    for k in range(400):
        kind, generator = random.choice(["replace_nouns", "swap_nouns"]), random.choice(["small", "large"])
        rows.append((k % 10, kind, f"text number {k}", k // 10, generator, round(float(random.normal(-1, 0.5)), 2)))
    rows += [(k % 10, "replace_nouns", f"by rules {k}", 100 + k, "rules", None) for k in range(20)]
    captions = captions_table([f"caption {k}" for k in range(10)])
    return {"prepare": prepare_artifact(folder / "prepare", captions), "generate": generated(folder / "generate", rows)}, rows


@pytest.mark.parametrize("quantile", [0.1, 0.25, 0.5, 0.9])
def test_the_least_likely_of_each_type_and_generator_are_refused_as_numpy_finds_them(likelihoods, quantile, tmp_path):
    inputs, rows = likelihoods
    expected = set()
    for kind, generator in itertools.product(["replace_nouns", "swap_nouns"], ["small", "large"]):
        group = [row for row in rows if row[1] == kind and row[4] == generator]
        limit = np.quantile([row[5] for row in group], quantile)
        expected |= {row[2] for row in group if row[5] < limit}
    config = FilterConfig(min_logprob_quantile=quantile)
    artifact = filter_rewrites(config, inputs, tmp_path, rules=[KEEP_ALL], set_rules=[], chunk_rows=6)
    table = pq.read_table(artifact.file("rejected.parquet"))
    assert set(table["text"].to_pylist()) == expected
    assert set(table["rule"].to_pylist()) == {"probable"}


def test_no_text_is_refused_for_its_likelihood_unless_asked(likelihoods, tmp_path):
    inputs, rows = likelihoods
    artifact = filtered(inputs, tmp_path)
    assert artifact.counts["kept"] == len(rows)
    assert "probable" not in artifact.file("summary.json").read_text()


def test_a_model_that_gives_no_numbers_stops_the_veto_instead_of_judging_nothing(world, candidates, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        clip = load(*arguments, **options)
        clip.model.text_projection.data.fill_(3e38)
        return clip

    monkeypatch.setattr(veto, "load", broken)
    with pytest.raises(ModelError, match=r"model of filter.veto: the feature of text .* is NaN or infinite"):
        gaps(candidates, world.file("images.arrow"), tmp_path)
