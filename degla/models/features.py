"""Features of many images and texts: in batches that run side by side, in fp32, of norm 1, whatever the batches.

Texts that begin alike are encoded as one prefix tree. Knows nothing of stages or files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from degla.errors import ModelError
from degla.models.encoding import encode_image, encode_text, used_length, used_lengths
from degla.models.loading import LoadedClip
from degla.models.towers import Clip, text_tower
from degla.models.tree_encoding import encode_trees, obstacle
from degla.models.trees import TextTrees, grow, planted

_MAX_WORKERS = 8
_TREE_SIZE = 96  # nodes; on SugarCrepe's texts ViT-B/32 takes the same time for 64 to 192

R = TypeVar("R")


def default_batch_size(device: torch.device) -> int:
    """Images or texts at once: enough to fill a GPU; on a CPU few, because glibc maps each buffer above 32 MB anew (a
    fifth of the time at 256 images of ViT-B/32)."""
    return 256 if device.type == "cuda" else 48


def in_batches(
    encode: Callable[[Any], Collection[R]],
    items: Sequence[Any] | Tensor,
    batch_size: int,
    device: torch.device,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[R]:
    """What `encode` makes of the items, in their order. Batches run side by side, each on its share of the processors: small
    models spend most of their time waiting if many threads share one batch.

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


def encoding_order(model: Clip, text_TL: Tensor) -> list[int]:
    """The order of token rows that is encoded with the least work: texts that begin alike are neighbours, so that batches make
    trees; if the model has no trees, texts of similar length are neighbours."""
    if obstacle(text_tower(model)):
        return used_lengths(model, text_TL).argsort(stable=True).tolist()
    return np.lexsort(text_TL.numpy().T[::-1]).tolist()


def text_features(
    clip: LoadedClip, text_TL: Tensor, batch_size: int, report: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Features of T token rows, float64 (T, D)."""
    model, device = clip.model, clip.device
    order = encoding_order(model, text_TL)
    in_trees = not obstacle(text_tower(model))

    def encode(rows: Sequence[int]) -> np.ndarray:
        batch_BL = text_TL[list(rows)]
        if in_trees:
            return _normalised(encode_trees(model, _trees(model, batch_BL).map(lambda array: torch.from_numpy(array).to(device))))
        return _normalised(encode_text(model, batch_BL[:, : used_length(model, batch_BL)].to(device)))

    features: list[np.ndarray] = [np.empty(0)] * len(order)
    for row, feature in zip(order, in_batches(encode, order, batch_size, device, report), strict=True):
        features[row] = feature
    return np.stack(features)


def _trees(model: Clip, text_TL: Tensor) -> TextTrees:
    """Token rows in their `encoding_order` as trees of at most `_TREE_SIZE` nodes, or of one text."""
    lengths = used_lengths(model, text_TL).tolist()
    texts = [row[:length] for row, length in zip(text_TL.tolist(), lengths, strict=True)]
    shared = [0, *(text_TL[1:] == text_TL[:-1]).cumprod(1).sum(1).tolist()]
    groups: list[list[list[int]]] = []
    size = _TREE_SIZE
    for text, begun in zip(texts, shared, strict=True):
        size += len(text) - min(begun, len(text))
        if size > _TREE_SIZE:
            groups.append([])
            size = len(text)
        groups[-1].append(text)
    return planted([grow(group) for group in groups])


def image_features(clip: LoadedClip, pixels: Sequence[Tensor]) -> np.ndarray:
    """Features of one batch of B preprocessed images (3, height, width), float64 (B, D)."""
    return _normalised(encode_image(clip.model, torch.stack(list(pixels)).to(clip.device)))


def check_finite(model: str, features: Sequence[np.ndarray] | np.ndarray, items: Sequence[str]) -> None:
    """Fail if a feature is NaN or infinite: comparisons with it mean nothing.

    Args:
        model: its name in the message.
        features: one row per item.
        items: what each feature is of, such as `image a.jpg`.

    Raises:
        ModelError: names the model and the first such item.
    """
    wrong = [item for item, feature in zip(items, features, strict=True) if not np.isfinite(feature).all()]
    if wrong:
        more = f" ({len(wrong):,} of {len(items):,} alike)" if len(wrong) > 1 else ""
        raise ModelError(
            f"model {model}: the feature of {wrong[0]} is NaN or infinite{more}. Its weights are finite but too large for"
            f" float32. Take an earlier checkpoint."
        )


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
