"""The batches a mini-world CLIP is pretrained on, drawn as they are needed.

Batch i is a function of (seed, i), whichever process makes it. Besides image-caption pairs a batch has one random text
for every class and the classes of every image. Besides many single objects in web captions, later phases bring
two-object scenes in sentences, and their near duplicates ("twins": the same scene with colours, nouns or positions
exchanged), as a very large batch would. Hard captions are a stream of their own.
Knows nothing of torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from degla.miniworld.edits import EditKind, Words, false_edit
from degla.miniworld.language import (
    CLASSES,
    UNKNOWN,
    bare_caption,
    encode,
    natural_caption,
    random_class_prompt,
    relations,
    web_caption,
)
from degla.miniworld.scenes import COLOURS, NOUNS, PLACES, Scene, pick, render, sample_scene, sample_single

_STYLES = ("photo", "photo", "grainy", "sketch")
_NUM_COPIES = (1, 1, 2, 4, 6)
_NO_PLACE = 0.3  # share of single-object scenes on blank paper; without them only the places are learned for long
_LOST_WORD = 0.02  # share of words of a web caption that the model sees as unknown


@dataclass(frozen=True)
class Mixture:
    """What a phase of pretraining shows."""

    single_fraction: float
    """Share of scenes with one object, or copies of it; the others have two objects."""
    natural_fraction: float
    """Share of two-object scenes with a natural caption; all others have web captions."""
    twin_fraction: float = 0.0
    """Share of two-object scenes that are followed by a near duplicate, both with natural captions."""


@dataclass(frozen=True)
class Batch:
    """B pairs, one prompt for each of C classes of all kinds together (`CLASSES`, in order)."""

    pixels: np.ndarray
    """uint8 (B, 48, 48, 3)."""
    captions: np.ndarray
    """int64 token ids (B, context length)."""
    prompts: np.ndarray
    """int64 token ids (C, context length)."""
    targets: np.ndarray
    """float32 (B, C): the share of each class in an image, summing to 1 in each kind, or 0 if it is not shown."""


@dataclass(frozen=True)
class HardCaptions:
    """Scenes of some nouns, each with captions that only their binding tells apart."""

    nouns: tuple[str, ...]
    per_batch: int
    """Scenes of a batch."""
    bare_fraction: float
    """Share of scenes with a bare caption (`a ball left of a car`) and the same with its nouns exchanged."""


@dataclass(frozen=True)
class HardBatch:
    """B scenes, each with its caption and K false ones; a scene that has fewer has its caption again, which does not count."""

    pixels: np.ndarray
    """uint8 (B, 48, 48, 3)."""
    captions: np.ndarray
    """int64 token ids (B, context length)."""
    negatives: np.ndarray
    """int64 token ids (B, K, context length)."""
    counts: np.ndarray
    """bool (B, K): whether it is a false caption."""


def make_batch(mixture: Mixture, batch_size: int, seed: int, index: int) -> Batch:
    """Batch `index` of the stream `seed`."""
    rng = np.random.default_rng((seed, index))
    pairs: list[tuple[Scene, str]] = []
    while len(pairs) < batch_size:
        pairs.extend(_pairs(mixture, rng))
    scenes, captions = zip(*pairs[:batch_size], strict=True)
    return Batch(
        pixels=np.stack([render(scene) for scene in scenes]),
        captions=encode(captions),
        prompts=encode([random_class_prompt(kind, name, rng) for kind, names in CLASSES.items() for name in names]),
        targets=np.stack([_class_shares(scene) for scene in scenes]),
    )


_HARD_EDITS: tuple[EditKind, ...] = ("swap_nouns", "swap_attribute", "replace_relation", "replace_attribute")


def make_hard_batch(hard: HardCaptions, seed: int, index: int) -> HardBatch:
    """Batch `index` of the hard captions of the stream `seed`."""
    rng = np.random.default_rng((seed, index, 1))
    images: list[np.ndarray] = []
    captions: list[str] = []
    negatives: list[str] = []
    counts: list[list[bool]] = []
    while len(images) < hard.per_batch:
        scene = sample_scene(rng, hard.nouns, tuple(COLOURS), tuple(PLACES), "photo")
        caption, false = _hard_captions(hard, scene, rng)
        if false:
            padding = len(_HARD_EDITS) - len(false)
            images.append(render(scene))
            captions.append(caption)
            negatives += [*false, *[caption] * padding]
            counts.append([True] * len(false) + [False] * padding)
    shape = (hard.per_batch, len(_HARD_EDITS), -1)
    return HardBatch(np.stack(images), encode(captions), encode(negatives).reshape(shape), np.array(counts))


def _hard_captions(hard: HardCaptions, scene: Scene, rng: np.random.Generator) -> tuple[str, list[str]]:
    """A caption of the scene and what its edits make of it that is false, which may be nothing."""
    first, second = scene.objects
    if rng.random() < hard.bare_fraction:
        relation = relations(first, second)[0]  # where they are, whose inverse is false
        return bare_caption(first.noun, relation, second.noun), [bare_caption(second.noun, relation, first.noun)]
    caption = natural_caption(scene, rng)
    words = Words(hard.nouns, tuple(COLOURS))
    edited = [false_edit(kind, caption, scene, rng, words) for kind in _HARD_EDITS]
    return caption.text, [text for text in edited if text]


def _pairs(mixture: Mixture, rng: np.random.Generator) -> Iterator[tuple[Scene, str]]:
    style = pick(rng, _STYLES)
    if rng.random() < mixture.single_fraction:
        places = (None,) if rng.random() < _NO_PLACE else tuple(PLACES)
        single = sample_single(rng, _visible(places, style), style, pick(rng, _NUM_COPIES))
        yield single, _lose_words(web_caption(single, rng), rng)
        return
    scene = sample_scene(rng, NOUNS, tuple(COLOURS), _visible(tuple(PLACES), style), style)
    if rng.random() < mixture.twin_fraction:
        yield scene, natural_caption(scene, rng).text
        twin = _twin(scene, rng)
        yield twin, natural_caption(twin, rng).text
    elif rng.random() < mixture.natural_fraction:
        yield scene, natural_caption(scene, rng).text
    else:
        yield scene, _lose_words(web_caption(scene, rng), rng)


def _visible(places: tuple[str | None, ...], style: str) -> tuple[str | None, ...]:
    """A drawing shows no place, so it has none."""
    return (None,) if style == "sketch" else places


def _lose_words(caption: str, rng: np.random.Generator) -> str:
    return " ".join(UNKNOWN if rng.random() < _LOST_WORD else word for word in caption.split())


def _twin(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with colours, nouns or cells of its two objects exchanged, or turned from a row into a column."""
    first, second = scene.objects
    exchange = pick(rng, ("colour", "noun", "cell", "axis"))
    if exchange == "axis":
        objects = [replace(item, cell=item.cell[::-1]) for item in scene.objects]
    else:
        objects = [
            replace(first, **{exchange: getattr(second, exchange)}),
            replace(second, **{exchange: getattr(first, exchange)}),
        ]
    return replace(scene, objects=tuple(objects))


_CLASS_INDEX = {name: i for i, name in enumerate(name for names in CLASSES.values() for name in names)}


def _class_shares(scene: Scene) -> np.ndarray:
    shares = np.zeros(len(_CLASS_INDEX), dtype=np.float32)
    for item in scene.objects:
        for name in (item.noun, item.colour, item.texture):
            shares[_CLASS_INDEX[name]] += 1 / len(scene.objects)
    if scene.place is not None:
        shares[_CLASS_INDEX[scene.place]] = 1.0
    return shares
