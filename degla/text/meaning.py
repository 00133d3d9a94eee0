"""Rules on what a rewrite says: is it false where its caption is true? As far as the two texts alone can tell.

A rule is a named SQL condition, as in `degla.text.edit_rules`, over the view `meanings` of `degla.text.meaning_facts`. What
other captions of the image say is not known here.
"""

from __future__ import annotations

from degla.negative_types import NEGATIVE_TYPES
from degla.text.edit_rules import Rule

_MOVED_NOUNS = ("reshuffle", "swap_nouns")

RULES: tuple[Rule, ...] = (
    Rule(
        "article_agrees",
        NEGATIVE_TYPES,
        "not wrong_article",
        "an apple, a pear: the article fits the word that comes after it",
        "edit",
    ),
    Rule(
        "in_order",
        ("reshuffle",),
        "not out_of_order",
        "a scramble is no sentence: no article before a preposition, no two nouns where there was no compound",
        "edit",
    ),
    Rule(
        "not_moved_along",
        ("reshuffle", "swap_nouns", "swap_adjectives"),
        "len(exchange) = 0 or len(gap) > 0 or given_another",
        "a part moved past its neighbour says the same in another order",
        "meaning",
    ),
    Rule(
        "not_turned_round",
        ("reshuffle",),
        "not turned_round",
        "what is said first may be said last: over the dog jumps the fox",
        "meaning",
    ),
    Rule(
        "not_symmetric",
        _MOVED_NOUNS,
        "not (holds_both_ways and described_alike)",
        "what 'and', 'near' or 'hugs' joins may stand in either order, unless described differently: a cat and a dog",
        "meaning",
    ),
    Rule(
        "whole_nouns",
        ("swap_nouns",),
        "not parts_of_nouns",
        "a noun of several words stays whole: a police officer and children give no children officer",
        "edit",
    ),
    Rule(
        "two_owners",
        ("swap_adjectives",),
        "between_owners",
        "two adjectives of one noun describe it in either order: a small brown dog",
        "meaning",
    ),
    Rule(
        "owners_differ",
        ("reshuffle", "swap_adjectives"),
        "not owners_alike",
        "two things of one kind may be described in either order: a red cat and a blue cat",
        "meaning",
    ),
    Rule(
        "exchange_differs",
        ("reshuffle", "swap_adjectives"),
        "not (of_adjectives and (changed_related or of_different_respects))",
        "adjectives that may be said of one thing exchange nothing: cute and adorable, large and steel",
        "meaning",
    ),
    Rule(
        "other_word",
        ("replace_nouns", "replace_adjectives"),
        "not changed_equal",
        "another form of the same word says the same: carrot and carrots, large and larger",
        "edit",
    ),
    Rule(
        "same_number",
        ("replace_nouns",),
        "not other_number",
        "one thing takes the place of one, and several of several",
        "edit",
    ),
    Rule(
        "other_meaning",
        ("replace_nouns", "replace_adjectives"),
        "not changed_related",
        "the new word may be true of what the old one names: a synonym, a kind of it, or what it is a kind of",
        "meaning",
    ),
    Rule(
        "excludes_old",
        ("replace_adjectives",),
        "changed_contrasting or not (old_contrasted and new_contrasted or old_vague or new_vague)",
        "an adjective of another respect, or one that fits anything, may be true as well: an open window may be wide, or nice",
        "meaning",
    ),
)
