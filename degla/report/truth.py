"""How many kept negatives are in truth true of their image: exact, for data that comes with its scenes.

Only the mini world knows the truth of its images; photographs do not come with it. A *false negative* is a kept rewrite
that holds of its image: training would push a true caption away.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from degla.artifacts import Artifact
from degla.miniworld.scenes import Scene
from degla.miniworld.truth import judge
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, REJECTED, SCENES, TRAINING, read_table


@dataclass(frozen=True)
class TruthCount:
    """Verdicts over the rewrites of one type, kept and rejected ones apart."""

    type: str
    kept_false: int
    """Kept and false of the image: real negatives."""
    kept_true: int
    """Kept and true of the image: false negatives."""
    kept_unreadable: int
    """Kept, but the world's grammar cannot read them."""
    rejected_false: int
    """Rejected although false of the image: good negatives lost."""
    rejected_true: int
    """Rejected and true of the image: what the filter is for."""
    rejected_unreadable: int

    @property
    def false_negative_rate(self) -> float | None:
        """Share of the readable kept rewrites that are true of their image; None if there are none."""
        readable = self.kept_false + self.kept_true
        return self.kept_true / readable if readable else None


def count_truth(prepared: Artifact, filtered: Artifact) -> list[TruthCount] | None:
    """Verdicts by type, or None if the dataset does not know its scenes."""
    if not prepared.has("scenes.parquet"):
        return None
    scenes = _scenes(prepared.file("scenes.parquet"))
    kept = Counter(_kept_verdicts(filtered.file("training.parquet"), scenes))
    image_of_caption = _image_of_caption(prepared.file("captions.parquet"))
    rejected = Counter(_rejected_verdicts(filtered.file("rejected.parquet"), scenes, image_of_caption))
    return [
        TruthCount(
            kind,
            *(kept[kind, verdict] for verdict in ("false", "true", "unreadable")),
            *(rejected[kind, verdict] for verdict in ("false", "true", "unreadable")),
        )
        for kind in NEGATIVE_TYPES
    ]


def _scenes(path: Path) -> dict[str, Scene]:
    rows = read_table(path, SCENES).to_pylist()
    return {row["image_id"]: Scene.from_json(json.loads(row["scene"])) for row in rows}


def _image_of_caption(path: Path) -> dict[int, str]:
    table = read_table(path, CAPTIONS, ["caption_id", "image_id"])
    return dict(zip(table["caption_id"].to_pylist(), table["image_id"].to_pylist(), strict=True))


def _kept_verdicts(path: Path, scenes: Mapping[str, Scene]) -> Iterable[tuple[str, str]]:
    for row in read_table(path, TRAINING, ["image_id", "negatives"]).to_pylist():
        for negative in row["negatives"]:
            yield negative["type"], judge(negative["text"], scenes[row["image_id"]])


def _rejected_verdicts(path: Path, scenes: Mapping[str, Scene], image_of_caption: Mapping[int, str]) -> Iterable[tuple[str, str]]:
    for row in read_table(path, REJECTED, ["caption_id", "type", "text"]).to_pylist():
        if row["text"] is not None:
            yield row["type"], judge(row["text"], scenes[image_of_caption[row["caption_id"]]])
