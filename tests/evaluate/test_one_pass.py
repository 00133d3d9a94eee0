"""One pass: what is distinct is encoded once, what is stored never again, and nothing of that reaches a score."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from encoded import MakeEncoder

from degla.artifacts import Artifact
from degla.errors import DataError
from degla.evaluate import EvaluateConfig, run
from degla.evaluate.benchmark import BenchmarkImage
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.features.contents import image_keys, text_keys
from degla.evaluate.features.encoding import FeatureEncoder, folder_name, identity, weights_hash
from degla.evaluate.features.store import Store, StoredFeatures
from degla.evaluate.items import texts_of
from degla.evaluate.readers import read_benchmark
from degla.experiments.cli import main as command
from degla.models.loading import LoadedClip

MakeTrain = Callable[..., Artifact]

COMPOSITION = {"name": "miniworld_composition", "options": {"size": 12}}
ORDER = {"name": "miniworld_order", "options": {"size": 12}}
RETRIEVAL = {"name": "miniworld_retrieval", "options": {"size": 12}}


def evaluate(train: Artifact, out_dir: Path, benchmarks: list[Any], **settings: Any) -> Artifact:
    return run(EvaluateConfig(benchmarks=benchmarks, **settings), {"train": train}, out_dir)


def distinct(benchmarks: list[dict[str, Any]]) -> tuple[set[bytes], set[str]]:
    read = [read_benchmark(ref.card()) for ref in (BenchmarkRef(**each) for each in benchmarks)]
    sets = [each for benchmark in read for each in benchmark.sets]
    pictures = {(image.source.shape, image.source.tobytes()) for each in sets for image in each.images}
    return pictures, {text for each in sets for text in texts_of(each)}


def values(artifact: Artifact) -> dict[tuple[str, str], float]:
    return {(row["model"], row["metric"]): row["value"] for row in json.loads(artifact.file("scores.json").read_text())}


def margins(artifact: Artifact, name: str) -> np.ndarray:
    return np.array([row["margin"] for row in pq.read_table(artifact.file(f"items/after/{name}.parquet")).to_pylist()])


def test_a_run_encodes_what_is_distinct_and_a_rerun_only_what_is_new(
    make_train: MakeTrain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "degla")
    train = make_train()
    evaluate(train, tmp_path / "first", [COMPOSITION, ORDER])
    pictures, texts = distinct([COMPOSITION, ORDER])
    for name in ("before", "after"):
        assert f"{name}: encoded {len(pictures)} images and {len(texts)} texts that were new" in caplog.messages
    evaluate(train, tmp_path / "second", [RETRIEVAL, ORDER, COMPOSITION])
    more_pictures, more_texts = distinct([RETRIEVAL, ORDER, COMPOSITION])
    new = len(more_pictures - pictures), len(more_texts - texts)
    assert new != (0, 0)
    assert f"after: encoded {new[0]} images and {new[1]} texts that were new" in caplog.messages
    evaluate(train, tmp_path / "third", [ORDER])
    assert "before: encoded 0 images and 0 texts that were new" in caplog.messages


def test_stored_features_and_another_order_change_no_score(make_train: MakeTrain, tmp_path: Path) -> None:
    train = make_train()
    alone = evaluate(train, tmp_path / "alone", [COMPOSITION, ORDER, RETRIEVAL], keep_features=False)
    assert not list(tmp_path.glob("artifacts/features/*"))
    assert not (tmp_path / "alone" / "features").exists()
    evaluate(train, tmp_path / "part", [ORDER])
    stored = evaluate(train, tmp_path / "stored", [RETRIEVAL, ORDER, COMPOSITION], batch_size=5)
    assert values(stored) == values(alone)
    assert np.abs(margins(stored, "miniworld_order") - margins(alone, "miniworld_order")).max() < 1e-6


def test_a_pass_that_was_killed_goes_on_with_the_same_batches(tiny_clip: LoadedClip, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("degla.evaluate.features.encoding._PIECE", 8)
    rng = np.random.default_rng(0)
    images = [BenchmarkImage(str(n), rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)) for n in range(30)]
    texts = [" ".join(rng.choice(["a", "red", "fish", "on", "it"], rng.integers(2, 30))) for _ in range(30)]
    whole = FeatureEncoder(tiny_clip, "tiny", tmp_path / "whole", 4)
    whole.images(images)
    whole.texts(texts)
    killed = FeatureEncoder(tiny_clip, "tiny", tmp_path / "killed", 4)
    calls = []

    def die(note: str) -> None:
        calls.append(note)
        if len(calls) in (5, 10):  # in the third piece of the images, and of the texts
            raise KeyboardInterrupt

    killed.report = die
    for encode, what in ((killed.images, images), (killed.texts, texts)):
        with pytest.raises(KeyboardInterrupt):
            encode(what)
    again = FeatureEncoder(tiny_clip, "tiny", tmp_path / "killed", 4)
    assert 0 < again.images(images) < 30
    assert 0 < again.texts(texts) < len(set(texts))
    assert (again.features.images(images).features == whole.features.images(images).features).all()
    assert (again.features.texts(texts).features == whole.features.texts(texts).features).all()


def test_a_damaged_file_of_features_is_left_out_and_encoded_again(make_encoder: MakeEncoder, tmp_path: Path) -> None:
    first = make_encoder(folder="same").texts(["a fish", "a red fish"])
    (path,) = (tmp_path / "same" / "texts").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:100])
    assert len(Store(tmp_path / "same" / "texts")) == 0
    again = make_encoder(folder="same")
    assert np.array_equal(again.texts(["a fish", "a red fish"]).features, first.features)
    assert len(Store(tmp_path / "same" / "texts")) == 2


def test_content_names_an_image_and_not_its_place(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"the same")
    content = b"the same"
    images = [BenchmarkImage("1", tmp_path / "a.jpg"), BenchmarkImage("2", tmp_path / "b.jpg"), BenchmarkImage("3", content)]
    boxes = [replace(images[0], box=(0, 0, 4, 4)), replace(images[1], box=(0, 0, 4, 4)), replace(images[0], box=(0, 0, 4, 5))]
    keys = image_keys([*images, *boxes])
    assert len(set(keys[:3])) == 1
    assert keys[3] == keys[4]
    assert len(set(keys)) == 3
    shapes = [BenchmarkImage("", np.zeros(shape, dtype=np.uint8)) for shape in ((2, 3, 3), (3, 2, 3))]
    assert len(set(image_keys(shapes))) == 2
    assert len(set(text_keys(["a", "A", "a ", "a"]))) == 3


def test_features_belong_to_weights_activation_and_preprocessing(tiny_clip: LoadedClip) -> None:
    own = folder_name(identity(tiny_clip))
    others = [
        replace(tiny_clip, preprocessing=replace(tiny_clip.preprocessing, mean=(0.5, 0.5, 0.5))),
        replace(tiny_clip, architecture=tiny_clip.architecture | {"quick_gelu": False}),
    ]
    assert own == folder_name(identity(tiny_clip))
    assert len({own, *(folder_name(identity(other)) for other in others)}) == 3
    before = weights_hash(tiny_clip.model)
    with_other_weights = tiny_clip.model.visual.proj.data
    with_other_weights[0, 0] += 1e-6
    changed = weights_hash(tiny_clip.model)
    with_other_weights[0, 0] -= 1e-6
    assert changed != before


def test_what_was_not_encoded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'a fish' was not encoded"):
        StoredFeatures(tmp_path).texts(["a fish"])


def test_the_part_of_an_image_is_what_is_encoded(make_encoder: MakeEncoder) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cut = BenchmarkImage("cut", np.ascontiguousarray(pixels[5:35, 10:50]))
    boxed = BenchmarkImage("boxed", pixels, box=(10, 5, 50, 35))
    whole = BenchmarkImage("whole", pixels)
    features = make_encoder().images([cut, boxed, whole]).features
    assert np.abs(features[0] - features[1]).max() < 1e-6
    assert np.abs(features[0] - features[2]).max() > 1e-4


def test_scoring_what_is_encoded_loads_no_torch(make_train: MakeTrain, tmp_path: Path, own_artifact_root: Path) -> None:
    preset = tmp_path / "tiny.yaml"
    preset.write_text("evaluate:\n  benchmarks:\n  - name: miniworld_order\n    options: {size: 8}\n")
    arguments = [str(preset), "--input", f"train={make_train().path}"]
    assert command("evaluate", arguments) == 0
    (folder,) = own_artifact_root.glob("evaluate/*")
    whole = (folder / "manifest.json").read_text()
    for path in (folder / "manifest.json", *folder.glob("results/*/miniworld_order.json")):
        path.unlink()
    code = (
        "import sys; from degla.experiments.cli import main; code = main('evaluate', sys.argv[1:]);"
        " print(code, *(name for name in ('torch', 'open_clip', 'sklearn') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert json.loads((folder / "manifest.json").read_text())["files"] == json.loads(whole)["files"]
