"""A tiny CLIP architecture with open_clip's own tokenizer."""

import json
from pathlib import Path

import pytest

from degla.models import ModelRef
from degla.models.loading import LoadedClip, load

TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 2, "head_width": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(TINY))
    return path


@pytest.fixture
def clip(architecture: Path) -> LoadedClip:
    return load(ModelRef(architecture=str(architecture), weights="random"), seed=1)
