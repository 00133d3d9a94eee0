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
    """The name of the first rule of the judge that refuses each row with a text, or None, in the order of the rows.

    Each row is given a caption of its own, so that nothing has to be matched.
    """
    numbers, requests = pa.array(range(len(rows)), pa.int64()), [row.request for row in rows]
    captions = {
        "caption_id": numbers,
        "image_id": pa.nulls(len(rows), pa.string()),
        "caption": [request.caption for request in requests],
        "tokens": pa.array([request.tokens for request in requests], pa.list_(pa.string())),
        "tags": pa.array([request.tags for request in requests], pa.list_(pa.string())),
    }
    rewrites = {
        "caption_id": numbers,
        "type": [request.type for request in requests],
        "status": [row.status for row in rows],
        "text": [row.text for row in rows],
        "finish": pa.array([row.finish for row in rows], pa.string()),
    }
    return own_judge().verdicts(pa.table(captions), pa.table(rewrites), uses)
