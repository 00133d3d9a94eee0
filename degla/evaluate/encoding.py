"""Features of images and texts under one model: each distinct one encoded once, in fp32, whatever the batches.

Knows nothing of benchmarks. Called by `degla.evaluate.stage`; `degla.evaluate.outcomes` asks it for features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import open_clip
import torch
from torch import Tensor

from degla.evaluate.records import BenchmarkImage, UnreadableImage
from degla.evaluate.scoring import normalised
from degla.models.loading import LoadedClip

_MAX_WORKERS = 8

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class EncodedImages:
    """Features (M, D) of images; the rows of those that could not be read are zero and named in `problems`."""

    features: np.ndarray
    problems: dict[int, UnreadableImage]


@dataclass(frozen=True)
class EncodedTexts:
    """Features (T, D) of texts, and which of them (T,) were longer than the model's context and so cut off."""

    features: np.ndarray
    truncated: np.ndarray


@dataclass
class Encoder:
    """Encodes for one model and remembers: an image or text met again, in this benchmark or the next, costs nothing.

    Args:
        clip: the model, on the device it computes on.
        batch_size: images or texts at once; changes speed and memory, not scores.
        report: called with a line for people as work goes on.
    """

    clip: LoadedClip
    batch_size: int
    report: Callable[[str], None] = lambda note: None
    _images: dict[str, np.ndarray | UnreadableImage] = field(default_factory=dict)
    _texts: dict[str, np.ndarray] = field(default_factory=dict)
    _truncated: set[str] = field(default_factory=set)

    def images(self, images: Sequence[BenchmarkImage]) -> EncodedImages:
        """Normalised features of images, float64.

        Raises:
            OSError: the file system failed (not: a file that is missing or broken, which is a problem of its image).
        """
        new = [image for image in {image.key: image for image in images}.values() if image.key not in self._images]
        keys = [image.key for image in new]
        self._images.update(zip(keys, self._in_batches(self._encode_images, new, "images"), strict=True))
        known = [self._images[image.key] for image in images]
        problems = {index: row for index, row in enumerate(known) if isinstance(row, UnreadableImage)}
        blank = np.zeros(next((len(row) for row in known if isinstance(row, np.ndarray)), 1))
        return EncodedImages(np.stack([blank if isinstance(row, UnreadableImage) else row for row in known]), problems)

    def texts(self, texts: Sequence[str]) -> EncodedTexts:
        """Normalised features of texts, float64. Texts longer than the context are cut as open_clip's tokenizers cut them."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            tokens = self.clip.tokenizer(new)
            self._truncated.update(text for text, cut in zip(new, self._cut(new, tokens), strict=True) if cut)
            order = text_lengths(self.clip.model, tokens).argsort(stable=True).tolist()
            rows = self._in_batches(self._encode_tokens, [tokens[row] for row in order], "texts")
            self._texts.update((new[row], feature) for row, feature in zip(order, rows, strict=True))
        features = np.stack([self._texts[text] for text in texts])
        return EncodedTexts(features, np.array([text in self._truncated for text in texts]))

    @property
    def _device(self) -> torch.device:
        return self.clip.model.logit_scale.device

    def _in_batches(self, encode: Callable[[list[T]], list[R]], items: list[T], what: str) -> Iterator[R]:
        """What `encode` makes of the items, in their order. Batches run side by side, each on its share of the processors:
        small models lose most of their time waiting where many threads share one batch."""
        batches = [items[start : start + self.batch_size] for start in range(0, len(items), self.batch_size)]
        done = 0
        with _shared_processors() as workers, _exact_arithmetic(self._device), ThreadPoolExecutor(workers) as pool:
            for results in pool.map(torch.inference_mode()(encode), batches):
                done += len(results)
                self.report(f"{done:,} of {len(items):,} {what}")
                yield from results

    def _encode_images(self, images: list[BenchmarkImage]) -> list[np.ndarray | UnreadableImage]:
        pixels = [self._pixels(image) for image in images]
        readable = [item for item in pixels if isinstance(item, Tensor)]
        if not readable:
            return [item for item in pixels if isinstance(item, UnreadableImage)]
        rows = iter(normalised(self.clip.model.encode_image(torch.stack(readable).to(self._device)).cpu().numpy()))
        return [next(rows) if isinstance(item, Tensor) else item for item in pixels]

    def _pixels(self, image: BenchmarkImage) -> Tensor | UnreadableImage:
        try:
            return self.clip.preprocess(image.open())
        except UnreadableImage as problem:
            return problem

    def _encode_tokens(self, tokens: list[Tensor]) -> list[np.ndarray]:
        batch = torch.stack(tokens)
        batch = batch[:, : int(text_lengths(self.clip.model, batch).max())]
        return list(normalised(encode_text(self.clip.model, batch.to(self._device)).cpu().numpy()))

    def _cut(self, texts: list[str], tokens: Tensor) -> list[bool]:
        # a text was cut if one more place in the context changes the tokens before it
        full = (tokens[:, -1] != 0).nonzero()[:, 0].tolist()
        cut = [False] * len(texts)
        if full:
            longer = self.clip.tokenizer([texts[row] for row in full], context_length=tokens.shape[1] + 1)
            for row, extended in zip(full, longer, strict=True):
                cut[row] = not torch.equal(extended[:-1], tokens[row])
        return cut


def text_lengths(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """Tokens of each text that its feature depends on, int64 (T,).

    Under a causal mask the feature, taken at the end token, cannot depend on the padding behind it. Where the text tower
    looks both ways or pools elsewhere, that is the whole context.
    """
    if model.attn_mask is None or model.text_pool_type != "argmax":
        return torch.full((len(tokens),), tokens.shape[1])
    return tokens.argmax(dim=-1) + 1


def encode_text(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """open_clip's `encode_text` for tokens (B, L) that may be shorter than the model's context."""
    length = tokens.shape[1]
    if length == model.context_length:
        return model.encode_text(tokens)
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    pooled = hidden[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)]
    if model.text_projection is None:
        return pooled
    linear = isinstance(model.text_projection, torch.nn.Linear)
    return model.text_projection(pooled) if linear else pooled @ model.text_projection


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
