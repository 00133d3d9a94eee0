"""Captions tables and fake `prepare` artifacts, made from plain captions as the prepare stage makes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from degla.artifacts import Artifact, Building
from degla.prepare import PrepareConfig
from degla.schemas import CAPTIONS, write_table
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

LINEAGE = {"candidate": 0, "attempt": 1, "seed": 0, "model_sha": "0", "prompt_sha": None}
"""The columns of a kept negative that say how it was made."""


@lru_cache(1)
def tagger() -> Tagger:
    return Tagger()


def captions_table(captions: Sequence[str], images: Sequence[str] | None = None) -> pa.Table:
    """A table of CAPTIONS; each caption has an image of its own unless `images` says otherwise."""
    tokens = [tokenize(caption) for caption in captions]
    tagged = [tagger().tag(each) for each in tokens]
    columns = {
        "caption_id": range(len(captions)),
        "image_id": images or [f"image-{i}" for i in range(len(captions))],
        "caption": captions,
        "tokens": tokens,
        "tags": [tags for tags, _ in tagged],
        "lemmas": [lemmas for _, lemmas in tagged],
    }
    return pa.table(columns, schema=CAPTIONS)


def prepare_artifact(folder: Path, table: pa.Table) -> Artifact:
    """A finished prepare artifact that holds this captions table."""
    folder.mkdir(parents=True)
    write_table(folder / "captions.parquet", table, CAPTIONS)
    build = Building(folder, PrepareConfig(), {}, {}, "0" * 16)
    return build.finish({"captions": table.num_rows}, ["captions.parquet"])
