"""How fast training images are made, against the usual way, and how long training waits for its batches.

    python benchmarks/data_loader.py [--images FOLDER] [--count 120] [--rounds 7] [--model small-photo-clip] [--batch 32]
                                     [--steps 15]

The usual way is open_clip's transform for training on the files of a folder: Pillow decodes, RandomResizedCrop (bicubic), float,
normalised. Ours reads prepare's store, crops and scales to bytes; normalising is left to the device. The changes are made one
after the other, all variants in turns on the same images in one process, by its CPU time. Files are in the system's cache.

Without --images it draws photos of 640 x 480 pixels: noise of all scales and hard edges, which as JPEG of quality 97 take as
many bytes as COCO's photos do (156 kB; COCO: 160), and scaled down as many as those scaled down (27 kB; COCO: 29), so that they
cost as much to decode. With --images, JPEG files of the folder are taken as they are.

How far the pixels are from cropping the original is the mean absolute difference, of 255, to the same part of the original cut
and scaled by Pillow at once. Waiting is measured in a run of the train stage (one rank) between its first and last record.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import torch
from PIL import Image

from benchmarks.generate_rules import grammar
from degla.artifacts import Artifact, building
from degla.filter import FilterConfig
from degla.images import IMAGES_FILE, ImageStore, read_images
from degla.negative_types import NEGATIVE_TYPES
from degla.prepare import PrepareConfig
from degla.prepare import run as prepare
from degla.prepare.images import store_image
from degla.schemas import CAPTIONS, TRAINING, read_table, write_table
from degla.text_files import read_json_lines
from degla.train import TrainConfig
from degla.train import run as train
from degla.train.batches.pixels import Crop
from degla.train.batches.streams import Stream, stream

SIZE = (224, 224)
SCALE = (0.9, 1.0)
CAPTIONS_EACH = 5
_OCTAVES, _DECAY = (4, 8, 16, 32, 64, 128, 256, 512), 0.72


def draw_photo(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """Noise of all scales in correlated colours, and discs."""
    random, pixels = np.random.default_rng(seed), np.zeros((height, width, 3), np.float32)
    for number, cells in enumerate(_OCTAVES):
        shape = (max(3, cells * height // width), cells)
        noise = 0.8 * random.normal(size=(*shape, 1)) + 0.45 * random.normal(size=(*shape, 3))
        planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(noise, 2, 0)]
        scaled = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
        pixels += _DECAY**number * np.stack(scaled, axis=2)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(8):
        x, y, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(20, 120)
        inside = ((columns - x) ** 2 + (rows - y) ** 2 < radius**2)[..., None]
        pixels = np.where(inside, 0.6 * pixels + 1.2 * random.normal(size=3), pixels)
    pixels = (pixels - pixels.mean()) / pixels.std() * 55 + 115
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_photos(folder: Path, count: int) -> None:
    folder.mkdir()
    for seed in range(count):
        draw_photo(seed).save(folder / f"{seed:04d}.jpg", quality=97)


def captions_of(names: list[str], path: Path) -> Path:
    texts = (caption for caption, _ in grammar(0))
    rows = [f"{name}\t{caption}\n" for name in names for caption in islice(texts, CAPTIONS_EACH)]
    path.write_text("image\tcaption\n" + "".join(rows))
    return path


class _Filtered(FilterConfig):
    """The filter's settings, of a table that was written here."""

    needs = ("prepare",)


def negatives_of(prepared: Artifact, folder: Path) -> Artifact:
    """A filter artifact in which every caption has a negative of each type."""
    texts = (caption for caption, _ in grammar(1))
    captions = read_table(prepared.file("captions.parquet"), CAPTIONS, ["caption_id", "image_id", "caption"]).to_pylist()
    lineage = {"generator": "x", "candidate": 0, "attempt": 1, "seed": 0, "model_sha": "0", "prompt_sha": None}
    rows = [row | {"negatives": [{"text": next(texts), "type": t, **lineage} for t in NEGATIVE_TYPES]} for row in captions]
    with building(_Filtered(), {"prepare": prepared}, folder) as build:
        write_table(folder / "training.parquet", pa.Table.from_pylist(rows, TRAINING), TRAINING)
        return build.finish({}, ["training.parquet"])


def variants(paths: list[Path], jpeg: Path, raw: Path) -> dict[str, Callable[[int], object]]:
    """What makes the image of a number ready, by name; from the usual way to ours."""
    usual = open_clip.image_transform(SIZE, is_train=True, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD)
    to_float = usual.transforms[-2:]
    encoded = read_images(jpeg, ["image"])["image"]
    store, raw_store, crop = ImageStore(jpeg), ImageStore(raw), Crop(SIZE, SCALE, 0)

    def floats(number: int) -> torch.Tensor:
        pixels = crop(store.pixels(number), 0, number)
        for step in to_float:
            pixels = step(pixels)
        return pixels

    return {
        "usual: originals, Pillow, floats": lambda number: usual(Image.open(paths[number])),
        "+ the store: short side 256, JPEG": lambda number: usual(Image.open(pa.BufferReader(encoded[number].as_buffer()))),
        "+ decoded by libjpeg-turbo directly": lambda number: usual(Image.fromarray(store.pixels(number))),
        "+ scaled by PyTorch's filter": floats,
        "+ bytes to the device = ours": lambda number: crop(store.pixels(number), 0, number),
        "ours with image_format=raw": lambda number: crop(raw_store.pixels(number), 0, number),
    }


def milliseconds(make: dict[str, Callable[[int], object]], count: int, rounds: int) -> dict[str, list[float]]:
    """CPU time per image of each variant and round; the variants take turns, each round beginning with another one."""
    names, times = list(make), {name: [] for name in make}
    for name in names:
        make[name](0)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            for image in range(count):
                make[name](image)
            times[name].append(1000 * (time.process_time() - start) / count)
    return times


def ratio(times: dict[str, list[float]], name: str) -> float:
    """How many times as fast as the first variant: the median of the rounds' ratios."""
    return statistics.median(usual / own for usual, own in zip(next(iter(times.values())), times[name], strict=True))


def pixel_difference(paths: list[Path], store: ImageStore) -> float:
    crop, differences = Crop(SIZE, SCALE, 0), []
    for number, path in enumerate(paths):
        original, stored = Image.open(path).convert("RGB"), store.pixels(number)
        top, left, bottom, right = crop.random_box(*stored.shape[:2], stream(0, Stream.CROP, 0, number))
        across, down = original.width / stored.shape[1], original.height / stored.shape[0]
        box = (left * across, top * down, right * across, bottom * down)
        expected = np.asarray(original.resize(SIZE[::-1], Image.Resampling.BICUBIC, box=box), int)
        differences.append(np.abs(crop(stored, 0, number) - expected).mean())
    return float(np.mean(differences))


def waiting(inputs: dict[str, Artifact], options: argparse.Namespace, folder: Path) -> tuple[float, float, float]:
    """Share of a run's time that it waits for batches, images a second, and seconds a step."""
    config = TrainConfig(
        model={"architecture": options.model, "weights": "random"},
        batch_size=options.batch,
        steps=options.steps,
        warmup_steps=1,
        log_every=1,
        checkpoint_every=10 * options.steps,
    )
    artifact = train(config, inputs, folder)
    (_, first), *_, (_, last) = read_json_lines(artifact.path / "speed.jsonl")
    seconds, waited = (last[name] - first[name] for name in ("train/seconds", "train/data_wait_seconds"))
    steps = last["step"] - first["step"]
    return waited / seconds, steps * options.batch / seconds, seconds / steps


def run(options: argparse.Namespace, folder: Path) -> None:
    torch.set_num_threads(1)
    images = options.images or folder / "photos"
    if options.images is None:
        draw_photos(images, options.count)
    paths = sorted(images.glob("*.jpg"))[: options.count]
    settings = {
        "dataset": "photos",
        "images": str(images),
        "captions": captions_of([p.name for p in paths], folder / "captions.tsv"),
    }
    settings["captions"] = str(settings["captions"])
    jpeg, raw = (
        prepare(PrepareConfig(**settings, image_format=name), {}, folder / f"prepare-{name}") for name in ("jpeg", "raw")
    )
    files = [jpeg.file(IMAGES_FILE), raw.file(IMAGES_FILE)]
    start = time.process_time()
    for path in paths:
        store_image(path.read_bytes(), 256)
    print(f"made once: {len(paths) / (time.process_time() - start):.0f} images per core and second; bytes per image:", end=" ")
    sizes = [sum(path.stat().st_size for path in each) / len(paths) for each in (paths, files[:1], files[1:])]
    print("original {:,.0f}, store {:,.0f}, raw store {:,.0f}".format(*sizes))
    differences = [pixel_difference(paths, ImageStore(path)) for path in files]
    print("mean difference to cropping the original, of 255: store {:.2f}, raw store {:.2f}".format(*differences))

    times = milliseconds(variants(paths, *files), len(paths), options.rounds)
    print(f"\n{'':38} {'ms':>6} {'images/s':>9} {'ratio':>6}   CPU, one core, {len(paths)} images, {options.rounds} rounds")
    for name, each in times.items():
        middle = statistics.median(each)
        print(f"{name:38} {middle:6.2f} {1000 / middle:9,.0f} {ratio(times, name):6.2f}")
    *_, ours, with_raw = times
    share, speed, step = waiting({"prepare": jpeg, "filter": negatives_of(jpeg, folder / "filter")}, options, folder / "train")
    print(
        f"\ntraining {options.model}, batch {options.batch}: {step:.2f} s a step, {speed:,.0f} images/s,"
        f" {100 * share:.1f} % of it waiting for batches"
    )
    print(f"data_loader ratio={ratio(times, ours):.2f} raw_ratio={ratio(times, with_raw):.2f} wait_fraction={share:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of JPEG files")
    parser.add_argument("--count", type=int, default=120, help="images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default="small-photo-clip", help="to train: an architecture, with random weights")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=15)
    with tempfile.TemporaryDirectory() as folder:
        run(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
