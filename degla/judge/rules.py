"""The rules that a rewrite must pass beside its caption, as data: named SQL conditions on the facts of a row.

A rule says what a row has to satisfy; the first rule in the list that a row fails refuses it. The facts (view `facts`) say where
the two texts differ, which words were removed, added or exchanged, and what these have to do with each other. "a" and "an" count
as one word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from degla.database import Database
from degla.negative_types import NEGATIVE_TYPES, NegativeType, types_that

Family = Literal["form", "edit", "meaning", "redundancy", "balance"]
"""What a rule looks at: the text itself, what was changed and how, whether it is false of the image, whether it says
anything new, and whether there is too much of its kind."""


@dataclass(frozen=True)
class Rule:
    """What a row of the given types must satisfy, in SQL over its facts, and why."""

    name: str
    types: tuple[NegativeType, ...]
    sql: str
    why: str
    family: Family


_REORDERING, _EXCHANGING, _REPLACING = types_that("reorders"), types_that("exchanges"), types_that("replaces")
_NOUN_EXCHANGES, _ADJECTIVE_EXCHANGES = types_that("exchanges", of="nouns"), types_that("exchanges", of="adjectives")
_NOUN_REPLACEMENTS, _ADJECTIVE_REPLACEMENTS = types_that("replaces", of="nouns"), types_that("replaces", of="adjectives")
_MOVING_NOUNS = types_that("reorders", "exchanges", of="nouns")
_MOVING_ADJECTIVES = types_that("reorders", "exchanges", of="adjectives")

_PROMPT_WORDS = r"(?i)\b(input|output|rule|caption|rewrite[sn]?|sentence|original)\b|^(sure|here is|here are)\b"

RULES: tuple[Rule, ...] = (
    Rule(
        "finished",
        NEGATIVE_TYPES,
        "finish is null or finish = 'stop'",
        "a text that the generator broke off is not a sentence",
        "form",
    ),
    Rule(
        "no_prompt_words",
        NEGATIVE_TYPES,
        f"if(regexp_matches(text, '{_PROMPT_WORDS}'), regexp_matches(caption, '{_PROMPT_WORDS}'), true)",
        "the prompt, or a chat model's preamble, leaked into the text",
        "form",
    ),
    Rule(
        "no_quotes_around",
        NEGATIVE_TYPES,
        r"""if(regexp_full_match(text, '["''`].*["''`][.]?'), regexp_full_match(caption, '["''`].*["''`][.]?'), true)""",
        "the text is quoted, the caption is not",
        "form",
    ),
    Rule(
        "length",
        NEGATIVE_TYPES,
        "num_words between min_tokens and max_tokens",
        "too short to say anything, or longer than CLIP reads",
        "form",
    ),
    Rule(
        "similar_length",
        NEGATIVE_TYPES,
        "abs(len(new) - len(old)) <= greatest(1, 0.25 * len(old))",
        "an edit of a caption is about as long as the caption",
        "form",
    ),
    Rule(
        "characters",
        NEGATIVE_TYPES,
        r"case when regexp_full_match(text, '[\x20-\x7E]*') then true"
        r" else translate(regexp_replace(text, '[\x20-\x7E]', '', 'g'), caption, '') = '' end",
        "a character that is neither plain nor in the caption tells the negative",
        "form",
    ),
    Rule(
        "changed",
        NEGATIVE_TYPES,
        "said <> old_said",
        "apart from articles and punctuation it is the caption itself",
        "redundancy",
    ),
    Rule(
        "same_words",
        _REORDERING,
        "list_sort(old) = list_sort(new)",
        "a reshuffle keeps every word and adds none",
        "edit",
    ),
    Rule(
        "two_exchanged",
        _EXCHANGING,
        "len(exchange) > 0",
        "a swap exchanges exactly two stretches of words and touches nothing else",
        "edit",
    ),
    Rule(
        "exchanged_nouns",
        _NOUN_EXCHANGES,
        "noun_phrases and not has_verb",
        "both exchanged stretches are nouns, with or without what describes them",
        "edit",
    ),
    Rule(
        "exchanged_adjectives",
        _ADJECTIVE_EXCHANGES,
        "only_adjectives",
        "both exchanged stretches are adjectives",
        "edit",
    ),
    Rule(
        "small_change",
        _REPLACING,
        "len(removed) between 1 and 2 and len(added) between 1 and 2",
        "a replacement changes one word, or a word of two parts",
        "edit",
    ),
    Rule(
        "new_word",
        _REPLACING,
        "not (added[1] in old or coalesce(added[2] in old, false))",
        "a word that the caption already has may still be true of it",
        "meaning",
    ),
    Rule(
        "replaced_noun",
        _NOUN_REPLACEMENTS,
        "only_nouns and not has_verb",
        "a noun takes the place of a noun",
        "edit",
    ),
    Rule(
        "replaced_adjective",
        _ADJECTIVE_REPLACEMENTS,
        "only_adjectives and not is_head",
        "an adjective takes the place of an adjective",
        "edit",
    ),
    Rule(
        "article_agrees",
        NEGATIVE_TYPES,
        "not wrong_article",
        "an apple, a pear: the article fits the word that comes after it",
        "edit",
    ),
    Rule(
        "number_agrees",
        types_that("reorders", "exchanges") + _NOUN_REPLACEMENTS,
        "not disagrees",
        "verbs, determiners and pronouns agree with the nouns that come to stand there: two dogs chase, a cat chases",
        "edit",
    ),
    Rule(
        "capitals_agree",
        NEGATIVE_TYPES,
        "not new_capitals",
        "within a sentence a capital that the caption lacks, or none at the beginning of one, tells the negative",
        "form",
    ),
    Rule(
        "in_order",
        _REORDERING,
        "not out_of_order",
        "a scramble is no sentence: no article before a preposition, no two nouns where there was no compound",
        "edit",
    ),
    Rule(
        "outside_negation",
        NEGATIVE_TYPES,
        "not in_negation",
        "what is not there may as well be something else: a street without trucks, a street without cars",
        "meaning",
    ),
    Rule(
        "fits_bodies",
        NEGATIVE_TYPES,
        "not of_strange_owner",
        "no person gets the colour of a thing, or an origin, no body a material, no thing hair: a black cat, a black woman",
        "meaning",
    ),
    Rule(
        "not_moved_along",
        types_that("reorders", "exchanges"),
        "len(exchange) = 0 or len(link) > 0 or given_another",
        "a part moved past its neighbour says the same in another order",
        "meaning",
    ),
    Rule(
        "not_turned_round",
        _REORDERING,
        "not turned_round",
        "what is said first may be said last: over the dog jumps the fox",
        "meaning",
    ),
    Rule(
        "not_symmetric",
        _MOVING_NOUNS,
        "not (holds_both_ways and described_alike)",
        "what 'and', 'near' or 'hugs' joins may stand in either order, unless described differently: a cat and a dog",
        "meaning",
    ),
    Rule(
        "whole_nouns",
        _NOUN_EXCHANGES,
        "not parts_of_nouns",
        "a noun of several words stays whole: a police officer and children give no children officer",
        "edit",
    ),
    Rule(
        "whole_units",
        NEGATIVE_TYPES,
        "not cuts_unit",
        "nothing is taken out of a compound, a frozen phrase, a name, a label or quoted words: a polar bear, a polar cabinet",
        "edit",
    ),
    Rule(
        "fits_place",
        _MOVING_NOUNS + _NOUN_REPLACEMENTS,
        "not coalesce(out_of_place, false)",
        "what holds an amount or is worn gives way to its like: a bowl of soup, a bus of soup",
        "edit",
    ),
    Rule(
        "not_of_marking",
        _MOVING_ADJECTIVES,
        "not coalesce(of_marking, false)",
        "stripes and what is between them may be told in either order: white stripes on a blue flag",
        "meaning",
    ),
    Rule(
        "two_owners",
        _ADJECTIVE_EXCHANGES,
        "between_owners",
        "two adjectives of one noun describe it in either order: a small brown dog",
        "meaning",
    ),
    Rule(
        "owners_differ",
        _MOVING_ADJECTIVES,
        "not owners_alike",
        "two things of one kind may be described in either order: a red cat and a blue cat",
        "meaning",
    ),
    Rule(
        "exchange_differs",
        _MOVING_ADJECTIVES,
        "not (of_adjectives and (changed_related or of_different_respects"
        " or exchanges(type) and (old_vague or new_vague)"
        " and not (changed_contrasting or telling(first_words) or telling(second_words))))",
        "adjectives that may be said of one thing exchange nothing: cute and adorable, large and steel, clean and bright",
        "meaning",
    ),
    Rule(
        "other_word",
        _REPLACING,
        "not changed_equal",
        "another form of the same word says the same: carrot and carrots, large and larger",
        "edit",
    ),
    Rule(
        "same_number",
        _NOUN_REPLACEMENTS,
        "not other_number",
        "one thing takes the place of one, and several of several",
        "edit",
    ),
    Rule(
        "other_meaning",
        _REPLACING,
        "not changed_related",
        "the new word may be true of what the old one names: a synonym, a kind of it, or what it is a kind of",
        "meaning",
    ),
    Rule(
        "excludes_old",
        _ADJECTIVE_REPLACEMENTS,
        "changed_contrasting or not (old_contrasted and new_contrasted or old_vague or new_vague)",
        "an adjective of another respect, or one that fits anything, may be true as well: an open window may be wide, or nice",
        "meaning",
    ),
)


def refusal_sql(rules: Sequence[Rule]) -> str:
    """An SQL expression over `facts`: the name of the first rule that refuses the row, or null."""
    return f"case {' '.join(f'when {_refuses(rule)} then {Database.literal(rule.name)}' for rule in rules)} end"


def _refuses(rule: Rule) -> str:
    """Inside `if`, the condition is worked out for rows of the rule's types only; an `and` may begin with either side."""
    return f"if(type in ({', '.join(map(Database.literal, rule.types))}), not coalesce(({rule.sql}), false), false)"


def check_rules(database: Database, rules: Sequence[Rule], relation: str = "facts") -> None:
    """Raises ConfigError naming the first rule whose SQL is no condition on the rows of `relation`."""
    database.execute(f"create or replace temp table no_rows as select * from {relation} limit 0")
    for rule in rules:
        database.check_condition(rule.name, rule.sql, "no_rows")
