"""The filter's own rules beside the structural ones: a negative must not be said of the image by another caption.

The same kind of data as `degla.text.edit_rules.RULES`, over the same facts and two more: `image_texts`, `image_words` and
`image_pairs` hold what the captions of the image say. Called by `degla.filter.stage`.
"""

from __future__ import annotations

from degla.filter.config import ImageVeto
from degla.schemas import NEGATIVE_TYPES
from degla.text.edit_rules import RULES as STRUCTURAL_RULES
from degla.text.edit_rules import Rule

TRUTH_RULES: tuple[Rule, ...] = (
    Rule(
        "not_a_caption",
        NEGATIVE_TYPES,
        "not list_contains(image_texts, array_to_string(words_without_articles, ' '))",
        "another caption of the image says exactly this",
        "redundancy",
    ),
    Rule(
        "noun_not_in_image",
        ("replace_nouns",),
        "not list_has_any(image_words, added)",
        "another caption of the image names what was put in",
        "meaning",
    ),
    Rule(
        "adjective_not_in_image",
        ("replace_adjectives",),
        "following is null or not list_contains(image_pairs, added[-1] || ' ' || following)",
        "another caption of the image gives the new adjective to the same noun",
        "meaning",
    ),
)

RULES: tuple[Rule, ...] = STRUCTURAL_RULES + TRUTH_RULES

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
    "another type gave the same negative for this caption",
    "redundancy",
)

SET_RULES: tuple[Rule, ...] = (DUPLICATE,)
"""Judged last and in this order, each among the rows that passed all before: conditions with window functions over the columns
of `REWRITES`, `image_id`, `place` (of the type in `NEGATIVE_TYPES`) and `said` (the words, joined)."""
