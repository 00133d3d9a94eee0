"""Words that captions of one image use for the same thing, mined from the dataset's own captions (`mining.sql`)."""

from __future__ import annotations

from degla.database import Database
from degla.negative_types import PartOfSpeech

MIN_IMAGES = 5
"""Images in which two words alternate."""
MIN_RATIO = 2.0
"""How often they do so, over how often the same words stand between the same words in captions of different images."""
MIN_SHARE = 0.1
"""Of the images in which the rarer word alternates with any."""

Mined = tuple[PartOfSpeech, str, str, int]
"""Part of speech, two lemmas in the order of the alphabet, and the number of images."""


def mine(database: Database) -> list[Mined]:
    """The pairs that alternate in `all_captions`, the most frequent first; none where images have one caption each."""
    limits = {"min_images": str(MIN_IMAGES), "min_ratio": str(MIN_RATIO), "min_share": str(MIN_SHARE)}
    database.run_steps("degla.filter", "mining.sql", limits)
    return database.rows("from mined order by images desc, part_of_speech, one, other")
