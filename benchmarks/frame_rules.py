"""The filter's structural rules in pandas, and in polars those that it can say without a Python function, for `filter_scale`."""

from __future__ import annotations

from itertools import takewhile
from typing import NamedTuple

import pandas as pd
import polars as pl

from degla.filter.config import FilterConfig
from degla.filter.rules import DUPLICATE
from degla.judge.rules import RULES as JUDGE_RULES
from degla.negative_types import NEGATIVE_TYPES
from degla.text.edits import exchanged_stretches, folded, is_word
from degla.text.tokens import SQL_PATTERN, tokenize

RULES = tuple(takewhile(lambda rule: rule.name != "article_agrees", JUDGE_RULES))  # those on the edit, not on its meaning
LIMITS = FilterConfig()
POLARS_RULES = ("finished", "no_prompt_words", "no_quotes_around", "length", "similar_length", "characters", "changed")
POLARS_RULES += ("same_words",)

KEY = ["caption_id", "type", "candidate", "attempt"]
_PROMPT_WORDS = r"(?i)\b(?:input|output|rule|caption|rewrite[sn]?|sentence|original)\b|^(?:sure|here is|here are)\b"
_QUOTED = r"""^["'`].*["'`][.]?$"""
_PLAIN = r"[\x20-\x7E]"
_PLACES = {name: place for place, name in enumerate(NEGATIVE_TYPES)}


# The rules, in pandas: text columns by its own functions, lists of words by comprehensions, the quickest way it has.


class Edit(NamedTuple):
    """The words removed and added, the two stretches exchanged if any, and the tags of what was changed."""

    removed: list[str]
    added: list[str]
    first: list[str]
    second: list[str]
    tags: list[str]


def edit_of(kind: str, old: list[str], new: list[str], tags: list[str]) -> Edit:
    """The edit of type `kind` that made the words `new` of `old`."""
    prefix = _num_equal(old, new)
    tail = _num_equal(old[prefix:][::-1], new[prefix:][::-1])
    removed, added, tags = old[prefix : len(old) - tail], new[prefix : len(new) - tail], tags[prefix : len(old) - tail]
    may_exchange = not kind.startswith("replace") and len(removed) == len(added)
    exchange = exchanged_stretches(removed, added) if may_exchange else None
    if not exchange:
        return Edit(removed, added, [], [], tags)
    first, second = (slice(each.start, each.stop) for each in exchange)
    return Edit(removed, added, removed[first], removed[second], tags[first] + tags[second])


def _num_equal(one: list[str], other: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def judge_with_pandas(captions: pd.DataFrame, rewrites: pd.DataFrame, kinds: pd.DataFrame) -> pd.Series:
    """The name of the rule that refuses each row, by its key."""
    rows = rewrites.merge(_with_words(captions), on="caption_id")
    rows["new"] = [[folded(token) for token in tokenize(text)] for text in rows["text"]]
    rows["words"] = [[word for word in words if is_word(word)] for words in rows["new"]]
    rows["unarticled"] = [_unarticled(words) for words in rows["words"]]
    passes = _form(rows) | _changes(rows, kinds)
    rows["rule"] = None
    for rule in RULES:
        refused = rows["rule"].isna() & rows["type"].isin(rule.types) & ~passes[rule.name]
        rows.loc[refused, "rule"] = rule.name
    _refuse_duplicates(rows)
    return rows.set_index(KEY)["rule"]


def _with_words(captions: pd.DataFrame) -> pd.DataFrame:
    old = [[folded(token) for token in tokens] for tokens in captions["tokens"]]
    unarticled = [_unarticled([word for word in words if is_word(word)]) for words in old]
    return captions[["caption_id", "caption", "tags"]].assign(old=old, old_unarticled=unarticled)


def _unarticled(words: list[str]) -> list[str]:
    return [word for word in words if word not in ("a", "the")]


def _form(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Whether each row passes the rules on its form."""
    text, caption = rows["text"].str, rows["caption"].str
    old, new = rows["old"].str.len(), rows["new"].str.len()
    odd = zip(text.replace(_PLAIN, "", regex=True), rows["caption"], strict=True)
    return {
        "finished": rows["finish"].isna() | (rows["finish"] == "stop"),
        "no_prompt_words": ~text.contains(_PROMPT_WORDS) | caption.contains(_PROMPT_WORDS),
        "no_quotes_around": ~text.contains(_QUOTED) | caption.contains(_QUOTED),
        "length": rows["words"].str.len().between(LIMITS.min_tokens, LIMITS.max_tokens),
        "similar_length": (new - old).abs() <= (0.25 * old).clip(lower=1),
        "characters": pd.Series([set(characters) <= set(caption) if characters else True for characters, caption in odd]),
    }


def _changes(rows: pd.DataFrame, kinds: pd.DataFrame) -> dict[str, pd.Series]:
    """Whether each row passes the rules on what was changed."""
    nouns, adjectives = set(kinds["word"][kinds["noun"]]), set(kinds["word"][kinds["adjective"]])
    columns = (rows[name] for name in ("type", "old", "new", "tags"))
    edits = pd.DataFrame([edit_of(*row) for row in zip(*columns, strict=True)], columns=Edit._fields)
    words = [first + second or removed + added for removed, added, first, second, _ in edits.itertuples(index=False)]
    only_nouns, only_adjectives, only_named = (
        pd.Series([known.issuperset(each) for each in words]) for known in (nouns, adjectives, nouns | adjectives)
    )
    has_verb = pd.Series([any(tag[0] in "VP" for tag in tags) for tags in edits["tags"]])
    noun_phrases = only_named & edits["first"].str[-1].isin(nouns) & edits["second"].str[-1].isin(nouns)
    removed, added = edits["removed"].str.len(), edits["added"].str.len()
    return {
        "changed": rows["unarticled"] != rows["old_unarticled"],
        "same_words": pd.Series([sorted(old) == sorted(new) for old, new in zip(rows["old"], rows["new"], strict=True)]),
        "two_exchanged": edits["first"].str.len() > 0,
        "exchanged_nouns": noun_phrases & ~has_verb,
        "exchanged_adjectives": only_adjectives,
        "small_change": removed.between(1, 2) & added.between(1, 2),
        "new_word": pd.Series([set(old).isdisjoint(new) for old, new in zip(rows["old"], edits["added"], strict=True)]),
        "replaced_noun": only_nouns & ~has_verb,
        "replaced_adjective": only_adjectives,
    }


def _refuse_duplicates(rows: pd.DataFrame) -> None:
    rows["said"] = rows["unarticled"].str.join(" ")
    rows["place"] = rows["type"].map(_PLACES)
    passed = rows[rows["rule"].isna()].sort_values(["place", "candidate", "attempt"])
    again = passed.groupby(["caption_id", "said"]).cumcount() > 0
    rows.loc[again.index[again], "rule"] = DUPLICATE.name


# The rules that polars can say, in polars.


def judge_with_polars(captions: pl.DataFrame, rewrites: pl.DataFrame) -> pd.Series:
    """The name of the first of `POLARS_RULES`, or the rule on duplicates, that refuses each row, by its key."""
    old = pl.col("tokens").list.eval(_polars_folded(pl.element().str.to_lowercase()))
    new = pl.col("text").str.to_lowercase().str.extract_all(SQL_PATTERN).list.eval(_polars_folded(pl.element()))
    sources = captions.lazy().select("caption_id", "caption", old=old).with_columns(old_said=_polars_said("old"))
    rows = rewrites.lazy().join(sources, on="caption_id").with_columns(new=new).with_columns(said=_polars_said("new"))
    passes = _polars_passes()
    rules = [(rule, passes[rule.name]) for rule in RULES if rule.name in POLARS_RULES]
    names = [pl.when(pl.col("type").is_in(rule.types) & ~passed).then(pl.lit(rule.name)) for rule, passed in rules]
    rows = rows.with_columns(rule=pl.coalesce(names), place=pl.col("type").replace_strict(_PLACES))
    rows = rows.sort("place", "candidate", "attempt")
    again = ~pl.struct("caption_id", "said", pl.col("rule").is_null()).is_first_distinct()
    rule = pl.when(pl.col("rule").is_null() & again).then(pl.lit(DUPLICATE.name)).otherwise("rule")
    return rows.select(*KEY, rule=rule).collect().to_pandas().set_index(KEY)["rule"]


_IS_WORD = pl.element().str.contains(r"[\p{L}\p{N}]")


def _polars_folded(word: pl.Expr) -> pl.Expr:
    return word.replace("an", "a")


def _polars_said(words: str) -> pl.Expr:
    unarticled = pl.element().filter(_IS_WORD & ~pl.element().is_in(["a", "the"]))
    return pl.col(words).list.eval(unarticled).list.join(" ")


def _polars_passes() -> dict[str, pl.Expr]:
    text, caption, (old, new) = pl.col("text"), pl.col("caption"), (pl.col(name).list.len().cast(int) for name in ("old", "new"))
    words = pl.col("new").list.eval(pl.element().filter(_IS_WORD))
    odd, known = (column.str.replace_all(_PLAIN, "").str.split("") for column in (text, caption))
    return {
        "finished": pl.col("finish").is_null() | (pl.col("finish") == "stop"),
        "no_prompt_words": ~text.str.contains(_PROMPT_WORDS) | caption.str.contains(_PROMPT_WORDS),
        "no_quotes_around": ~text.str.contains(_QUOTED) | caption.str.contains(_QUOTED),
        "length": words.list.len().is_between(LIMITS.min_tokens, LIMITS.max_tokens),
        "similar_length": (new - old).abs() <= (0.25 * old).clip(lower_bound=1),
        "characters": odd.list.set_difference(known).list.len() == 0,
        "changed": pl.col("said") != pl.col("old_said"),
        "same_words": pl.col("old").list.sort().list.join(" ") == pl.col("new").list.sort().list.join(" "),
    }
