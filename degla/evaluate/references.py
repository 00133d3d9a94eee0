"""Whether a model said to be a published base CLIP reproduces its published scores (`degla.catalog.published`).

A wrong activation, preprocessing or split shows here first. `evaluate.reference=require` makes it a condition.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from degla.catalog.published import PublishedScore, published_file, published_table, reference_scores
from degla.errors import ConfigError, ModelError
from degla.outcomes.measures import Measure

TOLERANCE = 0.3
"""Percentage points; several implementations of the same protocol agree within these."""

CAUSES = (
    "the activation (OpenAI's weights need QuickGELU: `ViT-B-32-quickgelu`, or `activation: quickgelu`), another prompt template"
    " or class names, another resize or crop (`preprocessing`), images that are missing or not the benchmark's own"
)


@dataclass(frozen=True)
class Check:
    """A score beside the published one."""

    model: str
    per_cent: float
    published: PublishedScore

    @property
    def agrees(self) -> bool:
        """Whether the two are no more than `TOLERANCE` apart."""
        return abs(self.per_cent - self.published.per_cent) <= TOLERANCE + 1e-9

    def sentence(self) -> str:
        """The check in words."""
        verdict = "as published" if self.agrees else f"{self.per_cent - self.published.per_cent:+.2f}"
        return (
            f"{self.model}: {self.published.metric} is {self.per_cent:.2f}, published {self.published.per_cent:.2f}"
            f" ({self.published.source}): {verdict}"
        )


def checks(model: str, reference: str, benchmark: str, found: Iterable[Measure]) -> list[Check]:
    """Each published score of a model on a benchmark beside the one found; scores on fewer items are not compared.

    Args:
        model: its name in the scores.
        reference: the published model that it is said to be; empty: none.
        benchmark: its card.
        found: the metrics of the model.
    """
    whole = {f"{benchmark}/{measure.path}": measure for measure in found if measure.missing == 0}
    return [
        Check(model, 100 * whole[metric].value, score)
        for metric, score in reference_scores(reference, benchmark).items()
        if metric in whole
    ]


def check_required(found: Sequence[Check]) -> None:
    """Raises ModelError if a score is further than `TOLERANCE` from the published one."""
    wrong = sorted((each for each in found if not each.agrees), key=lambda each: -abs(each.per_cent - each.published.per_cent))
    if wrong:
        raise ModelError(
            f"evaluate.reference=require: {len(wrong)} of {len(found)} scores of a base model are more than {TOLERANCE} points"
            f" from the published ones. {'; '.join(each.sentence() for each in wrong)}. Likely causes: {CAUSES}."
        )


def check_known(reference: str) -> None:
    """Raises ConfigError if a model is said to be one that the table does not have."""
    known = list(published_table().models)
    if reference and reference not in known:
        near = difflib.get_close_matches(reference, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise ConfigError(f"no reference {reference!r} in {published_file()}; {hint}")
