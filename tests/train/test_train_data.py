"""Batches follow from the seed and the step alone, and nothing is left out without being counted."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from degla.errors import ConfigError, DataError, InputError
from degla.schemas import NEGATIVE_TYPES
from degla.train.data import (
    BatchMaker,
    Crop,
    Plan,
    Samples,
    TokenCache,
    choose,
    join,
    other_negatives,
    own_negatives,
    prefetched,
)

TOKENS = 24


def joined(inputs, folder, types=NEGATIVE_TYPES):
    counts = join(inputs["prepare"].file("images.parquet"), inputs["filter"].file("training.parquet"), types, folder)
    return counts, Samples(folder)


def letters(texts):
    """A tokenizer: one letter, one token; 255 ends the text."""
    rows = np.zeros((len(texts), TOKENS), int)
    for row, text in zip(rows, texts, strict=True):
        codes = [*text.encode()[: TOKENS - 1], 255]
        row[: len(codes)] = codes
    return rows


def maker(samples, rank=0, num_ranks=1, seed=7, negatives_of=None, scale=(0.5, 1.0), batch_size=12):
    return BatchMaker(
        samples=samples,
        plan=Plan(len(samples), batch_size, seed, rank, num_ranks),
        crop=Crop((32, 32), scale, seed),
        tokens=TokenCache(samples, letters, TOKENS, 256),
        negatives_of=own_negatives(len(samples)) if negatives_of is None else negatives_of,
        num_negatives=4,
        used_length=lambda rows: TOKENS,
    )


def parts(batch):
    return batch.image_BHW3, batch.text_TL, batch.slot_T, batch.type_BK


def content(batch):
    """A batch as one entry per caption: pixels, its tokens, its negatives' tokens."""
    rows, negatives = batch.mask_BK.shape
    texts = np.zeros((rows * (1 + negatives), TOKENS), int)
    texts[batch.slot_T] = batch.text_TL
    own = texts[rows:].reshape(rows, negatives, TOKENS)
    return [(batch.image_BHW3[i].tobytes(), texts[i].tobytes(), own[i].tobytes()) for i in range(rows)]


def test_captions_are_joined_with_their_image_and_negatives(inputs, tmp_path):
    counts, samples = joined(inputs, tmp_path)
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    images = {row["image_id"]: row["image"] for row in pq.read_table(inputs["prepare"].file("images.parquet")).to_pylist()}
    assert (counts.captions, counts.images, counts.captions_without_image) == (60, 30, 0)
    assert counts.negatives == sum(len(row["negatives"]) for row in table)
    for i, row in enumerate(table):
        assert samples.caption_ids[i] == row["caption_id"]
        assert samples.text(i) == row["caption"]
        assert [samples.text(n) for n in samples.negatives_of(i)] == [each["text"] for each in row["negatives"]]
        assert samples.image(i).tobytes() == Image.open(io.BytesIO(images[row["image_id"]])).tobytes()


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
        join(inputs["prepare"].file("images.parquet"), path, NEGATIVE_TYPES, tmp_path)


@pytest.mark.parametrize("num_ranks", [2, 3, 4])
def test_the_number_of_ranks_does_not_change_a_global_batch(inputs, tmp_path, num_ranks):
    _, samples = joined(inputs, tmp_path)
    for step in (0, 3, 7):
        whole = content(maker(samples)(step))
        shares = [content(maker(samples, rank, num_ranks)(step)) for rank in range(num_ranks)]
        assert [entry for share in shares for entry in share] == whole


def test_threads_do_not_change_batches_and_a_run_goes_on_at_any_step(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    one, many = [list(prefetched(maker(samples), range(9), threads)) for threads in (1, 4)]
    late = list(prefetched(maker(samples), range(4, 9), 2))
    assert [batch.step for batch in one] == list(range(9))
    for first, second in [*zip(one, many, strict=True), *zip(one[4:], late, strict=True)]:
        assert all(np.array_equal(a, b) for a, b in zip(parts(first), parts(second), strict=True))


def test_an_epoch_has_every_caption_at_most_once_and_another_order_each_time(inputs, tmp_path):
    plan = Plan(num_samples=61, batch_size=12, seed=1)
    assert plan.steps_per_epoch == 5
    epochs = [np.concatenate([plan.samples(step) for step in range(e * 5, e * 5 + 5)]) for e in range(3)]
    assert all(len(set(epoch.tolist())) == 60 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], np.concatenate([Plan(61, 12, 2).samples(step) for step in range(5)]))


def test_batch_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="only 5 captions"):
        Plan(num_samples=5, batch_size=8, seed=0)
    with pytest.raises(ConfigError, match="split evenly over 3"):
        Plan(num_samples=50, batch_size=8, seed=0, num_ranks=3)


def test_surplus_negatives_are_drawn_anew_each_epoch_and_missing_ones_masked(inputs, tmp_path):
    surplus = np.arange(20, 26)
    drawn = [tuple(choose(surplus, 4, seed=3, epoch=epoch, caption_id=5).tolist()) for epoch in range(20)]
    assert all(len(set(each)) == 4 and set(each) <= set(surplus.tolist()) for each in drawn)
    assert len(set(drawn)) > 10
    assert drawn == [tuple(choose(surplus, 4, 3, epoch, 5).tolist()) for epoch in range(20)]
    assert choose(surplus[:3], 4, 3, 0, 5).tolist() == [20, 21, 22]

    _, samples = joined(inputs, tmp_path)
    make = maker(samples)
    batch, numbers = make(0), make.plan.samples(0)
    assert batch.mask_BK.sum(1).tolist() == [min(4, len(samples.negatives_of(n))) for n in numbers]
    assert len(batch.text_TL) == len(numbers) + batch.mask_BK.sum()
    assert len(set(batch.slot_T.tolist())) == len(batch.slot_T)


@pytest.mark.parametrize("whose", ["own", "other"])
def test_every_negative_comes_with_its_type(inputs, tmp_path, whose):
    table = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    types = NEGATIVE_TYPES[1:4]
    _, samples = joined(inputs, tmp_path, types)
    make = maker(samples, negatives_of=other_negatives(samples.image_rows, 1) if whose == "other" else None)
    known = {letters([n["text"]])[0].tobytes(): n["type"] for row in table for n in row["negatives"]}
    seen = set()
    for step in range(4):
        batch = make(step)
        kinds = batch.type_BK.ravel()[batch.slot_T[12:] - 12]
        assert (batch.type_BK >= 0).sum() == len(kinds)
        for kind, tokens in zip(kinds, batch.text_TL[12:], strict=True):
            assert NEGATIVE_TYPES[kind] == known[tokens.tobytes()]
        seen |= {NEGATIVE_TYPES[kind] for kind in kinds}
    assert seen == set(types)


def test_crops_differ_by_epoch_and_without_augmentation_they_do_not(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    image = samples.image(0)
    crop = Crop((32, 32), (0.5, 1.0), seed=1)
    first, second, again = crop(image, 0, 100), crop(image, 1, 100), crop(image, 0, 100)
    assert first.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    plain = Crop((32, 32), (1.0, 1.0), seed=1)
    assert np.array_equal(plain(image, 0, 100), plain(image, 1, 101))


def test_without_augmentation_a_square_image_is_what_evaluation_sees(tiny):
    from degla.models import ModelRef
    from degla.models.loading import load

    clip = load(ModelRef(architecture=tiny, weights="random"))
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    cropped = Crop((32, 32), (1.0, 1.0), seed=1)(image, 0, 0)
    mean, std = np.array(clip.preprocessing.mean), np.array(clip.preprocessing.std)
    expected = clip.preprocess(image).permute(1, 2, 0).numpy()
    np.testing.assert_allclose((cropped / 255 - mean) / std, expected, atol=1e-5)


def test_random_crops_cover_the_asked_share_of_the_area():
    image = Image.fromarray(np.zeros((100, 120, 3), np.uint8))
    crop = Crop((32, 32), (0.4, 0.6), seed=0)
    boxes = [crop._random_box(image, np.random.default_rng(i)) for i in range(300)]
    areas = np.array([(right - left) * (bottom - top) for left, top, right, bottom in boxes]) / (100 * 120)
    ratios = np.array([(right - left) / (bottom - top) for left, top, right, bottom in boxes])
    assert areas.min() > 0.38
    assert areas.max() < 0.62
    assert abs(areas.mean() - 0.5) < 0.02
    assert ratios.min() > 0.73
    assert ratios.max() < 1.37
    assert min(left for left, *_ in boxes) >= 0
    assert max(right for _, _, right, _ in boxes) <= 120


def test_the_control_gives_every_caption_the_negatives_of_another_image(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    others = other_negatives(samples.image_rows, seed=4)
    assert sorted(others.tolist()) == list(range(60))
    assert (samples.image_rows[others] != samples.image_rows).all()
    assert np.array_equal(others, other_negatives(samples.image_rows, seed=4))
    assert not np.array_equal(others, other_negatives(samples.image_rows, seed=5))
    own, control = maker(samples)(2), maker(samples, negatives_of=others)(2)
    assert np.array_equal(own.image_BHW3, control.image_BHW3)
    assert np.array_equal(own.text_TL[:12], control.text_TL[:12])
    pairs = [(mine[2], theirs[2]) for mine, theirs in zip(content(own), content(control), strict=True)]
    assert all(mine != theirs for mine, theirs in pairs if any(mine) or any(theirs))


def test_the_control_has_no_fixed_point_where_all_captions_are_of_one_image():
    others = other_negatives(np.zeros(5, int), seed=0)
    assert (others != np.arange(5)).all()
    assert sorted(others.tolist()) == list(range(5))


def test_an_image_that_does_not_decode_is_named(inputs, tmp_path):
    _, samples = joined(inputs, tmp_path)
    schema = pa.schema([pa.field("image", pa.large_binary())])
    with pa.ipc.new_file(tmp_path / "images.arrow", schema) as writer:
        writer.write_table(pa.table({"image": [b"no image"] * 30}, schema=schema))
    with pytest.raises(DataError, match="caption 100 cannot be decoded"):
        Samples(tmp_path).image(0)
