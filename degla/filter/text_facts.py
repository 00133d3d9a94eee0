"""Facts on a chunk's texts that Python finds: how many tokens CLIP needs, and in which language captions are."""

from __future__ import annotations

import pyarrow as pa

from degla.database import Database
from degla.text.clip_tokens import SHORT, num_clip_tokens
from degla.text.language import foreign_language


def create_text_facts(database: Database) -> None:
    """Make `clip_lengths` readable (`clip_tokens`, start and end included, of each long `text` of `rewrites`), and
    `foreign_captions` (the `language` of each caption of `captions` that is not English)."""
    texts = [text for (text,) in database.rows(f"select distinct text from rewrites where len(text) > {SHORT} order by text")]
    counts = pa.array(map(num_clip_tokens, texts), pa.int64())
    database.register("clip_lengths", pa.table({"text": pa.array(texts, pa.string()), "clip_tokens": counts}))
    captions = [text for (text,) in database.rows("select distinct caption from captions")]
    found = [(caption, language) for caption in captions if (language := foreign_language(caption))]
    columns = list(zip(*found, strict=True)) or [(), ()]
    database.register("foreign_captions", pa.table([pa.array(each, pa.string()) for each in columns], ["caption", "language"]))
