"""The model's card: its figures are counted again here from the tables, its recipe is read back."""

from collections import Counter

import pyarrow.parquet as pq
import pytest
import yaml

from degla.config import effective
from degla.train.batches.data import join
from degla.train.config import TrainConfig
from degla.train.model_card import count_negatives, model_card

LINEAGE = {"prepare": "aaaa", "generate": "bbbb", "filter": "cccc", "train": "dddd"}
SUMMARY = {"steps": 40, "samples": 480, "final_losses": {"total": 2.25, "image_grounded": 0.5}}


@pytest.fixture
def card(make, tmp_path):
    """A config, the artifacts of a data set with missing images, the counts of the join and the card."""
    config = TrainConfig(lr=3e-5, types=("reshuffle", "swap_nouns"), batch_size=12)
    inputs = make(bad=(0, 3))
    files = inputs["prepare"].file("images.arrow"), inputs["filter"].file("training.parquet")
    (tmp_path / "join").mkdir()
    counts = vars(join(*files, config.types, tmp_path / "join"))
    return config, inputs, counts, model_card(config, inputs, LINEAGE, "feed", counts, SUMMARY)


def test_negatives_are_counted_by_type_and_generator_where_the_image_is_there(card):
    config, inputs, counts, text = card
    rows = pq.read_table(inputs["filter"].file("training.parquet")).to_pylist()
    present = [row for row in rows if row["image_id"] not in ("im0", "im3")]
    slow = Counter((n["type"], n["generator"]) for row in present for n in row["negatives"] if n["type"] in config.types)
    assert count_negatives(config, inputs) == dict(slow)
    assert sum(slow.values()) == counts["negatives"]
    assert f"| reshuffle | {slow['reshuffle', 'x']} |" in text
    assert "replace_nouns" not in text.partition("## Recipe")[0]


def test_the_card_says_where_the_model_is_from_and_how_to_load_it(card):
    config, _, _, text = card
    assert "56 captions of 28 images (4 more had no usable image)" in text
    for part in (*LINEAGE.values(), "feed", "40 steps, 480 samples", "image grounded 0.5", "Licence: MIT", "drawn by the tests"):
        assert part in text
    assert 'open_clip.create_model_from_pretrained("local-dir:FOLDER")' in text
    recipe = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    assert TrainConfig.model_validate(recipe) == config
    assert recipe == effective(config)
    assert "## Scores\n" in text  # where the report stage puts them
