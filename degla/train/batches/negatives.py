"""Which negatives a caption trains with: whose they are, and which of them in an epoch."""

from __future__ import annotations

import numpy as np

from degla.train.batches.streams import Stream, stream


def own_negatives(num_samples: int) -> np.ndarray:
    """Each caption keeps its own negatives."""
    return np.arange(num_samples)


def other_negatives(image_rows: np.ndarray, seed: int) -> np.ndarray:
    """Whose negatives each caption gets in the control experiment: a permutation that leaves none in its place.

    Captions are lined up image by image in random order and shifted by the largest group, so that the other caption
    belongs to another image as long as there are enough images.
    """
    count = len(image_rows)
    shuffled = stream(seed, Stream.OTHER).permutation(image_rows.max() + 1)
    line = np.argsort(shuffled[image_rows], kind="stable")
    shift = min(int(np.bincount(image_rows).max()), count - 1)
    others = np.empty(count, dtype=np.int64)
    others[line] = np.roll(line, -shift)
    return others


def choose(negatives: np.ndarray, types: np.ndarray, limit: int, seed: int, epoch: int, caption_id: int) -> np.ndarray:
    """At most `limit` of a caption's negatives, drawn anew each epoch where there are more.

    Types take turns in a random order: none is drawn a second time before each that is left was drawn as often. So a type of
    which a caption has many is no likelier than one of which it has one.

    Args:
        negatives: their numbers.
        types: their types, of the same length.
        limit: how many.
        seed, epoch, caption_id: what the draw depends on.
    """
    if len(negatives) <= limit:
        return negatives
    draw = stream(seed, Stream.NEGATIVES, epoch, caption_id)
    key = draw.random(len(negatives))
    type_key = draw.random(int(types.max()) + 1)[types]
    by_type = np.lexsort((key, types))
    turn = np.empty(len(negatives), dtype=np.int64)
    turn[by_type] = np.arange(len(negatives)) - np.searchsorted(types[by_type], types[by_type])
    return negatives[np.lexsort((type_key, turn))[:limit]]
