"""Settings of the filter stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from degla.config import NO_EFFECT, Config, StageConfig
from degla.models import ModelRef
from degla.models.source import find
from degla.negative_types import NEGATIVE_TYPES, NegativeType, types_that


class ImageVeto(Config):
    """A CLIP that looks at the image: a negative that fits it better than its caption does may be true, and is refused.

    What the model itself gets wrong is refused too, and that is what training is to teach: let another CLIP than the one to
    train do it, and look at what it refuses.
    """

    model: ModelRef = ModelRef()
    """The CLIP."""

    margin: float = 0.0
    """A negative is refused where its logit with the image exceeds its caption's by more than this. Below 0 also negatives
    that fit a little worse are refused: a true one says the same as its caption, so it scores about the same."""

    types: tuple[NegativeType, ...] = types_that("replaces")
    """The types that it judges. A CLIP that reads captions as bags of words cannot judge swaps and reshuffles."""

    batch_size: int | None = Field(None, ge=1, json_schema_extra=NO_EFFECT)
    """Images or texts encoded at once; empty takes 48 on a CPU and 256 on a GPU."""


class Audit(Config):
    """What to do about negatives that a text-only classifier can tell from their captions; the audit itself is always made.

    Blind accuracy: the accuracy of a text-only classifier on (caption, negative) pairs; 0.5 = no artefact.
    """

    max_blind_accuracy: float = Field(1.0, ge=0.5, le=1)
    """Fail if the lower 95 % bound of the blind accuracy for any type and generator exceeds this. 1 disables."""

    target: float | None = Field(None, ge=0.5, lt=1)
    """Drop as few negatives as possible (rule `blind_balance`) for a blind accuracy of at most this, such as 0.7, and of each
    type and generator at most 0.05 more. Captions keep four as long as they can. Generate more to choose from
    (`generate.per_caption`, `generate.max_per_type`, and `filter.max_per_type` for an image). Empty drops none."""

    retired: ClassVar[Mapping[str, str]] = {
        "refine": "set target: of all pairs together, with each type and generator at most 0.05 above it, where refine was the"
        " limit of each; captions keep four negatives as long as they can."
    }


class FilterConfig(StageConfig):
    """Filter: the limits of the rules."""

    stage: ClassVar[str] = "filter"
    version: ClassVar[int] = 7
    needs: ClassVar[tuple[str, ...]] = ("prepare", "generate")
    retired: ClassVar[Mapping[str, str]] = {"wordnet": "WordNet comes with DeGLA and is always asked. Leave the setting out."}

    min_tokens: int = Field(2, ge=1)
    """Fewest word tokens of a negative."""

    max_tokens: int = Field(60, ge=1)
    """Most word tokens of a negative; CLIP reads at most 77 subword tokens."""

    max_per_type: int = Field(25, ge=0)
    """Most negatives of one type for one image, over all its captions, so that no type and no image fills the training table:
    five of each of five captions. 0 sets no limit."""

    min_logprob_quantile: float = Field(0.0, ge=0, lt=1)
    """Refuse the texts that their generator found least likely: this share of each type and generator, by mean
    log-probability per token. 0 refuses none; texts whose generator does not tell are not judged."""

    max_lm_gap: float | dict[NegativeType, float] | None = None
    """Refuse negatives (rule `plausible`) that a language model finds less likely than their caption by more than this, in nats,
    such as 4; or a limit for each type that is to have one. The model is the one that wrote or chose the text (`lm_gap` of the
    row), else trigrams of the dataset's captions. The report shows what each limit would keep."""

    veto: ImageVeto | None = None
    """Let a CLIP compare each remaining negative with its image. `{}` switches it on with its defaults; it needs images."""

    audit: Audit = Audit()
    """What is done about negatives that can be told without the image."""

    min_kept_fraction: float = Field(0.05, ge=0, le=1)
    """The stage stops if a smaller share of the generated texts is kept: then something upstream is wrong."""

    threads: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """DuckDB threads; 0 takes every core."""

    memory_limit: str = Field("1GB", json_schema_extra=NO_EFFECT)
    """DuckDB's memory limit; beyond it, it spills to disk. The whole stage takes about 0.8 GB more."""

    def lm_gap_limits(self) -> dict[NegativeType, float]:
        """`max_lm_gap` by type; empty if it is off."""
        if isinstance(self.max_lm_gap, dict):
            return self.max_lm_gap
        return {} if self.max_lm_gap is None else dict.fromkeys(NEGATIVE_TYPES, self.max_lm_gap)

    def raw_inputs(self) -> dict[str, str]:
        raw = {}
        if self.veto:
            find(self.veto.model, "filter.veto.model", download=False)  # refuses what does not agree
            raw["veto"] = self.veto.model.checksum()
        return raw
