"""The negatives that a caption trains with: its own or another caption's, and which of them in an epoch."""

from __future__ import annotations

import numpy as np

from degla.train.batches.streams import Stream, stream


def own_negatives(num_samples: int) -> np.ndarray:
    """Each caption keeps its own negatives."""
    return np.arange(num_samples)


def other_negatives(image_rows: np.ndarray, seed: int) -> np.ndarray:
    """The caption whose negatives each one gets in the control experiment: a permutation without fixed points.

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
    """At most `limit` of a caption's negatives, drawn anew each epoch if there are more.

    Types are drawn round-robin in random order, so that a type with many candidates is no likelier than one with a single
    candidate.

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
