"""Features of many images and texts: in batches that run side by side, in fp32, of norm 1, whatever the batches.

Knows nothing of stages or files. Called by `degla.evaluate.encoding` and `degla.filter.veto`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from degla.models.encoding import encode_image, encode_text, used_length, used_lengths
from degla.models.loading import LoadedClip

_MAX_WORKERS = 8

T = TypeVar("T")
R = TypeVar("R")


def in_batches(
    encode: Callable[[Sequence[T]], Sequence[R]],
    items: Sequence[T],
    batch_size: int,
    device: torch.device,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[R]:
    """What `encode` makes of the items, in their order. Batches run side by side, each on its share of the processors: small
    models lose most of their time waiting where many threads share one batch.

    Args:
        encode: from some items to one result each; called in threads, without gradients.
        items: anything.
        batch_size: items at once.
        device: where the model computes.
        report: called after each batch with the number of items done.
    """
    batches = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]
    done = 0
    with _shared_processors() as workers, _exact_arithmetic(device), ThreadPoolExecutor(workers) as pool:
        for results in pool.map(torch.inference_mode()(encode), batches):
            done += len(results)
            report(done)
            yield from results


def text_features(
    clip: LoadedClip, text_TL: Tensor, batch_size: int, report: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Features of T token rows, float64 (T, D). Texts of like length share a batch, and its padding is cut off."""
    order = used_lengths(clip.model, text_TL).argsort(stable=True).tolist()

    def encode(rows: Sequence[int]) -> np.ndarray:
        batch_BL = text_TL[list(rows)]
        batch_BL = batch_BL[:, : used_length(clip.model, batch_BL)].to(clip.device)
        return _normalised(encode_text(clip.model, batch_BL))

    features: list[np.ndarray] = [np.empty(0)] * len(order)
    for row, feature in zip(order, in_batches(encode, order, batch_size, clip.device, report), strict=True):
        features[row] = feature
    return np.stack(features)


def image_features(clip: LoadedClip, pixels: Sequence[Tensor]) -> np.ndarray:
    """Features of one batch of B preprocessed images (3, height, width), float64 (B, D)."""
    return _normalised(encode_image(clip.model, torch.stack(list(pixels)).to(clip.device)))


def _normalised(features_BD: Tensor) -> np.ndarray:
    return functional.normalize(features_BD.cpu().double(), dim=-1).numpy()


@contextmanager
def _shared_processors() -> Iterator[int]:
    """Yield the number of workers and give each its share of PyTorch's threads meanwhile."""
    threads = torch.get_num_threads()
    workers = min(_MAX_WORKERS, threads)
    torch.set_num_threads(threads // workers)
    try:
        yield workers
    finally:
        torch.set_num_threads(threads)


def _exact_arithmetic(device: torch.device) -> AbstractContextManager[None]:
    """On a GPU the patch convolution would use TF32 by default, which keeps 10 bits of each pixel."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if device.type == "cuda" else nullcontext()
