"""The negative types, each described by one record: what it changes, what a caption needs, what people read about it.

To add a type: a record here, a function in `degla/generate/rules` that `rules_backend` lists under its name, and a prompt
`prompts/<name>.yaml`. All other code iterates over `NEGATIVE_TYPES` or selects types by trait with `types_that`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

Change = Literal["reorders", "exchanges", "replaces"]
PartOfSpeech = Literal["nouns", "adjectives"]


@dataclass(frozen=True)
class Traits:
    """What distinguishes a negative type from the others."""

    change: Change
    """`reorders`: all words kept, in another order. `exchanges`: two stretches change places. `replaces`: a word gives way to
    another."""
    of: tuple[PartOfSpeech, ...]
    """The parts of speech that it may change."""
    needs: tuple[int, PartOfSpeech]
    """Fewest words of a part of speech in a caption that is asked for this type."""
    summary: str
    """What it does, for dataset cards."""
    model_yield: float
    """Share of a language model's rewrites that the judge accepts, for cost estimates."""
    rules_yield: float
    """Share of requests that the rules answer with a text, for cost estimates."""


# model_yield: what the judge accepts of ChatGPT's unrefined rewrites in SugarCrepe's release, 59 to 82 % by type; it has no
# reshuffles, which are assumed to do as well as swaps. rules_yield: measured on COCO val2017.
# The order of the types is part of fingerprints and random draws: append new ones.
TRAITS: Mapping[str, Traits] = {
    "reshuffle": Traits(
        change="reorders",
        of=("nouns", "adjectives"),
        needs=(2, "nouns"),
        summary="all words kept, their order changed so that roles or relations differ",
        model_yield=0.6,
        rules_yield=0.44,
    ),
    "swap_nouns": Traits(
        change="exchanges",
        of=("nouns",),
        needs=(2, "nouns"),
        summary="two nouns exchanged",
        model_yield=0.65,
        rules_yield=0.45,
    ),
    "swap_adjectives": Traits(
        change="exchanges",
        of=("adjectives",),
        needs=(2, "adjectives"),
        summary="two adjectives exchanged",
        model_yield=0.59,
        rules_yield=0.18,
    ),
    "replace_nouns": Traits(
        change="replaces",
        of=("nouns",),
        needs=(1, "nouns"),
        summary="a noun replaced by another",
        model_yield=0.73,
        rules_yield=0.98,
    ),
    "replace_adjectives": Traits(
        change="replaces",
        of=("adjectives",),
        needs=(1, "adjectives"),
        summary="an adjective replaced by another",
        model_yield=0.82,
        rules_yield=0.6,
    ),
}


def unknown_type(name: object) -> str:
    """The message for a name that is no negative type, with the nearest one."""
    near = difflib.get_close_matches(str(name), TRAITS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(TRAITS)}."
    return f"unknown negative type {name!r}; {hint}"


def _known(name: str) -> str:
    if name not in TRAITS:
        raise ValueError(unknown_type(name))
    return name


NegativeType = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(TRAITS)})]
"""The name of a negative type, one of `NEGATIVE_TYPES`."""

NEGATIVE_TYPES: tuple[NegativeType, ...] = tuple(TRAITS)


def types_that(*changes: Change, of: PartOfSpeech | None = None) -> tuple[NegativeType, ...]:
    """The types with one of these changes, of this part of speech if one is given.

    >>> types_that("reorders", "exchanges", of="nouns")
    ('reshuffle', 'swap_nouns')
    """
    return tuple(name for name, each in TRAITS.items() if each.change in changes and (of is None or of in each.of))
