"""The evaluation sets of the mini world: zero-shot classification, choosing the true caption, retrieval.

Each set is a pure function of its kind, split and size. The splits differ in their seed and share no image with each
other or with any training data. Every wrong caption of a composition set is checked to be false of its image.
Knows nothing of models or of how scores are computed.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from degla.miniworld.edits import ORDER_PERTURBATIONS, EditKind, Words, false_edit, reorder
from degla.miniworld.language import CLASSES, bare_caption, class_prompts, natural_caption, relations
from degla.miniworld.scenes import (
    COLOURS,
    PLACES,
    SEEN_COLOURS,
    SEEN_NOUNS,
    SEEN_PLACES,
    TEXTURES,
    UNSEEN_NOUNS,
    Scene,
    pick,
    render,
    sample_scene,
    sample_single,
)

Split = Literal["validation", "test"]

SPLIT_SEEDS: dict[Split, int] = {"validation": 10_000_019, "test": 20_000_003}


def _rng(benchmark: str, split: Split) -> np.random.Generator:
    return np.random.default_rng((SPLIT_SEEDS[split], zlib.crc32(benchmark.encode())))


ClassificationKind = Literal["noun_photo", "noun_sketch", "noun_grainy", "colour", "place", "texture"]

CLASSIFICATION_SIZES: dict[ClassificationKind, int] = {
    "noun_photo": 640,
    "noun_sketch": 640,
    "noun_grainy": 640,
    "colour": 480,
    "place": 480,
    "texture": 480,
}
"""Classification sets and their usual numbers of images."""

_SEEN = {
    "noun": frozenset(SEEN_NOUNS),
    "colour": frozenset(SEEN_COLOURS),
    "place": frozenset(SEEN_PLACES),
    "texture": frozenset(TEXTURES),
}


@dataclass(frozen=True)
class Classification:
    """Images of one object each and the class of each image, among all classes of its kind."""

    images: np.ndarray
    """uint8 (M, 48, 48, 3)."""
    labels: np.ndarray
    """int64 (M,): index into `class_names`."""
    class_names: list[str]
    class_prompts: list[list[str]]
    """Texts of each class; the mean of their embeddings is the class's classifier."""
    seen_classes: list[bool]
    """Whether fine-tuning data shows the class. Textures are all shown."""


def classification(kind: ClassificationKind, split: Split, size: int | None = None) -> Classification:
    """The zero-shot set `kind`; `size` is the number of images, by default the usual one."""
    rng = _rng(kind, split)
    label_kind, _, style = kind.partition("_")
    scenes = [_single(label_kind, style or "photo", rng) for _ in range(size or CLASSIFICATION_SIZES[kind])]
    names = CLASSES[label_kind]
    return Classification(
        images=_images(scenes),
        labels=np.array([names.index(_label(scene, label_kind)) for scene in scenes], dtype=np.int64),
        class_names=list(names),
        class_prompts=[class_prompts(label_kind, name) for name in names],
        seen_classes=[name in _SEEN[label_kind] for name in names],
    )


def _single(label_kind: str, style: str, rng: np.random.Generator) -> Scene:
    """One object. Where textures are asked for they are drawn uniformly; elsewhere more than half are plain."""
    scene = sample_single(rng, tuple(PLACES) if label_kind == "place" else (*PLACES, None), style)
    if label_kind != "texture":
        return scene
    return replace(scene, objects=(replace(scene.objects[0], texture=pick(rng, tuple(TEXTURES))),))


def _label(scene: Scene, label_kind: str) -> str:
    item = scene.objects[0]
    return {"noun": item.noun, "colour": item.colour, "place": str(scene.place), "texture": item.texture}[label_kind]


def _images(scenes: list[Scene]) -> np.ndarray:
    return np.stack([render(scene) for scene in scenes])


CaptionChoiceKind = Literal[
    "replace_obj",
    "replace_att",
    "replace_rel",
    "swap_obj",
    "swap_att",
    "aro_relation",
    "aro_order",
    "unseen_swap_obj",
    "unseen_swap_att",
    "unseen_replace_obj",
]

CAPTION_CHOICE_SIZE = 500
"""The usual number of images of each set in which the true caption is to be chosen."""

_EDIT_OF: dict[str, EditKind] = {
    "replace_obj": "replace_noun",
    "replace_att": "replace_attribute",
    "replace_rel": "replace_relation",
    "swap_obj": "swap_nouns",
    "swap_att": "swap_attribute",
}


@dataclass(frozen=True)
class CaptionChoice:
    """Images, and for each the captions to choose from."""

    images: np.ndarray
    """uint8 (M, 48, 48, 3)."""
    items: list[tuple[int, tuple[str, ...]]]
    """Index of an image and its candidates: the true caption first, then one or four false ones."""


def caption_choice(kind: CaptionChoiceKind, split: Split, size: int = CAPTION_CHOICE_SIZE) -> CaptionChoice:
    """The composition set `kind` with `size` images.

    Sets named unseen_* show the nouns that fine-tuning data does not, in all colours and places; the others its
    distribution.
    """
    rng = _rng(kind, split)
    scenes: list[Scene] = []
    items: list[tuple[int, tuple[str, ...]]] = []
    while len(items) < size:
        scene = _unseen_scene(rng) if kind.startswith("unseen_") else sample_scene(rng)
        candidates = _candidates(kind, scene, rng)
        if candidates is not None:
            items.append((len(scenes), candidates))
            scenes.append(scene)
    return CaptionChoice(_images(scenes), items)


def _unseen_scene(rng: np.random.Generator) -> Scene:
    return sample_scene(rng, UNSEEN_NOUNS, tuple(COLOURS), tuple(PLACES))


def _candidates(kind: CaptionChoiceKind, scene: Scene, rng: np.random.Generator) -> tuple[str, ...] | None:
    """The true caption and false ones; None if the scene and the caption drawn for it offer none."""
    if kind == "aro_relation":
        return _bare_candidates(scene)
    caption = natural_caption(scene, rng)
    if kind == "aro_order":
        wrong = [reorder(caption.text, perturbation, scene, rng) for perturbation in ORDER_PERTURBATIONS]
    else:
        words = Words(UNSEEN_NOUNS, tuple(COLOURS)) if kind.startswith("unseen_") else Words()
        wrong = [false_edit(_EDIT_OF[kind.removeprefix("unseen_")], caption, scene, rng, words)]
    texts = list(dict.fromkeys(text for text in wrong if text is not None))
    return (caption.text, *texts) if len(texts) == len(wrong) else None


def _bare_candidates(scene: Scene) -> tuple[str, str]:
    """Two nouns and their position, and the same with the nouns exchanged: false, as positions have a direction."""
    first, second = scene.objects
    relation = relations(first, second)[0]
    return bare_caption(first.noun, relation, second.noun), bare_caption(second.noun, relation, first.noun)


@dataclass(frozen=True)
class Retrieval:
    """Images and one natural caption of each."""

    images: np.ndarray
    """uint8 (M, 48, 48, 3)."""
    texts: list[str]
    text_image: np.ndarray
    """int64 (number of texts,): the image each text belongs to."""


RETRIEVAL_SIZE = 400
"""The usual number of pairs in retrieval."""


def retrieval(split: Split, size: int = RETRIEVAL_SIZE) -> Retrieval:
    """`size` pairs of the fine-tuning distribution."""
    rng = _rng("retrieval", split)
    scenes = [sample_scene(rng) for _ in range(size)]
    texts = [natural_caption(scene, rng).text for scene in scenes]
    return Retrieval(_images(scenes), texts, np.arange(size, dtype=np.int64))
