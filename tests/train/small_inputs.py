"""Small prepared and filtered artifacts of random images and captions, and a tiny CLIP to train on them."""

import io
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
from caption_tables import LINEAGE
from PIL import Image

from degla.artifacts import Artifact, building
from degla.filter import FilterConfig
from degla.images import IMAGES_FILE, images_writer
from degla.negative_types import NEGATIVE_TYPES
from degla.prepare import PrepareConfig
from degla.schemas import IMAGES, TRAINING, write_table

WORDS = "ball car house tree fish star cup boat heart key red green blue yellow white above below the a small big"
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 2, "head_width": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
NO_IMAGES = {"images_path": Path("images.arrow"), "short_side": 0}
"""Of a Job whose images nobody reads."""
CARD = {"name": "noise", "description": "Random pixels.", "source": "drawn by the tests", "licence": "MIT", "citation": ""}


class _Prepare(PrepareConfig):
    def raw_inputs(self):
        return {}


class _Filter(FilterConfig):
    needs = ("prepare",)

    def raw_inputs(self):
        return {}


def _caption(draw: random.Random) -> str:
    return " ".join(draw.choice(WORDS.split()) for _ in range(draw.randint(3, 12)))


def _image(draw: random.Random) -> bytes:
    pixels = np.random.default_rng(draw.randrange(1 << 30)).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_inputs(folder: Path, num_images: int = 30, captions_each: int = 2, bad: tuple[int, ...] = ()) -> dict[str, Artifact]:
    """Artifacts of prepare and filter; captions have 0 to 6 negatives, the images numbered in `bad` are missing."""
    draw = random.Random(0)
    images = [
        {"image_id": f"im{i}", "source": f"{i}.png", "status": "missing" if i in bad else "ok", "error": None}
        | {"width": 56, "height": 40, "image": None if i in bad else _image(draw)}
        for i in range(num_images)
    ]
    made_by = {"generator": "x", **LINEAGE}
    training = [
        {"caption_id": 100 + i, "image_id": f"im{i // captions_each}", "caption": _caption(draw)}
        | {"negatives": [{"text": _caption(draw), "type": NEGATIVE_TYPES[j % 5], **made_by} for j in range(i % 7)]}
        for i in range(num_images * captions_each)
    ]
    with building(_Prepare(), {}, folder / "prepare") as build:
        with images_writer(build.path / IMAGES_FILE) as write:
            write(pa.Table.from_pylist(images, schema=IMAGES))
        (build.path / "card.json").write_text(json.dumps(CARD))
        prepared = build.finished or build.finish({}, [IMAGES_FILE, "card.json"])
    with building(_Filter(), {"prepare": prepared}, folder / "filter") as build:
        write_table(build.path / "training.parquet", pa.Table.from_pylist(training, schema=TRAINING), TRAINING)
        filtered = build.finished or build.finish({}, ["training.parquet"])
    return {"prepare": prepared, "filter": filtered}
