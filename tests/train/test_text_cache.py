"""Texts are trees wherever model and objective can take them; otherwise token rows, and the log says why."""

import json
import logging

import numpy as np
import pytest
from small_inputs import TINY

from degla.images import IMAGES_FILE
from degla.models import ModelRef
from degla.models.loading import load
from degla.negative_types import NEGATIVE_TYPES
from degla.train.batches.data import Samples, TokenCache, join
from degla.train.batches.negatives import own_negatives
from degla.train.batches.trees import TreeCache
from degla.train.training import text_cache


@pytest.mark.parametrize(
    ("changes", "local", "reason"),
    [
        ({}, False, None),
        ({}, True, "compares their tokens"),
        ({"no_causal_mask": True}, False, "not causal"),
        ({"pool_type": "last"}, False, "pools its texts by 'last'"),
        ({"qk_norm": True}, False, "plain blocks"),
    ],
)
def test_what_cannot_take_trees_gets_token_rows_and_says_so(changes, local, reason, inputs, tmp_path, caplog):
    architecture = tmp_path / "other.json"
    architecture.write_text(json.dumps(TINY | {"text_cfg": TINY["text_cfg"] | changes}))
    clip = load(ModelRef(architecture=str(architecture), weights="random"))
    join(inputs["prepare"].file(IMAGES_FILE), inputs["filter"].file("training.parquet"), NEGATIVE_TYPES, tmp_path)
    samples = Samples(tmp_path)
    with caplog.at_level(logging.INFO, "degla.train.training"):
        texts = text_cache(samples, own_negatives(len(samples)), clip, local)
    chosen = [samples.negatives_of(number)[:2] for number in (6, 0, 6)]
    made = texts(np.array([6, 0, 6]), chosen)
    if reason is None:
        assert isinstance(texts, TreeCache)
        assert made.texts_B == (3, 1, 3)
        assert not caplog.messages
        return
    assert isinstance(texts, TokenCache)
    assert made.shape[0] == 7
    assert np.array_equal(made[:3], made[4:])
    (line,) = caplog.messages
    assert reason in line
