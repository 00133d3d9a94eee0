"""Planted negatives are what they are said to be, by the world's own truth, and no more than was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from degla.artifacts import Artifact, FileEntry, Manifest
from degla.miniworld.dataset import image_id, scene_and_captions
from degla.miniworld.truth import judge
from degla.schemas import TRAINING, read_table, write_table
from degla.study.config import Planted
from degla.study.planted import PlantConfig, plant
from tests.world_negatives import reference_negatives

IMAGES = 60


def planted_rows(artifact: Artifact) -> Iterator[tuple[str, str, str]]:
    """(caption, text, generator) of each negative that was planted."""
    for row in read_table(artifact.file("training.parquet"), TRAINING).to_pylist():
        for negative in row["negatives"]:
            if negative["generator"].startswith("planted:"):
                yield row["caption"], negative["text"], negative["generator"]


def finished(folder: Path, stage: str, files: list[str]) -> Artifact:
    entries = {name: FileEntry(size=(folder / name).stat().st_size, sha256="") for name in files}
    manifest = Manifest(
        stage=stage, stage_version=1, fingerprint=stage, config={}, inputs={}, raw={}, counts={}, files=entries, versions={},
        started="", seconds=0, host="",
    )  # fmt: skip
    return Artifact(folder, manifest)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """A prepare and a filter artifact of the mini world, with the world's own negatives."""
    prepared, filtered = tmp_path_factory.mktemp("prepare"), tmp_path_factory.mktemp("filter")
    options = {"num_scenes": IMAGES, "captions_per_scene": 3, "seed": 0}
    (prepared / "card.json").write_text(json.dumps({"name": "miniworld", "reader": "miniworld", "options": options}))
    lineage = {
        "type": "swap_nouns",
        "generator": "w",
        "candidate": 0,
        "attempt": 1,
        "seed": 0,
        "model_sha": "",
        "prompt_sha": None,
    }
    rows = [
        {
            "caption_id": 3 * index + number,
            "image_id": image_id(index),
            "caption": caption.text,
            "negatives": [{**lineage, "text": text} for text in texts],
        }
        for index, of_image in enumerate(reference_negatives(IMAGES))
        for number, (caption, texts) in enumerate(zip(scene_and_captions(index, 3, 0)[1], of_image, strict=True))
    ]
    write_table(filtered / "training.parquet", pa.Table.from_pylist(rows, schema=TRAINING), TRAINING)
    return finished(prepared, "prepare", ["card.json"]), finished(filtered, "filter", ["training.parquet"])


def test_true_negatives_are_true_and_as_many_as_asked(inputs: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    made = plant(PlantConfig(planted=Planted(holds=0.2)), *inputs, tmp_path)
    total, planted = made.counts["negatives"], list(planted_rows(made))
    assert len(planted) == made.counts["holds"] == pytest.approx(0.2 * total, abs=1)
    scenes = {
        caption.text: scene
        for index in range(IMAGES)
        for scene, captions in [scene_and_captions(index, 3, 0)]
        for caption in captions
    }
    assert all(judge(text, scenes[caption]) == "true" and text != caption for caption, text, _ in planted)


def test_a_larger_share_holds_the_smaller_one_and_jumbled_texts_give_themselves_away(
    inputs: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    def rows(folder: str, planted: Planted) -> tuple[Artifact, set[tuple[str, str]]]:
        made = plant(PlantConfig(planted=planted), *inputs, tmp_path / folder)
        return made, {(caption, text) for caption, text, _ in planted_rows(made)}

    none, _ = rows("none", Planted())
    some, _ = rows("some", Planted(jumbled=0.5))
    every, words = rows("every", Planted(jumbled=1))
    assert none.counts["blind_accuracy"] < some.counts["blind_accuracy"] < every.counts["blind_accuracy"]
    assert all(sorted(caption.split()) == sorted(text.split()) for caption, text in words)
    assert plant(PlantConfig(planted=Planted(jumbled=1)), *inputs, tmp_path / "every").fingerprint == every.fingerprint
