"""The batches of a rank, put together for its job: order, negatives, crops, and texts in the form that the model can take."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from degla.errors import ConfigError
from degla.images import ImageStore
from degla.models.encoding import used_lengths
from degla.models.loading import LoadedClip
from degla.models.tree_encoding import obstacle
from degla.train.batches.data import BatchMaker, Samples, TokenCache, make_plan
from degla.train.batches.negatives import other_negatives, own_negatives
from degla.train.batches.pixels import Crop
from degla.train.batches.trees import TreeCache
from degla.train.job import Job

logger = logging.getLogger(__name__)


def batch_maker(job: Job, clip: LoadedClip, local: bool, rank: int, num_ranks: int) -> BatchMaker:
    """The data of a rank; `local` asks for texts whose tokens can be told apart.

    Raises:
        ConfigError: the batch size does not fit the data or the ranks, or the model looks at more pixels than were stored.
    """
    config, height_width = job.config, clip.preprocessing.height_width
    if 0 < job.short_side < min(height_width):
        raise ConfigError(
            f"the model looks at {height_width[0]} x {height_width[1]} pixels, but prepare scaled the images down to a short"
            f" side of {job.short_side}: set prepare.short_side={8 * min(height_width) // 7}"
        )
    samples = Samples(job.work_dir)
    own = config.negatives_from == "own"
    negatives_of = own_negatives(len(samples)) if own else other_negatives(samples.image_rows, config.seed)
    return BatchMaker(
        samples=samples,
        images=ImageStore(job.images_path),
        plan=make_plan(config, samples, rank, num_ranks),
        crop=Crop(height_width, config.crop_scale, config.seed),
        texts=text_cache(samples, negatives_of, clip, local),
        negatives_of=negatives_of,
        num_negatives=config.num_negatives,
    )


def text_cache(samples: Samples, negatives_of: np.ndarray, clip: LoadedClip, local: bool) -> TreeCache | TokenCache:
    """Texts as prefix trees, or as token rows if the model or the objective (`local`) cannot take trees."""

    def tokenize(texts: Sequence[str]) -> np.ndarray:
        return clip.tokenizer(texts).numpy()

    def lengths(text_TL: np.ndarray) -> np.ndarray:
        return used_lengths(clip.model, torch.from_numpy(text_TL)).numpy()

    reason = "the objective compares their tokens" if local else obstacle(clip.model)
    if not reason:
        return TreeCache(samples, negatives_of, tokenize, lengths)
    logger.info("texts are encoded one by one, cut at the longest, and not as prefix trees: %s", reason)
    return TokenCache(samples, tokenize, lengths, clip.context_length, clip.model.vocab_size)
