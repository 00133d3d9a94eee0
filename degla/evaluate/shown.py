"""What the report's page shows of items: the texts of all, and small pictures of those that say most about the models.

`shown/<benchmark>.parquet` (`degla.schemas.SHOWN`) has the texts and image ids of every item; `pictures.parquet` (`PICTURES`)
has thumbnails, the best first, until `evaluate.pictures` megabytes are full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from degla.errors import DataError
from degla.evaluate.benchmark import (
    Benchmark,
    BenchmarkImage,
    BenchmarkSet,
    ChoiceSet,
    LabelledRetrievalSet,
    MatchSet,
    ParaphraseSet,
    RetrievalSet,
    UnreadableImage,
)
from degla.evaluate.config import EvaluateConfig
from degla.images import thumbnail
from degla.outcomes.items import ITEMS
from degla.outcomes.outcome import Outcome, unit
from degla.outcomes.reading import read_texts
from degla.outcomes.telling import most_telling
from degla.schemas import PICTURES, SHOWN, read_table, write_table

PICTURES_FILE = "pictures.parquet"
_AT_ONCE = 64  # pictures made between two looks at the size
_THREADS = 4  # decoding and encoding leave Python's lock

Images = dict[tuple[str, str], BenchmarkImage]
"""Benchmark and id to image."""


def shown_file(benchmark: str) -> str:
    """The texts and image ids of a benchmark's items."""
    return f"shown/{benchmark}.parquet"


def write_shown(
    config: EvaluateConfig, benchmarks: Mapping[str, Benchmark], brought: Mapping[str, Sequence[str]], out_dir: Path
) -> list[str]:
    """Write the files of the page; returns their names.

    Args:
        config: `outcomes` name texts and images of what was brought; `pictures` limits the pictures.
        benchmarks: title to each benchmark that models of the run were scored on.
        brought: title to the models whose outcomes somebody brought.
        out_dir: the artifact in the making; its items are there.

    Raises:
        DataError: texts that were brought are of an unknown column.
    """
    rows, images = _of_benchmarks(benchmarks)
    for ref in config.outcomes:
        for title, found in read_texts(ref).items():
            known = {(row["set"], row["item"]) for row in rows.get(title, [])}
            names = dict.fromkeys(name for row in found for name in row["images"])
            paths = {name: path for name in names if (path := Path(ref.images).expanduser() / name).is_file()}
            images |= {(title, name): BenchmarkImage(name, path) for name, path in paths.items()}
            there = ({**row, "images": [name for name in row["images"] if name in paths]} for row in found)
            rows.setdefault(title, []).extend(row for row in there if (row["set"], row["item"]) not in known)
    files = []
    for title, own in rows.items():
        files.append(shown_file(title))
        write_table(out_dir / files[-1], pa.Table.from_pylist(own, schema=SHOWN), SHOWN)
    models = {title: [*(config.model_names if title in benchmarks else ()), *brought.get(title, ())] for title in rows}
    order = _best_first(out_dir, models, rows)
    pictures = _pictures(images, [key for key in dict.fromkeys(order) if key in images], 1e6 * config.pictures)
    write_table(out_dir / PICTURES_FILE, pa.Table.from_pylist(pictures, schema=PICTURES), PICTURES)
    return [*files, PICTURES_FILE]


def _of_benchmarks(benchmarks: Mapping[str, Benchmark]) -> tuple[dict[str, list[dict[str, Any]]], Images]:
    rows: dict[str, list[dict[str, Any]]] = {}
    images: Images = {}
    for title, benchmark in benchmarks.items():
        rows[title] = []
        for each in benchmark.sets:
            ids = [image.id for image in each.images]
            images |= {(title, image.id): image for image in each.images}
            rows[title] += [
                {"set": each.name, "item": item, "texts": list(texts), "right": right, "images": [ids[one] for one in places]}
                for item, texts, right, places in _items(each)
            ]
    return rows, images


def _items(each: BenchmarkSet) -> Iterator[tuple[str, Sequence[str], int, Sequence[int]]]:
    """Id, texts, how many of them are right, and places of images of each item, as scoring names the items."""
    if isinstance(each, ChoiceSet):
        yield from ((item.id, item.candidates, 1, (item.image,)) for item in each.items)
    elif isinstance(each, ParaphraseSet):
        yield from ((item.id, (*item.captions, item.negative), 2, (item.image,)) for item in each.items)
    elif isinstance(each, MatchSet):
        yield from ((item.id, item.captions, len(item.captions), item.images) for item in each.items)
    elif isinstance(each, RetrievalSet | LabelledRetrievalSet):
        captions: dict[int, list[str]] = {}
        for number, (text, image) in enumerate(zip(each.texts, each.text_image.tolist(), strict=True)):
            captions.setdefault(image, []).append(text)
            yield f"{each.images[image].id}#{number}", (text,), 1, (image,)
        yield from ((each.images[image].id, own, len(own), (image,)) for image, own in captions.items())
    else:
        yield from ((image.id, (), 0, (place,)) for place, image in enumerate(each.images))


def _best_first(
    out_dir: Path, models: Mapping[str, Sequence[str]], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[tuple[str, str]]:
    """Benchmark and id of the images of the items, the most telling first, with repeats."""
    images = {(title, row["set"], row["item"]): row["images"] for title, own in rows.items() for row in own}
    every = [(model, title) for title in rows for model in models[title]]
    outcomes = [Outcome(*each, read_table(out_dir / unit(*each)[0], ITEMS)) for each in every]
    for key in most_telling(outcomes):
        yield from ((key.benchmark, image) for image in images.get((key.benchmark, key.set, key.item), ()))


def _pictures(images: Images, wanted: Sequence[tuple[str, str]], most_bytes: float) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    size, left = 0, iter(wanted)
    with ThreadPoolExecutor(_THREADS) as pool:
        while size < most_bytes and (batch := list(islice(left, _AT_ONCE))):
            for key, picture in zip(batch, pool.map(_picture, [images[key] for key in batch]), strict=True):
                size += len(picture or b"")
                if picture is not None and size <= most_bytes:
                    made.append({"benchmark": key[0], "image": key[1], "picture": picture})
    return made


def _picture(image: BenchmarkImage) -> bytes | None:
    """None if it cannot be read; the notes of its benchmark say so."""
    try:
        return thumbnail(image.open())
    except (UnreadableImage, DataError, OSError):
        return None
