"""How much less work it is to score all of SugarCrepe in one pass than item by item, as the official script goes about it.

    python benchmarks/evaluate_pass.py [--annotations FOLDER] [--model ViT-B-32-quickgelu] [--sample 40]

The official files (`python -m degla.catalog get sugarcrepe` fetches them), a model with random weights, and as many generated
JPEG files as SugarCrepe has photos. Item by item: open and encode the image, encode the caption, encode the false caption, each
alone and with the whole context. The two take turns: half of the sample item by item, the whole evaluate stage on every item,
the other half. Both compute in one thread, and CPU time is the process's; loading a model is part of the stage's and not of the
other's. On the sample both must choose alike, or the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from degla.artifacts import Artifact
from degla.catalog import load_card
from degla.evaluate import EvaluateConfig
from degla.evaluate import run as evaluate
from degla.evaluate.readers.sugarcrepe import SUBSETS
from degla.home import data_root
from degla.models import ModelRef
from degla.models.loading import LoadedClip, load

TEST_DATA = Path(os.environ.get("DEGLA_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
NEAR = 1e-5  # cosines that both ways may differ by


class Item(NamedTuple):
    subset: str
    key: str
    image: str
    caption: str
    negative: str


def read_items(folder: Path) -> list[Item]:
    contents = {name: json.loads((folder / f"{name}.json").read_text()) for name in SUBSETS}
    return [
        Item(name, key, entry["filename"], entry["caption"], entry["negative_caption"])
        for name, entries in contents.items()
        for key, entry in entries.items()
    ]


def draw_images(folder: Path, names: Sequence[str]) -> None:
    """A JPEG of the usual size for each name: a few colours, blurred, with noise."""
    folder.mkdir()
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
        noisy = np.asarray(small).astype(np.int16) + rng.integers(-12, 13, (480, 640, 1), dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name, quality=90)


@torch.inference_mode()
def one_by_one(clip: LoadedClip, images: Path, items: Sequence[Item]) -> Iterator[float]:
    """Margin of each item, with three calls of the model for each."""
    for item in items:
        caption = clip.model.encode_text(clip.tokenizer([item.caption]), normalize=True)
        negative = clip.model.encode_text(clip.tokenizer([item.negative]), normalize=True)
        image = clip.model.encode_image(clip.preprocess(Image.open(images / item.image))[None], normalize=True)
        yield float((image @ caption.T - image @ negative.T).item())


def stage_margins(artifact: Artifact) -> dict[tuple[str, str], float]:
    rows = pq.read_table(artifact.file("items/clip/sugarcrepe.parquet"), columns=["set", "item", "margin"]).to_pylist()
    return {(row["set"], row["item"]): row["margin"] for row in rows}


def run(options: argparse.Namespace, folder: Path) -> int:
    torch.set_num_threads(1)  # more would spend CPU time on waiting for each other, most of it item by item
    annotations = find(options.annotations)
    items = read_items(annotations)
    names = list(dict.fromkeys(item.image for item in items))
    texts = {text for item in items for text in (item.caption, item.negative)}
    draw_images(folder / "images", names)
    os.environ["DEGLA_HOME"] = str(folder / "home")
    ref = ModelRef(architecture=options.model, weights="random")
    clip = load(ref)
    sample = Random(0).sample(items, options.sample)
    half = len(sample) // 2
    list(one_by_one(clip, folder / "images", sample[:2]))  # the first calls of a model are slower

    single_cpu, margins = 0.0, []
    start = time.process_time()
    margins += one_by_one(clip, folder / "images", sample[:half])
    single_cpu += time.process_time() - start

    paths = {"annotations": str(annotations), "images": str(folder / "images")}
    benchmarks = [{"name": "sugarcrepe", "paths": paths}]
    config = EvaluateConfig(benchmarks=benchmarks, models={"clip": ref.model_dump()}, trained=False)
    start = time.process_time()
    artifact = evaluate(config, {}, folder / "out")
    stage_cpu = time.process_time() - start

    start = time.process_time()
    margins += one_by_one(clip, folder / "images", sample[half:])
    single_cpu += time.process_time() - start

    model, found = json.loads((folder / "out/models/clip.json").read_text()), stage_margins(artifact)
    apart = max(abs(margin - found[item.subset, item.key]) for item, margin in zip(sample, margins, strict=True))
    encoded = model["encoded_images"], model["encoded_texts"]
    single, ours = single_cpu / len(sample), stage_cpu / len(items)
    print(f"{'':>14} {'items':>6} {'images':>7} {'texts':>7} {'CPU s':>8} {'CPU ms an item':>15}")
    print(f"{'item by item':>14} {len(sample):6,} {len(sample):7,} {2 * len(sample):7,} {single_cpu:8.1f} {1000 * single:15.1f}")
    print(f"{'one pass':>14} {len(items):6,} {encoded[0]:7,} {encoded[1]:7,} {stage_cpu:8.1f} {1000 * ours:15.1f}")
    print(f"distinct: {len(names):,} images, {len(texts):,} texts; margins differ by {apart:.1e} at most")
    alike = apart < NEAR and encoded == (len(names), len(texts)) and artifact.counts["items"] == len(items)
    counted = f"images={encoded[0]} texts={encoded[1]} items={len(items)}"
    print(f"evaluate_pass ratio={single / ours:.1f} cpu_s={stage_cpu:.1f} {counted} same={alike}")
    return 0 if alike else 1


def find(given: Path | None) -> Path:
    """The folder given, the catalog's, or the tests' one, whichever is there first."""
    card = load_card("sugarcrepe").files["annotations"]
    places = [given] if given else [data_root() / card.path, TEST_DATA / "sugarcrepe"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        sys.exit("the official files are not there: python -m degla.catalog get sugarcrepe, or give --annotations FOLDER")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, help="the folder of SugarCrepe's seven files")
    parser.add_argument("--model", default="ViT-B-32-quickgelu", help="an architecture of open_clip, with random weights")
    parser.add_argument("--sample", type=int, default=40, help="items to score one by one")
    with tempfile.TemporaryDirectory() as folder:
        return run(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    sys.exit(main())
