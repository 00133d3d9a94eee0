"""What the judge says of every pair: which edit it is, which rule refuses it, and whether it may be true of the image.

Table `card_judged`, a row a pair: `number`, `type` and `generator` as the file has them, `is_claimed` (the edit is what the
file's type claims), `edit` (what it is), `rule` (the first that refuses it, or null), `by_texts` (the rule by which it may be
true, by the two texts alone), `by_captions` (by another caption of the image), `has_others`.
"""

from __future__ import annotations

from pathlib import Path

from degla.database import Database
from degla.filter.config import FilterConfig
from degla.filter.rules import RULES
from degla.filter.sieve import Sieve, find_chunks, relate_by_dataset
from degla.judge.judge import Judge
from degla.judge.rules import refusal_sql
from degla.progress import Progress

_OF_EDIT = (
    "english_caption",
    "same_words",
    "two_exchanged",
    "exchanged_nouns",
    "exchanged_adjectives",
    "small_change",
    "replaced_noun",
    "replaced_adjective",
)
_BY_CAPTIONS = (
    "not_a_caption",
    "noun_not_in_image",
    "adjective_not_in_image",
    "adjectives_not_in_image",
    "not_said_exchanged",
)
_NOT_OF_TRUTH = ("fits_bodies", *_BY_CAPTIONS)

EDIT_RULES = tuple(rule for rule in RULES if rule.name in _OF_EDIT)
"""What makes an edit one of its type."""
CAPTION_RULES = tuple(rule for rule in RULES if rule.name in _BY_CAPTIONS)
"""What refuses a text that another caption of the image says or implies."""
TRUTH_RULES = tuple(
    rule
    for rule in RULES
    if rule.name in ("changed", "other_word") or (rule.family == "meaning" and rule.name not in _NOT_OF_TRUTH)
)
"""What refuses a text that may be true of the image, by the two texts alone."""


def judge_pairs(database: Database, folder: Path, config: FilterConfig | None = None) -> None:
    """Make the table `card_judged`.

    Args:
        database: with the tables of `degla.filter.audit.pair_tables`.
        folder: for the progress.
        config: the limits.
    """
    config = config or FilterConfig()
    database.execute(_TEXTS)
    judge = Judge(database, config.min_tokens, config.max_tokens)
    relate_by_dataset(judge)
    sieve = Sieve(judge, config, RULES)
    database.execute(_FOUND_TABLE)
    chunks = find_chunks(database)
    progress = Progress(folder, "judging", chunks[-1].stop, "captions")
    asked = {"of_edit": EDIT_RULES, "by_texts": TRUTH_RULES, "by_captions": CAPTION_RULES}
    questions = {name: refusal_sql(rules) for name, rules in asked.items()}
    for chunk in chunks:
        sieve.judge_rows(chunk)
        database.execute(_FOUND.format(**questions))
        progress.to(chunk.stop)
    database.execute(_JUDGED)


# A pair is judged by the type that the file claims (attempt 0), else by the type of its edit; if the two differ, also by that
# (attempt 1), to know whether it is of that one.
_TEXTS = """
create table texts as
with rows as (
    select *, coalesce(claimed, nearest) as type_0, if(nearest <> claimed, nearest, null) as type_1
    from card_pairs join card_nearest_types using (number)
), each as (
    select caption_id, type_0 as type, number, 0 as attempt, text, generator from rows union all
    select caption_id, type_1 as type, number, 1 as attempt, text, generator from rows where type_1 is not null
)
select caption_id, type, number::integer as candidate, 'ok' as status, text, null::varchar as finish,
    null::double as mean_logprob, null::double as lm_gap, null::varchar as error, attempt::integer as attempt, 0::bigint as seed,
    generator, '' as model_sha, null::varchar as prompt_sha
from each order by caption_id
"""
_FOUND_TABLE = """
create table card_found_of (number bigint, attempt integer, of_edit varchar, by_texts varchar, by_captions varchar)
"""
_FOUND = """
insert into card_found_of
select candidate, attempt, {of_edit}, if(attempt = 0, {by_texts}, null), if(attempt = 0, {by_captions}, null) from row_facts
"""
_JUDGED = """
create table card_judged as
with others as (select image_id from card_heard group by image_id having count(*) > 1)
select p.number, p.type, p.generator, p.claimed, f.of_edit is null as is_claimed, v.rule, v.type as judged_as,
    case when coalesce(g.of_edit, f.of_edit) = 'english_caption' then 'not English'
        when otherwise = 'nothing' then otherwise
        when coalesce(g.attempt, 0) = 1 and g.of_edit is null then nearest
        when f.of_edit is null then v.type
        else otherwise end as edit,
    if(f.of_edit is null, f.by_texts, null) as by_texts, if(f.of_edit is null, f.by_captions, null) as by_captions,
    o.image_id is not null as has_others
from card_pairs p join card_nearest_types e using (number)
join card_found_of f on f.number = p.number and f.attempt = 0
left join card_found_of g on g.number = p.number and g.attempt = 1
join verdicts v on v.candidate = p.number and v.attempt = 0
left join others o on o.image_id = p.image
"""
