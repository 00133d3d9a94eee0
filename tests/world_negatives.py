"""The mini world's own negatives of its fine-tuning captions, none of them true, to compare others with."""

from collections.abc import Iterator

import numpy as np

from degla.miniworld import edits
from degla.miniworld.dataset import scene_and_captions


def reference_negatives(stop: int, seed: int = 0, start: int = 0, negatives_per_caption: int = 4) -> Iterator[list[list[str]]]:
    """For each image of `training_images(..., start=start, stop=stop)`, the negatives of each of its three captions."""
    for index in range(start, stop):
        scene, captions = scene_and_captions(index, 3, seed)
        rng = np.random.default_rng((seed, 2, index))
        yield [[text for _, text in edits.negatives(caption, scene, rng, negatives_per_caption)] for caption in captions]
