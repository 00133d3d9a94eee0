"""What an objective is: settings, and the terms of a loss on the embeddings of a batch.

An objective is one file in `degla/train/objectives/`; the file's name is its name in `train.objective`. A term, its weight in
the settings, its figure in the metrics and its equation in `degla/train/losses/` have one name. The settings are part of the
run form, which loads no torch: terms import what they compute with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, ClassVar

from degla.config import Config

if TYPE_CHECKING:
    from torch import Tensor

    from degla.train.embeddings import Embeddings

Terms = Mapping[str, "Callable[[], Tensor]"]
"""Name to loss; computed only if it has a weight."""
Memory = Mapping[str, "Tensor"]
"""What a step hands to the next one: the same on all ranks, and part of a checkpoint."""


@dataclass(frozen=True)
class View:
    """What the terms see of a step."""

    student: Embeddings
    """This rank's, with gradient."""
    teacher: Embeddings | None
    """The teacher's of the same inputs; None unless the objective needs them."""
    everyone: Embeddings
    """The student's of the global batch, with gradient."""
    first: int
    """Index of this rank's first row in the global batch."""
    scale: Tensor
    """The factor on the cosines; scalar."""
    memory: Memory

    @property
    def target(self) -> Embeddings:
        """The teacher's, for a term that needs them."""
        assert self.teacher is not None
        return self.teacher


@dataclass(frozen=True)
class Losses:
    """This rank's share: the mean over ranks of equal batches is the loss of the global batch, and so with the gradients."""

    total: Tensor
    parts: dict[str, Tensor]
    """The terms by name, unweighted."""
    scale: Tensor
    """The factor on the cosines that they were computed with."""
    memory: Memory
    """For the next step."""


class Objective(Config):
    """The loss of a run. The fields of a subclass are its settings; a term's weight is the setting of its name."""

    section: ClassVar[str] = ""
    """Name of the settings below `train`; the objective's if empty."""
    num_negatives: ClassVar[int] = 4
    """K, unless `train.negatives` says otherwise. 0: it has no use for negatives."""

    @property
    def needs_teacher(self) -> bool:
        """Whether any term with a weight compares with the teacher."""
        return False

    @property
    def needs_local(self) -> bool:
        """Whether any term with a weight compares patches with tokens."""
        return False

    def terms(self, view: View) -> Terms:
        """The terms of the loss. All objectives have the base term, of weight 1: CLIP's contrastive loss, to which the negatives
        of the global batch are further wrong captions."""
        from degla.train import losses

        own = (view.student.image_BD, view.student.caption_BD)
        return {"contrastive": lambda: losses.contrastive(*own, *view.everyone.own, view.scale, view.first)}

    def start(self) -> Memory:
        """The memory before the first step."""
        return {}

    def remember(self, view: View) -> Memory:
        """The memory after a step."""
        return view.memory

    def released(self, batch_size: int) -> Objective:
        """The objective as `train.reproduce=release` computes it. Raises ValueError if the release does not have it."""
        raise ValueError("train.reproduce=release is about DeGLA's released code: leave it out, or set train.objective=degla")

    def __call__(self, view: View) -> Losses:
        """This rank's share of the loss."""
        parts = {name: term() for name, term in self.terms(view).items() if self._weight(name)}
        total = reduce(add, (self._weight(name) * part for name, part in parts.items()))
        return Losses(total, parts, view.scale.detach(), self.remember(view))

    def _weight(self, term: str) -> float:
        return getattr(self, term, 1.0)  # the base term has no setting
