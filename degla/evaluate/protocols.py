"""The benchmarks' scoring rules as pure functions over normalised features.

Shapes: M images, T texts, I items, C classes, P prompts, D width. Features are float64 with rows of norm 1, so a dot product
is a cosine. Each rule is that of the benchmark's own evaluation code, ties included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BLOCK = 512


def normalised(features: np.ndarray) -> np.ndarray:
    """Rows scaled to norm 1, in float64; a row of zeros stays one (its cosine with everything is 0)."""
    features = features.astype(np.float64)
    norms = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.where(norms == 0, 1.0, norms)


def choice_margin(image_D: np.ndarray, candidates_ND: np.ndarray) -> float:
    """Cosine of the image with its true caption (candidate 0) minus the largest with a false one."""
    similarity_N = (candidates_ND * image_D).sum(axis=-1)
    return float(similarity_N[0] - similarity_N[1:].max())


def choice_is_right(margin: float, ties_are_right: bool) -> bool:
    """Whether the true caption was chosen.

    SugarCrepe and VALSE (pairs) ask for strictly more: a tie is wrong. ARO's order sets take the argmax over candidates of which
    the true one is first: a tie is right, so a shuffle that left the caption unchanged never counts as an error.
    """
    return margin >= 0 if ties_are_right else margin > 0


def image_to_text_margin(image_D: np.ndarray, triple_3D: np.ndarray) -> float:
    """SugarCrepe++'s image-to-text test: the lesser cosine of the image with its two captions (rows 0, 1) minus that with the
    false one (row 2). Right if above 0: both captions are strictly nearer than the false one."""
    first, second, false = (triple_3D * image_D).sum(axis=-1)
    return float(min(first, second) - false)


def text_to_text_margin(triple_3D: np.ndarray) -> float:
    """SugarCrepe++'s text-only test: the cosine of the two captions minus the larger one of either with the false caption."""
    first_D, second_D, false_D = triple_3D
    return float((first_D * second_D).sum() - max((first_D * false_D).sum(), (second_D * false_D).sum()))


def match_margins(image_2D: np.ndarray, text_2D: np.ndarray) -> dict[str, float]:
    """Winoground's scores (Thrush et al. 2022) as margins, right if above 0.

    `text`: for each image its own caption is strictly nearer than the other one. `image`: for each caption its own image is.
    `group`: both.
    """
    similarity_TI = (text_2D[:, None, :] * image_2D[None, :, :]).sum(axis=-1)
    (own_0, text_0_image_1), (text_1_image_0, own_1) = similarity_TI.tolist()
    text = min(own_0 - text_1_image_0, own_1 - text_0_image_1)
    image = min(own_0 - text_0_image_1, own_1 - text_1_image_0)
    return {"text": text, "image": image, "group": min(text, image)}


def class_embedding(prompts_PD: np.ndarray) -> np.ndarray:
    """The classifier of one class (D,): the normalised mean of its normalised prompt embeddings (CLIP, section 3.1.4)."""
    return normalised(prompts_PD.mean(axis=0, keepdims=True))[0]


def classify(image_MD: np.ndarray, class_CD: np.ndarray, label_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero-shot classification by the nearest class.

    Returns:
        predicted: int64 (M,), the first of the classes with the largest cosine (argmax, as in CLIP's own code).
        margin: float64 (M,), cosine of the true class minus the largest of another one.
    """
    cosine_MC = image_MD @ class_CD.T
    rows = np.arange(len(label_M))
    true_M = cosine_MC[rows, label_M]
    others_MC = cosine_MC.copy()
    others_MC[rows, label_M] = -np.inf
    return cosine_MC.argmax(axis=1), true_M - others_MC.max(axis=1)


def text_retrieval_ranks(image_MD: np.ndarray, text_TD: np.ndarray, text_image_T: np.ndarray) -> np.ndarray:
    """For each image the rank (1 is best) of the best placed of its captions among all captions, int64 (M,).

    Recall@K counts an image if this rank is at most K: one of its captions is among the K nearest. A caption of another image
    that is exactly as near counts as nearer (no benchmark defines the order of ties; this one cannot flatter).
    """
    ranks = np.empty(len(image_MD), dtype=np.int64)
    for start in range(0, len(image_MD), _BLOCK):
        cosine_BT = image_MD[start : start + _BLOCK] @ text_TD.T
        own_BT = text_image_T[None, :] == np.arange(start, start + len(cosine_BT))[:, None]
        best_B1 = np.where(own_BT, cosine_BT, -np.inf).max(axis=1, keepdims=True)
        ranks[start : start + len(cosine_BT)] = 1 + ((cosine_BT >= best_B1) & ~own_BT).sum(axis=1)
    return ranks


def image_retrieval_ranks(image_MD: np.ndarray, text_TD: np.ndarray, text_image_T: np.ndarray) -> np.ndarray:
    """For each caption the rank (1 is best) of its image among all images, int64 (T,); ties as in `text_retrieval_ranks`."""
    ranks = np.empty(len(text_TD), dtype=np.int64)
    for start in range(0, len(text_TD), _BLOCK):
        cosine_BM = text_TD[start : start + _BLOCK] @ image_MD.T
        true_B1 = cosine_BM[np.arange(len(cosine_BM)), text_image_T[start : start + _BLOCK]][:, None]
        ranks[start : start + len(cosine_BM)] = (cosine_BM >= true_B1).sum(axis=1)
    return ranks


def chance(targets: Sequence[int], candidates: Sequence[int], within: int = 1) -> float:
    """Mean probability that a random order puts one of an item's `targets` among the first `within` of its `candidates`."""
    missed = np.ones(len(targets))
    targets_I, candidates_I = np.asarray(targets, dtype=np.float64), np.asarray(candidates, dtype=np.float64)
    for place in range(within):
        left_I = np.maximum(candidates_I - place, 1)
        missed *= np.clip((candidates_I - targets_I - place) / left_I, 0, 1)
    return float(np.mean(1 - missed))
