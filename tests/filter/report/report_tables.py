"""Tables as the filter stage writes them, drawn at random, for the tests of its report."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from caption_tables import LINEAGE
from PIL import Image

from degla.artifacts import Artifact, Building
from degla.filter import FilterConfig
from degla.filter.report.pages import write_report
from degla.filter.rules import DUPLICATE, RULES
from degla.images import images_writer
from degla.negative_types import NEGATIVE_TYPES
from degla.prepare import PrepareConfig
from degla.schemas import IMAGES, REJECTED, TRAINING, write_table

WORDS = ["a", "red", "man", "dog", "cup", "table", "horse", "field", "on", "near", "the", "wooden", "brown", "woman", "zebra"]
GENERATORS = ["rules", "vllm:big"]
RULE_NAMES = [rule.name for rule in RULES]

FIGURES = {"pairs": 70, "blind_accuracy": 0.6, "low": 0.4832, "high": 0.7066, "captions_alone": 0.5}
AUDIT = {
    "definition": "How well it is told.",
    "rows": [{"type": "all", "generator": "all", **FIGURES}, {"type": "swap_nouns", "generator": "vllm:big", **FIGURES}],
    "balanced": [{"type": "swap_nouns", "generator": "vllm:big", "pairs": 1000, "dropped": 930, "before": 0.9512, "after": 0.6}],
    "trade_off": [
        {"type": name, "max_lm_gap": limit, "kept_fraction": kept, "blind_accuracy": told}
        for name in ("all", "swap_nouns")
        for limit, kept, told in ((0.0, 0.0, None), (4.0, 0.4213, 0.7104), (None, 1.0, 0.8))
    ],
}


@dataclass
class Tables:
    """Rows of the two tables."""

    training: list[dict[str, Any]]
    rejected: list[dict[str, Any]]

    def summary(self) -> dict[str, Any]:
        """As the stage writes it; five rows of each type got no text."""
        types = {}
        for name in NEGATIVE_TYPES:
            kept = sum(each["type"] == name for row in self.training for each in row["negatives"])
            by_rule = Counter(row["rule"] for row in self.rejected if row["type"] == name)
            texts = kept + by_rule.total()
            status = {"abstained": 5, "ok": texts}
            types[name] = {"asked": texts + 5, "kept": kept, "rejected": by_rule.total(), "by_status": status, "by_rule": by_rule}
        rules = [{"name": rule.name, "family": rule.family, "why": rule.why} for rule in (*RULES, DUPLICATE)]
        return {"counts": {}, "types": types, "rules": rules, "audit": AUDIT}


def tables(num_captions: int, seed: int = 0, rejected: int = 600) -> Tables:
    """Captions of three an image with up to six negatives, and rejected rows of all rules, some twice."""
    draw = random.Random(seed)
    training = [
        {
            "caption_id": number,
            "image_id": f"image-{number // 3:05d}",
            "caption": sentence(draw),
            "negatives": [negative(draw) for _ in range(draw.randrange(7))],
        }
        for number in range(num_captions)
    ]
    rows = [
        {**negative(draw), **REWRITE, "caption_id": draw.randrange(num_captions), "attempt": k, "rule": draw.choice(RULE_NAMES)}
        for k in range(rejected)
    ]
    return Tables(training, rows + [row | {"attempt": -1} for row in rows[::9]])


REWRITE = {"candidate": 0, "status": "ok", "seed": 1, "model_sha": "0"}


def sentence(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randrange(4, 9)))


def negative(draw: random.Random) -> dict[str, str]:
    return {"text": sentence(draw), "type": draw.choice(NEGATIVE_TYPES), "generator": draw.choice(GENERATORS)}


def prepared(folder: Path, images: list[dict[str, Any]] | None = None, name: str = "drawn") -> Artifact:
    """A prepare artifact with a card, and with these rows of images."""
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"name": name}))
    files = ["card.json"]
    if images is not None:
        with images_writer(folder / "images.arrow") as write:
            write(pa.Table.from_pylist(images, IMAGES))
        files.append("images.arrow")
    return Building(folder, PrepareConfig(), {}, {}, "0" * 16).finish({}, files)


def picture_row(image_id: str, side: int = 48) -> dict[str, Any]:
    """A row of the images table: a square of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (10, 120, 200)).save(buffer, "png")
    row = {"image_id": image_id, "source": image_id, "status": "ok", "width": side, "height": side}
    return row | {"image": buffer.getvalue()}


def report(folder: Path, drawn: Tables, artifact: Artifact | None = None, threads: int = 0) -> Path:
    """Write the tables and the report on them; returns the folder."""
    artifact = artifact or prepared(folder / "prepare")
    rows = [row | {"negatives": [LINEAGE | each for each in row["negatives"]]} for row in drawn.training]
    write_table(folder / "training.parquet", pa.Table.from_pylist(rows, TRAINING), TRAINING)
    write_table(folder / "rejected.parquet", pa.Table.from_pylist(drawn.rejected, REJECTED), REJECTED)
    write_report(FilterConfig(threads=threads, memory_limit="500MB"), drawn.summary(), artifact, folder)
    return folder
