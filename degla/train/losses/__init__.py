"""The terms of the objectives: one equation, one pure function, one file.

Shape letters of tensor names: B captions of this rank, N captions of the global batch, K negatives a caption, T = 1 + K
texts a caption, L tokens a text, P patches an image, C types of negatives, D width. All take float32 embeddings,
L2-normalised where nothing else is said. A missing negative is a zero vector whose mask entry is False.
"""

from degla.train.losses.contrastive import contrastive
from degla.train.losses.cross_modal_rank import cross_modal_rank, logit_gap, rank_thresholds
from degla.train.losses.distillation import distillation
from degla.train.losses.focal import focal_choice
from degla.train.losses.global_hard_negative import global_hard_negative
from degla.train.losses.image_grounded import image_grounded
from degla.train.losses.intra_modal import intra_modal
from degla.train.losses.local_hard_negative import local_hard_negative
from degla.train.losses.text_grounded import release_negatives, text_grounded

__all__ = [
    "contrastive",
    "cross_modal_rank",
    "distillation",
    "focal_choice",
    "global_hard_negative",
    "image_grounded",
    "intra_modal",
    "local_hard_negative",
    "logit_gap",
    "rank_thresholds",
    "release_negatives",
    "text_grounded",
]
