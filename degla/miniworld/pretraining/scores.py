"""Scores of a CLIP on the mini-world evaluation sets, for the pretraining log and the model card.

A few plain functions on tensors; the evaluate stage has its own, complete implementation of every metric.
Knows nothing of training.
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import open_clip
import torch
from torch.nn.functional import normalize

from degla.miniworld.benchmarks import (
    CLASSIFICATION_SIZES,
    CaptionChoiceKind,
    ClassificationKind,
    Split,
    caption_choice,
    classification,
    retrieval,
)
from degla.miniworld.language import encode
from degla.miniworld.model_folder import PIXEL_MEAN, PIXEL_STD

_CHUNK = 256


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """uint8 (B, 48, 48, 3) to the model's normalised float32 (B, 3, 48, 48)."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(PIXEL_MEAN).view(3, 1, 1)) / torch.tensor(PIXEL_STD).view(3, 1, 1)


@torch.no_grad()
def embed_images(model: open_clip.CLIP, images: np.ndarray) -> torch.Tensor:
    """Unit vectors (B, D) of images, uint8 (B, 48, 48, 3)."""
    device = model.logit_scale.device
    chunks = [model.encode_image(to_pixels(chunk).to(device)) for chunk in np.split(images, range(_CHUNK, len(images), _CHUNK))]
    return normalize(torch.cat(chunks), dim=-1).cpu()


@torch.no_grad()
def embed_texts(model: open_clip.CLIP, texts: Sequence[str]) -> torch.Tensor:
    """Unit vectors (B, D) of texts."""
    chunks = [model.encode_text(ids.to(model.logit_scale.device)) for ids in torch.from_numpy(encode(texts)).split(_CHUNK)]
    return normalize(torch.cat(chunks), dim=-1).cpu()


def zero_shot(model: open_clip.CLIP, split: Split, num_images: int | None = None) -> dict[str, float]:
    """Accuracy in percent on each classification set; `num_images` overrides the usual sizes."""
    return {kind: _accuracy(model, kind, split, num_images) for kind in CLASSIFICATION_SIZES}


def _accuracy(model: open_clip.CLIP, kind: ClassificationKind, split: Split, num_images: int | None) -> float:
    data = classification(kind, split, num_images)
    classifier = torch.stack([normalize(embed_texts(model, texts).mean(0), dim=-1) for texts in data.class_prompts])
    predicted = (embed_images(model, data.images) @ classifier.T).argmax(1)
    return 100 * (predicted == torch.from_numpy(data.labels)).float().mean().item()


def composition(model: open_clip.CLIP, split: Split) -> dict[str, float]:
    """How often, in percent, the true caption scores highest, in each composition set."""
    return {kind: _choice_accuracy(model, kind, split) for kind in get_args(CaptionChoiceKind)}


def _choice_accuracy(model: open_clip.CLIP, kind: CaptionChoiceKind, split: Split) -> float:
    data = caption_choice(kind, split)
    num_candidates = len(data.items[0][1])
    texts = embed_texts(model, [text for _, candidates in data.items for text in candidates])
    images = embed_images(model, data.images)[[index for index, _ in data.items]]
    scores = torch.einsum("md,mkd->mk", images, texts.unflatten(0, (-1, num_candidates)))
    return 100 * (scores[:, :1] > scores[:, 1:]).all(1).float().mean().item()


def recall_at_1(model: open_clip.CLIP, split: Split) -> float:
    """Retrieval of captions by images and of images by captions, the mean of both in percent."""
    data = retrieval(split)
    scores = embed_images(model, data.images) @ embed_texts(model, data.texts).T
    of_image = torch.from_numpy(data.text_image)
    by_image = of_image[scores.argmax(1)] == torch.arange(len(data.images))
    by_text = scores.argmax(0) == of_image
    return 50 * (by_image.float().mean() + by_text.float().mean()).item()
