"""The terms of the objectives: one equation, one pure function, one file named as the term is in settings and metrics.

Read `contrastive` (the base term), then `igc`, `tgc` and `distill` (DeGLA), `cmr` and `imc` (CE-CLIP), and `focal`,
`global_negatives` and `local_negatives` (FSC-CLIP).

Shape letters of tensor names: B captions of this rank, N captions of the global batch, K negatives per caption, T = 1 + K
texts per caption, L tokens per text, P patches per image, C types of negatives, D width. All take float32 embeddings,
L2-normalised unless said otherwise. A missing negative is a zero vector whose mask entry is False. The losses are scalars.
"""

from degla.train.losses.cmr import cmr, logit_gap, next_margins
from degla.train.losses.contrastive import contrastive
from degla.train.losses.distill import distill
from degla.train.losses.focal import focal_choice
from degla.train.losses.global_negatives import global_negatives
from degla.train.losses.igc import igc
from degla.train.losses.imc import imc
from degla.train.losses.local_negatives import local_negatives
from degla.train.losses.tgc import release_negatives, tgc

__all__ = [
    "cmr",
    "contrastive",
    "distill",
    "focal_choice",
    "global_negatives",
    "igc",
    "imc",
    "local_negatives",
    "logit_gap",
    "next_margins",
    "release_negatives",
    "tgc",
]
