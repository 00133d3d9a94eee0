"""The rules on a caption and its rewrite, asked of rows as they come from a language model, to decide on another attempt.

The same rules that filter applies; words are nouns or adjectives by the whole dataset's use, so that a verdict does not
depend on which rows are judged together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.database import connect
from degla.files import atomic_path
from degla.generate.backend import Rewrite
from degla.text.edit_rules import RULES as EDIT_RULES
from degla.text.edit_rules import corpus_kinds, create_edits, refusal_sql
from degla.text.lexicon import load_lexicon
from degla.text.meaning import RULES as MEANING_RULES
from degla.text.meaning_facts import create_macros, create_meanings, register_senses
from degla.text.senses import load_senses

RULES = EDIT_RULES + MEANING_RULES
"""What can be asked of a caption and its rewrite alone, in order."""

_MIN_TOKENS, _MAX_TOKENS = 3, 60  # filter's own limits are settings; a row near them is not worth another attempt


def save_kinds(captions: Path, path: Path, threads: int) -> None:
    """Write which words the captions use as nouns and as adjectives."""
    with connect(threads=threads) as database:
        database.execute(f"create temp view captions as select * from read_parquet({database.literal(str(captions))})")
        with atomic_path(path) as temporary:
            pq.write_table(corpus_kinds(database), temporary)


class EditJudge:
    """Says of each row with a text which rule on edits or meanings refuses it.

    Args:
        kinds: the file that `save_kinds` wrote.
    """

    def __init__(self, kinds: Path) -> None:
        self._kinds = pq.read_table(kinds)

    def __call__(self, rows: Sequence[Rewrite]) -> list[str | None]:
        """The name of the first rule that refuses each row, or None, in the order of the rows."""
        with connect(threads=1, memory_limit="1GB") as database:
            database.register("captions", _captions(rows))
            database.register("rewrites", _rewrites(rows))
            create_edits(database, load_lexicon(), _MIN_TOKENS, _MAX_TOKENS, self._kinds)
            create_macros(database, load_senses())
            register_senses(database, load_senses())
            create_meanings(database)
            found = database.rows(f"select attempt, {refusal_sql(RULES)} from meanings")
        refusals = dict(found)
        return [refusals[number] for number in range(len(rows))]


def _captions(rows: Sequence[Rewrite]) -> pa.Table:
    """A captions table with a row for each rewrite: its number is its id, so that nothing is joined twice."""
    columns = {
        "caption_id": pa.array(range(len(rows)), pa.int64()),
        "image_id": pa.array([""] * len(rows), pa.string()),
        "caption": pa.array([row.request.caption for row in rows], pa.string()),
        "tokens": pa.array([row.request.tokens for row in rows], pa.list_(pa.string())),
        "tags": pa.array([row.request.tags for row in rows], pa.list_(pa.string())),
    }
    return pa.table(columns)


def _rewrites(rows: Sequence[Rewrite]) -> pa.Table:
    numbers = range(len(rows))
    columns = {
        "caption_id": pa.array(numbers, pa.int64()),
        "type": pa.array([row.request.type for row in rows], pa.string()),
        "candidate": pa.array([0] * len(rows), pa.int32()),
        "attempt": pa.array(numbers, pa.int32()),
        "status": pa.array(["ok"] * len(rows), pa.string()),
        "text": pa.array([row.text for row in rows], pa.string()),
        "finish": pa.array([row.finish for row in rows], pa.string()),
    }
    return pa.table(columns)
