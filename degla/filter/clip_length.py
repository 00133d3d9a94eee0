"""How many of CLIP's 77 tokens a text takes, by open_clip's own tokenizer, for the few texts long enough to matter."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pyarrow as pa

from degla.database import Database

_SHORT = 200  # characters; an English text of so many takes fewer tokens than CLIP reads


def create_clip_lengths(database: Database) -> None:
    """Make `clip_lengths` readable: `clip_tokens`, start and end included, of each long `text` of `rewrites`."""
    texts = [text for (text,) in database.rows(f"select distinct text from rewrites where len(text) > {_SHORT} order by text")]
    counts = pa.array(map(_tokens, texts), pa.int64())
    database.register("clip_lengths", pa.table({"text": pa.array(texts, pa.string()), "clip_tokens": counts}))


def _tokens(text: str) -> int:
    return len(_encoder()(text)) + 2


@lru_cache(1)
def _encoder() -> Callable[[str], list[int]]:
    from open_clip import SimpleTokenizer

    return SimpleTokenizer().encode
