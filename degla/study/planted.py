"""Training negatives of which a share is true of the image, or gives itself away, to measure what such negatives cost.

Only the mini world can: it knows what each caption says and what each image shows. The table is an artifact like the filter
stage's, and training reads it as it reads that one.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from degla.artifacts import Artifact, building, fingerprint
from degla.config import StageConfig
from degla.errors import DataError, InputError
from degla.filter.audit.accuracy import audit
from degla.filter.audit.word_pairs import read_pairs
from degla.miniworld.dataset import image_id, scene_and_captions
from degla.miniworld.language import Caption, natural_caption
from degla.miniworld.scenes import Scene
from degla.miniworld.truth import judge
from degla.schemas import TRAINING, read_table, write_table
from degla.study.config import Planted

logger = logging.getLogger(__name__)

TABLE = "training.parquet"
_MAX_TRIES = 100


class PlantConfig(StageConfig):
    """Settings of a table of planted negatives, an artifact in place of the filter stage's."""

    stage: ClassVar[str] = "filter"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("prepare", "filter")

    planted: Planted = Planted()
    """What is replaced."""

    seed: int = Field(0, ge=0)
    """Seed of which negatives are replaced, and by what."""


def planted_path(config: PlantConfig, prepared: str, filtered: str, root: Path) -> Path:
    """The folder of the table.

    Args:
        config: its settings.
        prepared: fingerprint of the prepare artifact.
        filtered: fingerprint of the filter artifact whose negatives are replaced.
        root: the artifact root.
    """
    return root / config.stage / fingerprint(config, {"prepare": prepared, "filter": filtered}, {})


def plant(config: PlantConfig, prepared: Artifact, filtered: Artifact, out_dir: Path) -> Artifact:
    """Make the table, or return it if it is finished.

    Its counts: `negatives`, `holds`, `jumbled`, and `blind_accuracy`, that of the filter's text-only classifier on all of them.

    Raises:
        InputError: the captions are not the mini world's.
        DataError: the world does not read a planted text as what it is meant to be.
    """
    with building(config, {"prepare": prepared, "filter": filtered}, out_dir) as build:
        if build.finished is not None:
            return build.finished
        rows = read_table(filtered.file(TABLE), TRAINING).to_pylist()
        counts: dict[str, int | float] = {"captions": len(rows), **_replace(config, rows, _world(prepared))}
        table = pa.Table.from_pylist(rows, schema=TRAINING)
        write_table(out_dir / TABLE, table, TRAINING)
        counts["blind_accuracy"] = _blind_accuracy(rows)
        logger.info("planted %s", ", ".join(f"{name} {value:,}" for name, value in counts.items()))
        return build.finish(counts, [TABLE])


def _world(prepared: Artifact) -> dict[str, tuple[Scene, dict[str, Caption]]]:
    """Image to its scene and its captions by their text."""
    options = json.loads(prepared.file("card.json").read_text(encoding="utf-8"))
    if options["reader"] != "miniworld":
        raise InputError(
            f"{prepared.path} was prepared from {options['name']}: only the mini world knows what is true of its images, so only"
            " there can true negatives be planted. Leave `planted` out."
        )
    drawn = options["options"]
    return {
        image_id(index): (scene, {caption.text: caption for caption in captions})
        for index in range(drawn["num_scenes"])
        for scene, captions in [scene_and_captions(index, drawn["captions_per_scene"], drawn["seed"])]
    }


def _replace(
    config: PlantConfig, rows: list[dict[str, Any]], world: dict[str, tuple[Scene, dict[str, Caption]]]
) -> dict[str, int]:
    """Replace texts in the rows; returns how many of each kind. Which ones does not depend on the shares of others: a larger
    share replaces those of a smaller one and more."""
    total = sum(len(row["negatives"]) for row in rows)
    rng = np.random.default_rng((config.seed, 1))
    draw = rng.permutation(total) / max(total, 1)
    holds = draw < config.planted.holds
    is_jumbled = ~holds & (draw >= 1 - config.planted.jumbled)
    place, texts = 0, np.random.default_rng((config.seed, 2))
    for row in rows:
        scene, captions = world[row["image_id"]]
        for negative in row["negatives"]:
            if holds[place]:
                negative["text"] = _true_text(captions[row["caption"]], scene, texts)
                negative["generator"] = "planted:holds"
            elif is_jumbled[place]:
                negative["text"] = _jumbled(row["caption"], texts)
                negative["generator"] = "planted:jumbled"
            place += 1
    return {"negatives": total, "holds": int(holds.sum()), "jumbled": int(is_jumbled.sum())}


def _true_text(caption: Caption, scene: Scene, rng: np.random.Generator) -> str:
    """By equal chances the caption in other words, or another true sentence about the scene; never the caption itself."""
    says_the_same = rng.random() < 0.5
    for _ in range(_MAX_TRIES):
        other = Caption(caption.statement, int(rng.integers(2**31))) if says_the_same else natural_caption(scene, rng)
        if other.text != caption.text:
            if judge(other.text, scene) != "true":
                raise DataError(f"the world does not read {other.text!r} as true of {scene}")
            return other.text
    raise DataError(f"{_MAX_TRIES} tries gave no other true sentence than {caption.text!r}")


def _jumbled(caption: str, rng: np.random.Generator) -> str:
    words = caption.split()
    for _ in range(_MAX_TRIES):
        if (text := " ".join(rng.permutation(words))) != caption:
            return text
    raise DataError(f"the words of {caption!r} have one order only")


def _blind_accuracy(rows: list[dict[str, Any]]) -> float:
    captions = pa.Table.from_pylist([{name: row[name] for name in ("caption_id", "image_id", "caption")} for row in rows])
    negatives = [{**each, "caption_id": row["caption_id"], "lm_gap": None} for row in rows for each in row["negatives"]]
    columns = ("caption_id", "type", "candidate", "attempt", "generator", "text")
    table = pa.table({name: [each[name] for each in negatives] for name in columns})
    table = table.append_column("lm_gap", pa.nulls(len(negatives), pa.float64()))
    return round(audit(read_pairs(captions.to_batches(), table.to_batches()))[0].blind_accuracy, 4)
