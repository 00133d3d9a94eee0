"""NegCLIP (arXiv 2210.01936). The original also adds images from nearest neighbours; this does not."""

from typing import ClassVar

from degla.train.objective import Objective


class NegClip(Objective):
    """The base term with one negative per caption."""

    num_negatives: ClassVar[int] = 1
