"""The benchmarks' scoring rules as pure functions over normalised features.

Shapes: M images, T texts, I items, C classes, P prompts, D width. Features are float64 with rows of norm 1, so a dot product
is a cosine. Each rule is that of the benchmark's own evaluation code, ties included. Equal features tie exactly, wherever they
stand: a matrix product gives equal columns different last bits. A cosine that is not finite makes no answer right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 512
_NEVER = np.iinfo(np.int64).max  # the rank of an answer whose cosine is not finite


def normalised(features: np.ndarray) -> np.ndarray:
    """Rows scaled to norm 1, in float64; a row of zeros stays one (its cosine with everything is 0)."""
    features = features.astype(np.float64)
    norms = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.where(norms == 0, 1.0, norms)


def choice_margin(image_D: np.ndarray, candidates_ND: np.ndarray) -> float:
    """Cosine of the image with its true caption (candidate 0) minus the largest with a false one."""
    similarity_N = _finite((candidates_ND * image_D).sum(axis=-1))
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
    first, second, false = _finite((triple_3D * image_D).sum(axis=-1))
    return float(np.minimum(first, second) - false)


def text_to_text_margin(triple_3D: np.ndarray) -> float:
    """SugarCrepe++'s text-only test: the cosine of the two captions minus the larger one of either with the false caption."""
    first_D, second_D, false_D = triple_3D
    own, first, second = _finite(np.stack([first_D * second_D, first_D * false_D, second_D * false_D]).sum(axis=-1))
    return float(own - np.maximum(first, second))


def match_margins(image_ND: np.ndarray, text_ND: np.ndarray) -> dict[str, float]:
    """Winoground's scores (Thrush et al. 2022) of N images and their N captions as margins, right if above 0.

    `text`: each image is strictly nearer to its own caption than to any other. `image`: so is each caption to its own image.
    `group`: both.
    """
    similarity_TI = _finite((text_ND[:, None, :] * image_ND[None, :, :]).sum(axis=-1))
    own_N = similarity_TI.diagonal()
    others_TI = np.where(np.eye(len(own_N), dtype=bool), -np.inf, similarity_TI)
    text, image = (own_N - others_TI.max(axis=0)).min(), (own_N - others_TI.max(axis=1)).min()
    return {"text": float(text), "image": float(image), "group": float(np.minimum(text, image))}


def class_embedding(prompts_PD: np.ndarray) -> np.ndarray:
    """The classifier of one class (D,): the normalised mean of its normalised prompt embeddings (CLIP, section 3.1.4)."""
    return normalised(prompts_PD.mean(axis=0, keepdims=True))[0]


def classify(image_MD: np.ndarray, class_CD: np.ndarray, label_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero-shot classification by the nearest class.

    Returns:
        predicted: int64 (M,), the first of the classes with the largest cosine (argmax, as in CLIP's own code); -1 if a cosine is
            not finite.
        margin: float64 (M,), cosine of the true class minus the largest of another one.
    """
    cosine_MC = _Answers(class_CD).cosines(image_MD)
    rows = np.arange(len(label_M))
    true_M = cosine_MC[rows, label_M]
    others_MC = cosine_MC.copy()
    others_MC[rows, label_M] = -np.inf
    predicted_M = np.where(np.isnan(cosine_MC).any(axis=1), -1, cosine_MC.argmax(axis=1))
    return predicted_M, true_M - others_MC.max(axis=1)


def text_retrieval_ranks(
    image_MD: np.ndarray, text_TD: np.ndarray, text_image_T: np.ndarray, text_T: np.ndarray | None = None
) -> np.ndarray:
    """For each image the rank (1 is best) of the best placed of its captions among all captions, int64 (M,).

    Recall@K counts an image if this rank is at most K: one of its captions is among the K nearest. A caption of another image
    that is exactly as near counts as nearer (no benchmark defines the order of ties; this one cannot flatter).

    Args:
        image_MD, text_TD: features.
        text_image_T: the image of each caption.
        text_T: number of each caption's text: captions of one text are right for the images of all of them. None: each caption
            is right for its own image only.
    """
    text_T = np.arange(len(text_TD)) if text_T is None else text_T
    answers, distinct = _Answers(text_TD), np.array_equal(text_T, np.arange(len(text_T)))
    ranks = np.empty(len(image_MD), dtype=np.int64)
    for start in range(0, len(image_MD), _BLOCK):
        cosine_BT = answers.cosines(image_MD[start : start + _BLOCK])
        right_BU = _marks(text_image_T - start, text_T, (len(cosine_BT), text_T.max() + 1))
        right_BT = right_BU if distinct else right_BU[:, text_T]
        ranks[start : start + len(cosine_BT)] = _ranks(cosine_BT, right_BT)
    return ranks


def image_retrieval_ranks(
    image_MD: np.ndarray, text_TD: np.ndarray, text_image_T: np.ndarray, text_T: np.ndarray | None = None
) -> np.ndarray:
    """For each caption the rank (1 is best) of the best placed of its images among all images, int64 (T,); ties and arguments as
    in `text_retrieval_ranks`."""
    text_T = np.arange(len(text_TD)) if text_T is None else text_T
    answers = _Answers(image_MD)
    first_U = np.unique(text_T, return_index=True)[1]  # captions of one text have one feature, and so one rank
    rank_U = np.empty(len(first_U), dtype=np.int64)
    for start in range(0, len(first_U), _BLOCK):
        cosine_BM = answers.cosines(text_TD[first_U[start : start + _BLOCK]])
        right_BM = _marks(text_T - start, text_image_T, cosine_BM.shape)
        rank_U[start : start + len(cosine_BM)] = _ranks(cosine_BM, right_BM)
    return rank_U[text_T]


@dataclass(frozen=True)
class Retrieved:
    """How well queries found their right answers; all are 0 if no right answer has a finite cosine."""

    rank: np.ndarray
    """int64 (Q,): place of the best placed right answer, 1 is best."""
    r_precision: np.ndarray
    """float64 (Q,): share of right answers among the R nearest, where R is the number of right answers."""
    average_precision: np.ndarray
    """float64 (Q,): mean over the places 1 to R of the precision up to a place if a right answer stands there, else 0 (mAP@R,
    Musgrave et al. 2020, arXiv 2003.08505, section 3.2)."""


def labelled_retrieval(
    query_QD: np.ndarray, answer_AD: np.ndarray, right: Sequence[Sequence[int]], absent: Sequence[int]
) -> Retrieved:
    """Retrieval with several right answers for each query. A wrong answer as near as a right one counts as nearer.

    Args:
        query_QD, answer_AD: features.
        right: the right answers of each query.
        absent: further right answers of each query that are not among the answers; they count in R.
    """
    answers = _Answers(answer_AD)
    rank_Q = np.full(len(query_QD), _NEVER)
    precision_Q, average_Q = np.zeros(len(query_QD)), np.zeros(len(query_QD))
    for start in range(0, len(query_QD), _BLOCK):
        for row, cosine_A in enumerate(answers.cosines(query_QD[start : start + _BLOCK]), start):
            own = np.zeros(len(cosine_A), dtype=bool)
            own[list(right[row])] = True
            best = np.sort(cosine_A[own])[::-1]
            best = best[np.isfinite(best)]
            # before the k-th right answer stand the k before it, and every wrong one that is not surely further
            further = np.searchsorted(np.sort(cosine_A[~own & np.isfinite(cosine_A)]), best, side="left")
            place = np.arange(1, len(best) + 1) + np.count_nonzero(~own) - further
            number = len(right[row]) + absent[row]
            found = place[place <= number]
            if len(place):
                rank_Q[row] = place[0]
                precision_Q[row] = len(found) / number
                average_Q[row] = float((np.arange(1, len(found) + 1) / found).sum()) / number
    return Retrieved(rank_Q, precision_Q, average_Q)


def _ranks(cosine_BA: np.ndarray, right_BA: np.ndarray) -> np.ndarray:
    """Rank of the nearest right answer of each row; a wrong one as near counts as nearer, and so does one that is not finite."""
    best_B1 = np.where(right_BA, cosine_BA, -np.inf).max(axis=1, keepdims=True)
    rank_B = 1 + cosine_BA.shape[1] - np.count_nonzero((cosine_BA < best_B1) | right_BA, axis=1)
    return np.where(np.isnan(best_B1[:, 0]), _NEVER, rank_B)


def _marks(row_T: np.ndarray, column_T: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """bool of this shape, True at the places whose row is in it."""
    marks = np.zeros(shape, dtype=bool)
    inside_T = (row_T >= 0) & (row_T < shape[0])
    marks[row_T[inside_T], column_T[inside_T]] = True
    return marks


class _Answers:
    """Features to compare others with: equal rows are multiplied once, so that their cosines are equal to the last bit."""

    def __init__(self, features_AD: np.ndarray) -> None:
        numbers: dict[bytes, int] = {}
        self._number_A = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in features_AD])
        self._distinct_UD = features_AD[np.unique(self._number_A, return_index=True)[1]]

    def cosines(self, query_QD: np.ndarray) -> np.ndarray:
        """Cosine of each query with each answer, (Q, A)."""
        cosine_QU = _finite(query_QD @ self._distinct_UD.T)
        return cosine_QU if len(self._distinct_UD) == len(self._number_A) else cosine_QU[:, self._number_A]


def _finite(cosine: np.ndarray) -> np.ndarray:
    """The same array, with NaN for infinity: an infinite cosine would win."""
    cosine[np.isinf(cosine)] = np.nan
    return cosine
