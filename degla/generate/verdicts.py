"""Rows of back ends put before the judge: words count as nouns and adjectives by the whole dataset's use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.database import connect
from degla.files import atomic_path
from degla.generate.backend import Rewrite
from degla.judge.judge import own_judge, word_uses


def save_word_uses(captions: Path, path: Path, threads: int) -> None:
    """Write how the captions use their words."""
    with connect(threads=threads) as database:
        database.execute(f"create temp view captions as select * from read_parquet({database.literal(str(captions))})")
        with atomic_path(path) as temporary:
            pq.write_table(word_uses(database), temporary)


def verdicts(rows: Sequence[Rewrite], uses: pa.Table) -> list[str | None]:
    """The name of the first rule of the judge that refuses each row with a text, or None, in the order of the rows."""
    requests = [row.request for row in rows]
    distinct = {request.caption: request for request in requests}  # the rewrites of a caption share what is found in it
    number_of = {caption: number for number, caption in enumerate(distinct)}
    captions = {
        "caption_id": pa.array(range(len(distinct)), pa.int64()),
        "image_id": pa.nulls(len(distinct), pa.string()),
        "caption": list(distinct),
        "tokens": pa.array([request.tokens for request in distinct.values()], pa.list_(pa.string())),
        "tags": pa.array([request.tags for request in distinct.values()], pa.list_(pa.string())),
    }
    rewrites = {
        "caption_id": pa.array([number_of[request.caption] for request in requests], pa.int64()),
        "type": [request.type for request in requests],
        "status": [row.status for row in rows],
        "text": [row.text for row in rows],
        "finish": pa.array([row.finish for row in rows], pa.string()),
    }
    return own_judge().verdicts(pa.table(captions), pa.table(rewrites), uses)
