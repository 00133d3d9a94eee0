"""An epoch's order: every caption at most once, another one each time, the same one for the same seed; and its two options."""

import numpy as np
import pytest

from degla.errors import ConfigError
from degla.train.batches.order import Plan
from degla.train.config import TrainConfig


def rows(*captions_each):
    """The image row of each caption, images with so many captions."""
    return np.repeat(np.arange(len(captions_each)), captions_each)


def epoch(plan, number=0):
    first = number * plan.steps_per_epoch
    return np.concatenate([plan.samples(step) for step in range(first, first + plan.steps_per_epoch)])


def repeats(plan, number=0):
    """How often a batch holds another caption of an image that it has already."""
    batches = plan.image_rows[epoch(plan, number)].reshape(-1, plan.batch_size)
    return sum(plan.batch_size - len(set(batch.tolist())) for batch in batches)


OPTIONS = [{}, {"window": 20}, {"images_apart": True}]


@pytest.mark.parametrize("options", OPTIONS)
def test_an_epoch_has_every_caption_at_most_once_and_another_order_each_time(options):
    image_rows = np.repeat(np.arange(31), 2)[:61]
    plan = Plan(image_rows, 12, 1, **options)
    assert plan.steps_per_epoch == 5
    epochs = [epoch(plan, number) for number in range(3)]
    assert all(len(set(order.tolist())) == 60 for order in epochs)
    assert all(order.min() >= 0 and order.max() <= 60 for order in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], epoch(Plan(image_rows, 12, 2, **options)))
    assert np.array_equal(epochs[2], epoch(Plan(image_rows, 12, 1, **options), 2))


@pytest.mark.parametrize("options", OPTIONS)
def test_ranks_share_each_global_batch(options):
    image_rows = rows(*[5] * 40)
    whole = Plan(image_rows, 12, 3, **options)
    for step in (0, 7, 16, 40):
        shares = [Plan(image_rows, 12, 3, rank, 3, **options).samples(step) for rank in range(3)]
        assert np.array_equal(np.concatenate(shares), whole.samples(step))


def test_batch_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="only 5 captions"):
        Plan(rows(5), batch_size=8, seed=0)
    with pytest.raises(ConfigError, match="split evenly over 3"):
        Plan(rows(50), batch_size=8, seed=0, num_ranks=3)


@pytest.mark.parametrize("counts", [[5] * 12, [5, 6, 7] * 60, [1] * 200 + [7] * 30, [5] * 40])
def test_captions_of_an_image_can_be_kept_out_of_each_others_batch(counts):
    image_rows = np.random.default_rng(0).permutation(rows(*counts))
    plan = Plan(image_rows, 12, 0, images_apart=True)
    assert [repeats(plan, number) for number in range(3)] == [0, 0, 0]
    assert sum(repeats(Plan(image_rows, 12, 0), number) for number in range(3)) > 0, "without the option they do meet"
    firsts = {
        image: {
            epoch(plan, number).tolist().index(caption) for number in range(3) for caption in np.flatnonzero(image_rows == image)
        }
        for image in (0, 3)
    }
    assert all(len(places) > 1 for places in firsts.values())


def test_where_there_are_too_few_images_to_keep_apart_it_says_so():
    with pytest.raises(ConfigError, match="8 images with up to 5 captions each are too few for batches of 12"):
        Plan(rows(*[5] * 8), 12, 0, images_apart=True)
    with pytest.raises(ValueError, match="leave train.shuffle_window out"):
        TrainConfig(images_apart=True, shuffle_window=5000)


def test_within_a_window_images_lie_in_few_places_of_the_store():
    image_rows = rows(*[5] * 8_000)  # 40,000 captions: 40 shards
    order = epoch(Plan(image_rows, 100, 0, window=4_000))
    whole = epoch(Plan(image_rows, 100, 0))
    for start in range(0, 40_000, 4_000):
        places = {int(row) // 200 for row in image_rows[order[start : start + 4_000]]}
        assert len(places) <= 3 * 5 + 2, "of 40 places: what the shards of one window touch"
        assert len({int(row) // 200 for row in image_rows[whole[start : start + 4_000]]}) == 40
    steps = np.abs(np.diff(image_rows[order]))
    assert np.median(steps) > 500, "and within it they are mixed"
