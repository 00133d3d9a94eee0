"""CLIP fine-tuned on the same captions, without negatives."""

from typing import ClassVar

from degla.train.objective import Objective


class Clip(Objective):
    """The base term."""

    num_negatives: ClassVar[int] = 0
