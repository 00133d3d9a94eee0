"""A small real CLIP with random weights, and train artifacts made of two of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from encoded import TINY, Encoded, MakeEncoder

from degla.artifacts import Artifact, FileEntry, Manifest
from degla.evaluate import EvaluateConfig, run
from degla.evaluate.features.encoding import FeatureEncoder
from degla.files import write_text_atomic
from degla.models import ModelRef
from degla.models.export import export
from degla.models.loading import LoadedClip, load

SMALL_WORLD = [
    {"name": "miniworld_composition", "options": {"size": 12}},
    {"name": "miniworld_order", "options": {"size": 12}},
    {"name": "miniworld_zeroshot", "options": {"size": 40}},
    {"name": "miniworld_retrieval", "options": {"size": 12}},
]

MakeTrain = Callable[..., Artifact]


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    """Batches are encoded side by side."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.json"
    path.write_text(json.dumps(TINY))
    return path


@pytest.fixture(scope="session")
def tiny_clip(tiny_json: Path) -> LoadedClip:
    return load(ModelRef(architecture=str(tiny_json), weights="random"), seed=3)


@pytest.fixture
def make_encoder(tiny_clip: LoadedClip, tmp_path: Path) -> MakeEncoder:
    """A function that makes an encoder with a store of its own, or with the one in a folder."""

    def make(batch_size: int = 64, folder: str = "", **more: Any) -> Encoded:
        own = folder or f"store-{len(list(tmp_path.glob('store-*')))}"
        (tmp_path / own).mkdir(exist_ok=True)
        return Encoded(FeatureEncoder(tiny_clip, "tiny", tmp_path / own, batch_size, **more))

    return make


@pytest.fixture
def encoder(make_encoder: MakeEncoder) -> Encoded:
    return make_encoder()


@pytest.fixture
def make_train(tmp_path: Path, tiny_clip: LoadedClip, tiny_json: Path) -> MakeTrain:
    """A function that writes a finished train artifact: base model random (seed 0), fine-tuned model random (seed 3)."""

    def make(base: ModelRef | None = None, after: LoadedClip = tiny_clip, lacking: Sequence[str] = ()) -> Artifact:
        random = ModelRef(architecture=str(tiny_json), weights="random")
        return write_train(tmp_path / "train", base or random, after, lacking)

    return make


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory, tiny_clip: LoadedClip, tiny_json: Path) -> Artifact:
    """The scores of two random models on a small draw of every mini-world benchmark."""
    folder = tmp_path_factory.mktemp("small_world")
    train = write_train(folder / "train", ModelRef(architecture=str(tiny_json), weights="random"), tiny_clip)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEGLA_HOME", str(folder))
        return run(EvaluateConfig(benchmarks=SMALL_WORLD), {"train": train}, folder / "scores")


def write_train(folder: Path, base: ModelRef, after: LoadedClip, lacking: Sequence[str] = ()) -> Artifact:
    names = export(folder / "model", after, after.model.state_dict(), {})
    files = {f"model/{name}": (folder / "model" / name).stat().st_size for name in names if name not in lacking}
    manifest = Manifest(
        stage="train",
        stage_version=1,
        fingerprint="0123456789abcdef",
        config={"model": base.model_dump()},
        inputs={},
        raw={"model": base.checksum()},
        counts={},
        files={name: FileEntry(size=size, sha256="") for name, size in files.items()},
        versions={},
        started="",
        seconds=0,
        host="",
    )
    write_text_atomic(folder / "manifest.json", manifest.model_dump_json())
    return Artifact.load(folder)
