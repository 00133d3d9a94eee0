"""Batches follow from the seed and the step alone, and nothing is left out without being counted."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from degla.errors import ConfigError, DataError, InputError
from degla.images import IMAGES_FILE, ImageStore, images_writer, read_images
from degla.models.loading import load
from degla.models.trees import NODES_AT_ONCE
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import IMAGES
from degla.train.batches.context import Cut, find_cut
from degla.train.batches.data import (
    BatchMaker,
    Samples,
    Timed,
    TokenCache,
    join,
    prefetched,
)
from degla.train.batches.negatives import other_negatives, own_negatives
from degla.train.batches.order import Plan
from degla.train.batches.pixels import Crop
from degla.train.batches.trees import TreeCache
from degla.train.config import TrainConfig
from degla.train.job import Job
from degla.train.training import batch_maker

TOKENS = 24


def joined(inputs, folder, types=NEGATIVE_TYPES):
    counts = join(inputs["prepare"].file("images.arrow"), inputs["filter"].file("training.parquet"), types, folder)
    return counts, Samples(folder)


def letters(texts):
    """A tokenizer: one letter, one token; 255 ends the text."""
    rows = np.zeros((len(texts), TOKENS), int)
    for row, text in zip(rows, texts, strict=True):
        codes = [*text.encode()[: TOKENS - 1], 255]
        row[: len(codes)] = codes
    return rows


def used(rows):
    return (rows > 0).sum(1)


def maker(inputs, samples, rank=0, num_ranks=1, seed=7, negatives_of=None, scale=(0.5, 1.0), batch_size=12):
    return BatchMaker(
        samples=samples,
        images=ImageStore(inputs["prepare"].file(IMAGES_FILE)),
        plan=Plan(samples.image_rows, batch_size, seed, rank, num_ranks),
        crop=Crop((32, 32), scale, seed),
        texts=TokenCache(samples, letters, lambda rows: np.full(len(rows), TOKENS), TOKENS, 256),
        negatives_of=own_negatives(len(samples)) if negatives_of is None else negatives_of,
        cut=Cut(0, np.zeros(samples.num_texts, bool)),
        num_negatives=4,
    )


def parts(batch):
    return batch.image_BHW3, batch.text, batch.slot_T, batch.type_BK


def content(batch):
    """A batch as one entry per caption: pixels, its tokens, its negatives' tokens."""
    rows, negatives = batch.mask_BK.shape
    texts = np.zeros((rows * (1 + negatives), TOKENS), int)
    texts[batch.slot_T] = batch.text
    own = texts.reshape(rows, 1 + negatives, TOKENS)
    return [(batch.image_BHW3[i].tobytes(), own[i, 0].tobytes(), own[i, 1:].tobytes()) for i in range(rows)]


def test_captions_are_joined_with_their_image_and_negatives(inputs, tmp_path):
    counts, samples = joined(inputs, tmp_path)
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    image_ids = read_images(inputs["prepare"].file("images.arrow"))["image_id"].to_pylist()
    assert (counts.captions, counts.images, counts.captions_without_image) == (60, 30, 0)
    assert counts.negatives == sum(len(row["negatives"]) for row in table)
    for i, row in enumerate(table):
        assert samples.caption_ids[i] == row["caption_id"]
        assert samples.text(i) == row["caption"]
        assert [samples.text(n) for n in samples.negatives_of(i)] == [each["text"] for each in row["negatives"]]
        assert image_ids[samples.image_rows[i]] == row["image_id"]


def test_only_negatives_of_the_chosen_types_are_joined(inputs, tmp_path):
    types = ("swap_nouns", "replace_adjectives")
    counts, samples = joined(inputs, tmp_path, types)
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    expected = [[each["text"] for each in row["negatives"] if each["type"] in types] for row in table]
    assert [[samples.text(n) for n in samples.negatives_of(i)] for i in range(len(table))] == expected
    assert counts.negatives == sum(map(len, expected)) > 0


def test_captions_without_a_usable_image_are_left_out_and_counted(make, tmp_path):
    inputs = make(bad=(0, 7))
    counts, samples = joined(inputs, tmp_path)
    assert (counts.captions, counts.captions_without_image, counts.images) == (56, 4, 28)
    assert not {100, 101, 114, 115} & set(samples.caption_ids.tolist())
    row = samples.caption_ids.tolist().index(120)
    assert samples.image_rows[row] == 10
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    assert [samples.text(n) for n in samples.negatives_of(row)] == [each["text"] for each in table[20]["negatives"]]


def test_a_dataset_without_images_is_refused(make, tmp_path):
    with pytest.raises(InputError, match="train needs images"):
        joined(make(num_images=3, bad=(0, 1, 2)), tmp_path)


def test_captions_of_another_dataset_are_refused(inputs, tmp_path):
    path = tmp_path / "training.parquet"
    table = pq.read_table(inputs["filter"].file("training.parquet"))
    names = pa.array([f"x{i}" for i in range(len(table))])
    pq.write_table(table.set_column(1, pa.field("image_id", pa.string(), nullable=False), names), path)
    with pytest.raises(DataError, match="'x0'"):
        join(inputs["prepare"].file("images.arrow"), path, NEGATIVE_TYPES, tmp_path)


@pytest.mark.parametrize("num_ranks", [2, 3, 4])
def test_the_number_of_ranks_does_not_change_a_global_batch(inputs, tmp_path, num_ranks):
    _, samples = joined(inputs, tmp_path)
    for step in (0, 3, 7):
        whole = content(maker(inputs, samples)(step))
        shares = [content(maker(inputs, samples, rank, num_ranks)(step)) for rank in range(num_ranks)]
        assert [entry for share in shares for entry in share] == whole


def test_threads_do_not_change_batches_and_a_run_goes_on_at_any_step(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    one, many = [list(prefetched(maker(inputs, samples), range(9), threads)) for threads in (1, 4)]
    late = list(prefetched(maker(inputs, samples), range(4, 9), 2))
    assert [batch.step for batch in one] == list(range(9))
    for first, second in [*zip(one, many, strict=True), *zip(one[4:], late, strict=True)]:
        assert all(np.array_equal(a, b) for a, b in zip(parts(first), parts(second), strict=True))


@pytest.mark.parametrize("whose", ["own", "other"])
def test_every_negative_comes_with_its_type(inputs, tmp_path, whose):
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    types = NEGATIVE_TYPES[1:4]
    _, samples = joined(inputs, tmp_path, types)
    make = maker(inputs, samples, negatives_of=other_negatives(samples.image_rows, 1) if whose == "other" else None)
    known = {letters([n["text"]])[0].tobytes(): n["type"] for row in table for n in row["negatives"]}
    seen = set()
    for step in range(4):
        batch = make(step)
        kinds = batch.type_BK[batch.mask_BK]
        negatives = batch.text[batch.slot_T % 5 > 0]
        for kind, tokens in zip(kinds, negatives, strict=True):
            assert NEGATIVE_TYPES[kind] == known[tokens.tobytes()]
        seen |= {NEGATIVE_TYPES[kind] for kind in kinds}
    assert seen == set(types)


@pytest.mark.parametrize("whose", ["own", "other"])
def test_trees_spell_the_texts_of_the_token_rows(inputs, tmp_path, whose):
    _, samples = joined(inputs, tmp_path)
    rows = maker(inputs, samples, negatives_of=other_negatives(samples.image_rows, 1) if whose == "other" else None)
    trees = dataclasses.replace(rows, texts=TreeCache(samples, rows.negatives_of, letters, used))
    drawn = set()
    for step in range(10):  # two epochs: other negatives of the same captions
        plain, batch = rows(step), trees(step)
        assert np.array_equal(plain.slot_T, batch.slot_T)
        assert np.array_equal(plain.type_BK, batch.type_BK)
        assert batch.text.texts_B == tuple(1 + plain.mask_BK.sum(1))
        assert len(batch.text.token_M) < (plain.text > 0).sum() + NODES_AT_ONCE  # filled up to a multiple of it
        number = batch.text.slot_M // batch.text.num_slots
        slot = batch.text.slot_M % batch.text.num_slots
        for tokens, end in zip(plain.text, batch.text.end_T, strict=True):
            path = (number == number[end]) & (slot <= slot[end]) & (slot[end] < batch.text.last_M)
            assert batch.text.token_M[path].tolist() == tokens[: used(tokens[None])[0]].tolist()
        drawn |= {tuple(texts.ravel().tolist()) for texts in np.split(plain.text, np.cumsum(batch.text.texts_B)[:-1])}
    assert len(drawn) > 60


def test_the_control_gives_every_caption_the_negatives_of_another_image(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    others = other_negatives(samples.image_rows, seed=4)
    assert sorted(others.tolist()) == list(range(60))
    assert (samples.image_rows[others] != samples.image_rows).all()
    assert np.array_equal(others, other_negatives(samples.image_rows, seed=4))
    assert not np.array_equal(others, other_negatives(samples.image_rows, seed=5))
    own, control = maker(inputs, samples)(2), maker(inputs, samples, negatives_of=others)(2)
    assert np.array_equal(own.image_BHW3, control.image_BHW3)
    captions = [batch.text[batch.slot_T % 5 == 0] for batch in (own, control)]
    assert np.array_equal(*captions)
    pairs = [(mine[2], theirs[2]) for mine, theirs in zip(content(own), content(control), strict=True)]
    assert all(mine != theirs for mine, theirs in pairs if any(mine) or any(theirs))


def test_negatives_beyond_k_are_left_out_and_missing_ones_masked(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    make = maker(inputs, samples)
    batch, numbers = make(0), make.plan.samples(0)
    assert batch.mask_BK.sum(1).tolist() == [min(4, len(samples.negatives_of(n))) for n in numbers]
    assert len(batch.text) == len(numbers) + batch.mask_BK.sum()
    assert len(set(batch.slot_T.tolist())) == len(batch.slot_T)


@pytest.mark.slow
def test_another_process_makes_the_same_batches(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    code = (
        "import hashlib, sys, test_train_data as t; from pathlib import Path; from degla.artifacts import Artifact;"
        "inputs = {'prepare': Artifact.load(Path(sys.argv[1]))}; batch = t.maker(inputs, t.Samples(Path(sys.argv[2])))(5);"
        "print(hashlib.sha256(b''.join(part.tobytes() for part in t.parts(batch))).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(inputs["prepare"].path), str(tmp_path)]
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": here})
    own = hashlib.sha256(b"".join(part.tobytes() for part in parts(maker(inputs, samples)(5)))).hexdigest()
    assert done.stdout.split()[-1] == own


def test_an_image_that_does_not_decode_is_named(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    path = tmp_path / IMAGES_FILE
    rows = read_images(inputs["prepare"].file(IMAGES_FILE)).to_pylist()
    with images_writer(path) as write:
        write(pa.Table.from_pylist([row | {"image": b"no image"} for row in rows], IMAGES))
    make = dataclasses.replace(maker(inputs, samples), images=ImageStore(path))
    first = int(samples.caption_ids[make.plan.samples(0)[0]])
    with pytest.raises(DataError, match=f"caption {first} cannot be decoded: UnidentifiedImageError"):
        next(prefetched(make, range(3), 2))


def test_a_model_that_looks_at_more_pixels_than_were_stored_is_refused(inputs, tiny, tmp_path):
    joined(inputs, tmp_path)
    config = TrainConfig(model={"architecture": tiny, "weights": "random"}, batch_size=12)
    paths = {"out_dir": tmp_path, "work_dir": tmp_path, "images_path": inputs["prepare"].file(IMAGES_FILE)}
    clip = load(config.model)
    with pytest.raises(ConfigError, match=r"looks at 32 x 32 pixels.* side of 31: set prepare.short_side=36"):
        batch_maker(Job(config=config, **paths, short_side=31, threads=1, lineage={}), clip, False, 0, 1)
    for short_side in (0, 32):
        job = Job(config=config, **paths, short_side=short_side, threads=1, lineage={})
        assert batch_maker(job, clip, False, 0, 1)(0).image_BHW3.shape == (12, 32, 32, 3)


def test_time_spent_waiting_for_batches_is_counted():
    def slow():
        for step in range(3):
            time.sleep(0.02)
            yield step

    batches = Timed(slow())
    assert list(batches) == [0, 1, 2]
    assert 0.06 <= batches.seconds < 0.5
    quick = Timed(iter(range(3)))
    for _ in quick:
        time.sleep(0.02)
    assert quick.seconds < 0.01


def long_inputs(inputs, folder):
    """Of 60 captions, 20 with 30 words before their last one; their negatives differ in the last word, of every other one in the
    first."""
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    for number, row in enumerate(table[:20]):
        words = ["red"] * 30
        row["caption"] = " ".join([*words, "cat"])
        first = ["blue", *words[1:]] if number % 2 else words
        row["negatives"] = [each | {"text": " ".join([*first, "dog"])} for each in row["negatives"]]
    path = folder / "training.parquet"
    pq.write_table(pa.Table.from_pylist(table, schema=pq.read_schema(inputs["filter"].file("training.parquet"))), path)
    join(inputs["prepare"].file("images.arrow"), path, NEGATIVE_TYPES, folder)
    return table


@pytest.mark.parametrize("objective", ["degla", "fsc_clip"])  # prefix trees and token rows
def test_a_negative_with_the_tokens_of_its_cut_caption_is_dropped_and_counted(inputs, tiny, tmp_path, caplog, objective):
    table = long_inputs(inputs, tmp_path)
    config = TrainConfig(model={"architecture": tiny, "weights": "random"}, batch_size=60, objective=objective)
    paths = {"out_dir": tmp_path, "work_dir": tmp_path, "images_path": inputs["prepare"].file(IMAGES_FILE)}
    with caplog.at_level("INFO"):
        make = batch_maker(Job(config=config, **paths, short_side=0, threads=1, lineage={}), load(config.model), False, 0, 1)
    same = [row for number, row in enumerate(table[:20]) if number % 2 == 0]
    num_dropped = sum(len(row["negatives"]) for row in same)
    assert make.cut.counts == {"captions_cut": 20, "negatives_dropped": num_dropped}
    assert f"20 of 60 captions are longer than the model's context of 24 tokens and are cut; {num_dropped} neg" in caplog.text
    batch = make(0)
    ids = make.samples.caption_ids[make.plan.samples(0)]
    dropped = {row["caption_id"] for row in same}
    for caption_id, mask in zip(ids, batch.mask_BK, strict=True):
        row = next(row for row in table if row["caption_id"] == caption_id)
        assert mask.sum() == (0 if caption_id in dropped else min(4, len(row["negatives"])))


def test_what_is_cut_agrees_with_looking_at_every_text(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    for negatives_of in (own_negatives(len(samples)), other_negatives(samples.image_rows, 3)):
        for context in (8, 12, 24):
            cut = find_cut(
                samples,
                negatives_of,
                lambda texts, size=context: np.stack([letters([text[: size - 1]])[0, :size] for text in texts]),
                lambda texts, _, size=context: np.array([len(text) + 1 > size for text in texts]),
                context,
            )
            expected = np.zeros(samples.num_texts, bool)
            for sample in range(len(samples)):
                caption = samples.text(sample)
                for negative in samples.negatives_of(negatives_of[sample]):
                    text = samples.text(int(negative))
                    expected[negative] = len(caption) >= context - 1 and caption[: context - 1] == text[: context - 1]
            assert (cut.dropped == expected).all()
            assert cut.num_captions == sum(len(samples.text(sample)) + 1 > context for sample in range(len(samples)))
