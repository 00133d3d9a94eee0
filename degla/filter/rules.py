"""The filter's own rules beside the judge's: a negative must not be said of the image by another caption, or be there already.

The same kind of data as `degla.judge.rules.RULES`, over the same facts and those of `images.sql`: `image_texts`, `image_nouns`
and `image_pairs` hold what the captions of the image say.
"""

from __future__ import annotations

from collections.abc import Mapping

from degla.filter.config import ImageVeto
from degla.judge.rules import RULES as JUDGE_RULES
from degla.judge.rules import Rule
from degla.negative_types import NEGATIVE_TYPES, NegativeType, types_that

RULES: tuple[Rule, ...] = (
    Rule(
        "english_caption",
        NEGATIVE_TYPES,
        "language is null",
        "the rules know English: of a caption in another language they cannot say what is false",
        "form",
    ),
    *JUDGE_RULES,
    Rule(
        "fits_clip",
        NEGATIVE_TYPES,
        "clip_tokens is null or clip_tokens <= 77",
        "CLIP reads 77 tokens, and would not read to the end",
        "form",
    ),
    Rule(
        "no_exemplar",
        NEGATIVE_TYPES,
        "prompt_sha is null or not is_exemplar",
        "the model copied an exemplar of its prompt",
        "redundancy",
    ),
    Rule(
        "not_a_caption",
        NEGATIVE_TYPES,
        "not says(image_texts, said)",
        "another caption of the image says exactly this",
        "redundancy",
    ),
    Rule(
        "noun_not_in_image",
        types_that("replaces", of="nouns"),
        "not says_any(image_nouns, put_in)",
        "a caption of the image names what was put in, or a kind of it",
        "meaning",
    ),
    Rule(
        "adjective_not_in_image",
        types_that("replaces", of="adjectives"),
        "not coalesce(says_any(image_pairs, put_on), false)",
        "a caption of the image gives the new adjective to the same noun",
        "meaning",
    ),
    Rule(
        "adjectives_not_in_image",
        types_that("exchanges", of="adjectives"),
        "len(new_pairs) = 0 or not says_all(image_pairs, new_pairs)",
        "the captions of the image give both nouns the adjectives of the rewrite as well",
        "meaning",
    ),
    Rule(
        "not_said_exchanged",
        types_that("reorders", "exchanges", of="nouns"),
        "exchanged_text is null or not says_part(image_texts, exchanged_text)",
        "a caption of the image says it in the exchanged order too",
        "meaning",
    ),
)
"""What a rewrite must satisfy by itself, beside its caption and the other captions of its image."""

PROBABLE = Rule(
    "probable",
    NEGATIVE_TYPES,
    "mean_logprob is null or mean_logprob >= least_logprob",
    "its generator found it less likely than nearly all else that it wrote of this type",
    "form",
)
"""A row rule where `min_logprob_quantile` is set: `least_logprob` is that quantile of the row's type and generator."""


def match_rule(veto: ImageVeto) -> Rule:
    """What a CLIP that looks at the image asks of the rows that pass the row rules; `gap` is a column of GAPS."""
    return Rule(
        "no_better_match",
        veto.types,
        f"gap is null or gap <= {veto.margin!r}",
        "a CLIP finds that it fits the image too well beside the caption: it may be true",
        "meaning",
    )


DUPLICATE = Rule(
    "first_of_its_kind",
    NEGATIVE_TYPES,
    "row_number() over (partition by caption_id, said order by place, candidate, attempt) = 1",
    "another rewrite of this caption says the same",
    "redundancy",
)

NEW_FOR_IMAGE = Rule(
    "new_for_image",
    NEGATIVE_TYPES,
    "first_value(caption) over (partition by image_id, said order by caption_id) = caption",
    "another caption of the image has this negative already",
    "redundancy",
)

WITHIN_QUOTA = Rule(
    "within_quota",
    NEGATIVE_TYPES,
    "max_per_type = 0 or row_number() over (partition by image_id, type order by candidate, caption_id, attempt) <= max_per_type",
    "the image has enough negatives of this type",
    "balance",
)

SET_RULES: tuple[Rule, ...] = (DUPLICATE, NEW_FOR_IMAGE, WITHIN_QUOTA)
"""Judged last and in this order, each among the rows that passed all before: conditions with window functions over the columns
of `REWRITES`, `caption`, `image_id`, `place` (of the type in `NEGATIVE_TYPES`), `said` (the words without articles, joined) and
`max_per_type`."""


def plausible_rule(limits: Mapping[NegativeType, float]) -> Rule:
    """Judged after the set rules where `max_lm_gap` is set; the gap is decided by `degla.filter.audit.plausibility`."""
    return Rule(
        "plausible",
        tuple(name for name in NEGATIVE_TYPES if name in limits),
        "lm_gap <= max_lm_gap",
        "a language model finds it much less likely than its caption",
        "balance",
    )


BLIND_BALANCE = Rule(
    "blind_balance",
    NEGATIVE_TYPES,
    "not is_dropped",
    "too many negatives of its kind can be told from the caption without the image",
    "balance",
)
"""Judged after all others where `audit.target` is set: `is_dropped` is decided by `degla.filter.audit.balance`."""
