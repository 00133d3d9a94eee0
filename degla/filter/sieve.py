"""Which rule refuses which text: first the rules on single rows, then those on all that is left of an image.

The judge makes the facts on each row; what other captions of the image say is added here (`images.sql`). Both kinds of rules
go through the captions in chunks of whole images, so that memory does not grow with the dataset, and a verdict depends neither
on how the chunks are cut nor on the order of the rows. What is judged lies in the view `all_captions` and the table `texts`;
inside a chunk the views `captions` and `rewrites` are its share of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from degla.database import Database
from degla.filter.config import FilterConfig
from degla.filter.mining import Mined, mine
from degla.filter.text_facts import create_text_facts
from degla.judge.judge import Judge, word_uses
from degla.judge.rules import Rule, check_rules, refusal_sql
from degla.negative_types import NEGATIVE_TYPES

ROW_BYTES = 4_000
"""Of the memory limit for each caption and text of a chunk: about twice what its facts take while it is judged."""


@dataclass(frozen=True)
class Chunk:
    """The captions whose ids are in [start, stop), of whole images."""

    start: int
    stop: int


class Sieve:
    """Goes through the texts chunk by chunk; the table `verdicts` holds those that were judged, with the rule that refused each.

    Args:
        judge: its database holds `all_captions` (columns of `degla.schemas.CAPTIONS`) and `texts` (of `REWRITES`).
        config: the limits.
        row_rules: conditions on the facts of one row (`row_facts`), in order.
        set_rules: conditions, with window functions, on the rows of whole images that passed all before (`passed`), in order.
        exemplars: texts that the prompts showed.
    """

    def __init__(
        self,
        judge: Judge,
        config: FilterConfig,
        row_rules: Sequence[Rule],
        set_rules: Sequence[Rule] = (),
        exemplars: Sequence[str] = (),
    ) -> None:
        self._judge, self._database, self._config = judge, judge.database, config
        self._row_rules, self._set_rules = row_rules, set_rules
        judge.learn(word_uses(self._database, "all_captions"))
        self._database.register("exemplars", pa.table({"text": pa.array(exemplars, pa.string())}))
        order = ", ".join(map(Database.literal, NEGATIVE_TYPES))
        self._database.run_steps("degla.filter", "sieve.sql", {"types": order, "quantile": str(config.min_logprob_quantile)})

    def judge_rows(self, chunk: Chunk) -> None:
        """Append the chunk's texts to `verdicts`, with the first row rule that refuses each."""
        self._find_facts(chunk)
        self._database.execute(_JUDGE_ROWS.format(rule=refusal_sql(self._row_rules)))

    def judge_sets(self, chunk: Chunk) -> None:
        """Refuse in `verdicts` what the set rules refuse of the chunk's texts that passed so far."""
        self._find_passed(chunk)
        for rule in self._set_rules:
            types = ", ".join(map(Database.literal, rule.types))
            self._database.execute(_REFUSED.format(sql=rule.sql, types=types))
            refuse(self._database, rule.name, "refused", chunk)
            self._database.execute(f"delete from passed using refused where {_SAME_ROW.format(one='passed', other='refused')}")

    def _find_facts(self, chunk: Chunk) -> None:
        enter(self._database, chunk)
        self._judge.find_facts()
        self._database.run_steps("degla.filter", "images.sql")
        create_text_facts(self._database)
        self._database.execute(_ROW_FACTS)

    def _find_passed(self, chunk: Chunk) -> None:
        enter(self._database, chunk)
        self._database.execute(_PASSED.format(max_per_type=self._config.max_per_type))

    def check_rules(self) -> None:
        """Ask every rule of no rows, before the work. Raises ConfigError if the SQL of one is broken."""
        nothing = Chunk(0, 0)
        self._find_facts(nothing)
        check_rules(self._database, self._row_rules, "row_facts")
        self._find_passed(nothing)
        check_rules(self._database, self._set_rules, "passed")


def relate_by_dataset(judge: Judge) -> list[Mined]:
    """Tell the judge which words may name one thing by the captions.

    Returns:
        The pairs mined from `all_captions`.
    """
    mined = mine(judge.database)
    judge.relate(pair[:3] for pair in mined)
    return mined


def refuse(database: Database, rule: str, relation: str, chunk: Chunk | None = None) -> None:
    """Give the rule's name in `verdicts` to the rows that `relation` holds (by caption_id, type, candidate and attempt).

    Args:
        chunk: where they lie, if it is known.
    """
    inside = f"and {_inside(chunk, 'verdicts.')}" if chunk else ""
    same_row = _SAME_ROW.format(one="verdicts", other=relation)
    database.execute(f"update verdicts set rule = {database.literal(rule)} from {relation} where {same_row} {inside}")


def find_chunks(database: Database, num_rows: int | None = None) -> list[Chunk]:
    """Cut `all_captions` into chunks of about `num_rows` captions and texts, and nowhere inside the captions of an image.

    Args:
        num_rows: None takes as many as the database's memory limit bears.
    """
    size = num_rows or max(1, database.memory_limit() // ROW_BYTES)
    starts = [start for (start,) in database.rows(_STARTS.format(size=size))]
    (end,) = database.rows("select max(caption_id) + 1 from all_captions")[0]
    return [Chunk(start, stop) for start, stop in zip(starts, [*starts[1:], end], strict=True)]


def enter(database: Database, chunk: Chunk) -> None:
    """Make the views `captions`, `rewrites` and `judged` (rewrites with their verdicts) those of the chunk."""
    for name, source in (("captions", "all_captions"), ("rewrites", "texts"), ("verdicts_here", "verdicts")):
        database.execute(f"create or replace temp view {name} as select * from {source} where {_inside(chunk)}")
    database.execute(_JUDGED)


def _inside(chunk: Chunk, table: str = "") -> str:
    return f"{table}caption_id >= {chunk.start} and {table}caption_id < {chunk.stop}"


_STARTS = """
with sizes as (
    select caption_id, count(*) as num_texts from texts group by caption_id
), images as (
    select min(caption_id) as first, max(caption_id) as last, count(*) + coalesce(sum(num_texts), 0) as num
    from all_captions left join sizes using (caption_id) group by image_id
), reached as (
    select first, max(last) over earlier as reach, coalesce(sum(num) over earlier, 0) as num_before from images
    window earlier as (order by first rows between unbounded preceding and 1 preceding)
)
select min(first) as start from reached where reach is null or first > reach group by num_before // {size} order by start
"""

_JUDGED = """
create or replace temp view judged as
select r.*, c.image_id, c.caption, v.place, v.said, v.rule
from rewrites r join verdicts_here v using (caption_id, type, candidate, attempt) join captions c using (caption_id)
"""

_PASSED = """
create or replace table passed as select *, {max_per_type} as max_per_type from judged where rule is null
"""

_REFUSED = """
create or replace table refused as
select caption_id, type, candidate, attempt from (select *, ({sql}) as keeps from passed)
where type in ({types}) and not coalesce(keeps, false)
"""
_SAME_ROW = " and ".join(f"{{one}}.{name} = {{other}}.{name}" for name in ("caption_id", "type", "candidate", "attempt"))
_ROW_FACTS = """
create or replace temp view row_facts as
select f.*, i.* exclude (image_id), clip_tokens, language, least_logprob, e.said is not null as is_exemplar
from facts f join images i using (image_id) left join likelihoods using (type, generator)
left join clip_lengths using (text) left join foreign_captions using (caption)
left join exemplar_texts e on e.said = f.said
"""
_JUDGE_ROWS = """
insert into verdicts by name
select caption_id, type, candidate, attempt, place_of(type) as place, said, {rule} as rule from row_facts
"""
