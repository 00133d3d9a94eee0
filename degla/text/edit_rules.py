"""The structural rules that a rewrite must pass, as data: named SQL conditions on facts about an edit.

A rule says what a row has to satisfy; the first rule in the list that a row fails refuses it. The facts (view `edits`) are
made by DuckDB from a captions table and a rewrites table: where the two texts differ, and which words were removed, added
or exchanged there. "a" and "an" count as one word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import pyarrow as pa

from degla.database import Database
from degla.negative_types import NEGATIVE_TYPES, NegativeType, types_that
from degla.text.inflection import plural
from degla.text.lexicon import Lexicon
from degla.text.senses import load_senses
from degla.text.tags import Tagger

VERSION = 2
"""Raised whenever a rule or a fact changes."""


Family = Literal["form", "edit", "meaning", "redundancy", "balance"]
"""What a rule looks at: the text itself, what was changed and how, whether it is false of the image, whether it says
anything new, and whether there is too much of its kind."""


@dataclass(frozen=True)
class Rule:
    """What a row of the given types must satisfy, in SQL over `edits`, and why."""

    name: str
    types: tuple[NegativeType, ...]
    sql: str
    why: str
    family: Family
    version: int = 1


_SWAPS = types_that("exchanges")
_REPLACEMENTS = types_that("replaces")

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
        ("reshuffle",),
        "list_sort(old) = list_sort(new)",
        "a reshuffle keeps every word and adds none",
        "edit",
    ),
    Rule(
        "two_exchanged",
        _SWAPS,
        "len(exchange) > 0",
        "a swap exchanges exactly two stretches of words and touches nothing else",
        "edit",
    ),
    Rule(
        "exchanged_nouns",
        ("swap_nouns",),
        "noun_phrases and not has_verb",
        "both exchanged stretches are nouns, with or without what describes them",
        "edit",
    ),
    Rule(
        "exchanged_adjectives",
        ("swap_adjectives",),
        "only_adjectives",
        "both exchanged stretches are adjectives",
        "edit",
    ),
    Rule(
        "small_change",
        _REPLACEMENTS,
        "len(removed) between 1 and 2 and len(added) between 1 and 2",
        "a replacement changes one word, or a word of two parts",
        "edit",
    ),
    Rule(
        "new_word",
        _REPLACEMENTS,
        "not (added[1] in old or coalesce(added[2] in old, false))",
        "a word that the caption already has may still be true of it",
        "meaning",
    ),
    Rule(
        "replaced_noun",
        ("replace_nouns",),
        "only_nouns and not has_verb",
        "a noun takes the place of a noun",
        "edit",
    ),
    Rule(
        "replaced_adjective",
        ("replace_adjectives",),
        "only_adjectives",
        "an adjective takes the place of an adjective",
        "edit",
    ),
)


def refusal_sql(rules: Sequence[Rule]) -> str:
    """An SQL expression over `edits`: the name of the first rule that refuses the row, or null."""
    return f"case {' '.join(f'when {_refuses(rule)} then {Database.literal(rule.name)}' for rule in rules)} end"


def _refuses(rule: Rule) -> str:
    """Inside `if`, the condition is worked out for rows of the rule's types only; an `and` may begin with either side."""
    return f"if(type in ({', '.join(map(Database.literal, rule.types))}), not coalesce(({rule.sql}), false), false)"


def check_rules(database: Database, rules: Sequence[Rule], relation: str = "edits") -> None:
    """Raises ConfigError naming the first rule whose SQL is no condition on the rows of `relation`."""
    database.execute(f"create or replace temp table no_rows as select * from {relation} limit 0")
    for rule in rules:
        database.check_condition(rule.name, rule.sql, "no_rows")


def corpus_kinds(database: Database) -> pa.Table:
    """Each word of `captions`, and whether the captions use it as a noun, and as an adjective."""
    return database.arrow(_CORPUS_KINDS)


def create_edits(database: Database, lexicon: Lexicon, min_tokens: int, max_tokens: int, kinds: pa.Table | None = None) -> None:
    """Make the view `edits` of facts: one row for each row of `rewrites` that has a text.

    Args:
        database: holds `captions` (columns of `degla.schemas.CAPTIONS`) and `rewrites` (of `REWRITES`).
        lexicon: its words count as nouns and adjectives whatever their tags.
        min_tokens: fewest words of a text.
        max_tokens: most words of a text.
        kinds: the `corpus_kinds` of the whole dataset, where `captions` holds only a part of it.
    """
    limits = f"{int(min_tokens)} as min_tokens, {int(max_tokens)} as max_tokens"
    database.register("corpus_kinds", corpus_kinds(database) if kinds is None else kinds)
    database.execute(_CAPTION_FACTS)
    database.execute(_DIFFERENCES.replace("{limits}", limits))
    database.execute(_CHANGED_WORDS)
    _create_word_kinds(database, lexicon)
    database.execute(_CHANGED_KINDS)
    database.execute(_EDITS)


def _create_word_kinds(database: Database, lexicon: Lexicon) -> None:
    """Table `word_kinds`: for each word of captions and edits, whether it may be a noun, and an adjective."""
    database.register("lexicon_kinds", _lexicon_kinds(lexicon))
    strangers = [word for (word,) in database.rows(_STRANGERS)]
    database.register("stranger_kinds", _tagged_alone(strangers))
    database.execute(
        "create or replace table word_kinds as select word, bool_or(noun) as noun, bool_or(adjective) as adjective from"
        " (from lexicon_kinds union all by name from corpus_kinds union all by name from stranger_kinds) group by word"
    )


@lru_cache(1)
def _lexicon_kinds(lexicon: Lexicon) -> pa.Table:
    nouns = set(_single_words(form for word in lexicon.words("nouns") for form in (word, plural(word))))
    adjectives = set(_single_words((*lexicon.words("adjectives"), *load_senses().adjectives)))
    known = [{"word": word, "noun": word in nouns, "adjective": word in adjectives} for word in sorted(nouns | adjectives)]
    return pa.Table.from_pylist(known)


def _single_words(phrases: Iterable[str]) -> Iterator[str]:
    for phrase in phrases:
        yield from phrase.split(" ")


_tagger = lru_cache(1)(Tagger)


_DESCRIBING = {"AJ", "AJ0", "VVN", "VVD", "VVG"}  # tags of what may stand before a noun to describe it


def _tagged_alone(words: Sequence[str]) -> pa.Table:
    """Kinds by the tags of each word alone, and before a noun: there a participle is an adjective (frozen)."""
    alone = [_tagger().tag([word])[0][0] for word in words]
    before = [_tagger().tag(["a", word, "dog"])[0][1] for word in words]
    columns = {
        "word": pa.array(words, pa.string()),
        "noun": pa.array([tag[:2] in ("NN", "NP") for tag in alone], pa.bool_()),
        "adjective": pa.array(
            [bool({tag[:2], other} & _DESCRIBING) for tag, other in zip(alone, before, strict=True)], pa.bool_()
        ),
    }
    return pa.table(columns)


_USED_AS = 0.2  # share of a word's tags that makes it a noun, or an adjective

_CORPUS_KINDS = f"""
select word, avg((tag[1:2] in ('NN', 'NP'))::int) >= {_USED_AS} as noun, avg((tag[1:2] = 'AJ')::int) >= {_USED_AS} as adjective
from (select lower(unnest(tokens)) as word, unnest(tags) as tag from captions) group by word
"""
_STRANGERS = """
select distinct word from changed_words anti join corpus_kinds using (word) anti join lexicon_kinds using (word) order by word
"""

# What every rewrite of a caption needs of it. `initials` has the first letter of each tag.
_CAPTION_FACTS = """
create or replace table caption_facts as
select caption_id, image_id, caption, old, array_to_string(unarticled(old), ' ') as old_said,
    array_to_string(list_transform(tags, lambda tag: tag[1]), '') as initials
from (select *, fold(lowered(tokens)) as old from captions)
"""

# Most edits keep the number of words: then the places that differ tell both ends.
_DIFFERENCES = """
create or replace table differences as
with texts as (
    select r.*, c.* exclude (caption_id), lower(r.text) as lower_text
    from rewrites r join caption_facts c using (caption_id) where r.status = 'ok'
), tokens as (
    select * exclude (lower_text), fold(toks_of(lower_text)) as new from texts
), compared as (
    select *, worded(new) as words, case when len(old) = len(new) then differing(old, new) end as places from tokens
), ends as (
    select *, case when places is not null then coalesce(places[1] - 1, len(old)) else common_prefix(old, new) end as prefix
    from compared
), middles as (
    select *, case when places is not null then coalesce(len(old) - places[-1], 0) else common_tail(old, new, prefix) end as tail
    from ends
), parts as (
    select * exclude (places, words, initials, tail), middle(old, prefix, tail) as removed, middle(new, prefix, tail) as added,
        len(words) as num_words, array_to_string(without_articles(words), ' ') as said,
        initials[prefix + 1 : len(old) - tail] as changed_initials
    from middles
), exchanges as (
    select *, coalesce(case when type not like 'replace%' then exchanged(removed, added)[1] end, []) as exchange from parts
), stretches as (
    select *, removed[1 : exchange[2]] as first_words, removed[len(removed) - exchange[3] + 1 : len(removed)] as second_words,
        removed[exchange[2] + 1 : len(removed) - exchange[3]] as gap
    from exchanges
)
select * exclude (changed_initials), {limits}, old[prefix + len(removed) + 1] as following,
    regexp_matches(case when len(exchange) > 0 then changed_initials[1 : len(first_words)]
        || changed_initials[len(removed) - len(second_words) + 1 : len(removed)] else changed_initials end, '[VP]') as has_verb
from stretches
"""

_CHANGED_WORDS = """
create or replace table changed_words as
select rowid as row, unnest(case when len(exchange) > 0 then list_concat(first_words, second_words)
    else list_concat(removed, added) end) as word
from differences where type <> 'reshuffle'
"""
_CHANGED_KINDS = """
create or replace table changed_kinds as
with kinds as (
    select row, bool_and(coalesce(noun, false)) as only_nouns, bool_and(coalesce(adjective, false)) as only_adjectives,
        bool_and(coalesce(noun or adjective, false)) as only_named
    from changed_words left join word_kinds using (word) group by row
)
select d.rowid as row, only_nouns, only_adjectives, only_named and f.noun and s.noun as noun_phrases
from differences d left join kinds k on k.row = d.rowid
left join word_kinds f on f.word = d.first_words[-1] left join word_kinds s on s.word = d.second_words[-1]
"""

_EDITS = "create or replace temp view edits as from differences d left join changed_kinds k on k.row = d.rowid"
