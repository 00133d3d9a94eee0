"""The terms of the DeGLA objective: one equation, one pure function, one file.

Shape letters of tensor names: B captions of this rank, N captions of the global batch, K negatives a caption, D width.
All take L2-normalised float32 embeddings. A missing negative is a zero vector whose mask entry is False.
"""

from degla.train.losses.contrastive import contrastive
from degla.train.losses.distillation import distillation
from degla.train.losses.image_grounded import image_grounded
from degla.train.losses.text_grounded import release_negatives, text_grounded

__all__ = ["contrastive", "distillation", "image_grounded", "release_negatives", "text_grounded"]
