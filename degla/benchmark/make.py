"""Make a benchmark of a source: exclude images, let the stages make and judge negatives, draw items, copy their images.

The stages work in `FOLDER/work` and resume there if the command was killed; the folder goes once the benchmark is whole.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from degla.artifacts import Artifact, check_writable
from degla.benchmark.draw import Candidate, draw
from degla.benchmark.excluded import excluded_images
from degla.benchmark.folder import FACTS, IMAGES, BenchmarkFolder, Item, write_folder, write_lines
from degla.errors import ConfigError, DataError, first_few
from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan, run_stage
from degla.filter.audit.accuracy import audit
from degla.filter.audit.balance import balance
from degla.filter.audit.targets import read_corpus
from degla.filter.audit.word_pairs import WordPairs, read_pairs
from degla.filter.config import FilterConfig
from degla.generate import GenerateConfig
from degla.images import open_image
from degla.negative_types import NEGATIVE_TYPES
from degla.outcomes.ref import NAME
from degla.prepare import PrepareConfig
from degla.sources.folders import ImageFolders
from degla.sources.listing import ListedImage, Listing, write_listing
from degla.sources.names import image_key
from degla.sources.options import SourceOptions
from degla.sources.source import open_source

logger = logging.getLogger(__name__)

NUM_ITEMS = 500
TARGET = 0.6
"""Blind accuracy of the pairs that items are drawn from, as `filter.audit.target`."""

_WORK, _LISTING, _CAPTIONS = "work", "source.arrow", "captions.jsonl"
_SHOWN = ("JPEG", "PNG", "WEBP", "GIF")  # what every browser shows; others are stored as PNG


@dataclass(frozen=True)
class MakeOptions:
    """What the command takes."""

    source: Path
    out: Path
    images: Path | None = None
    """Folder of the images; None if the captions' files hold them, or lie beside them."""
    items: int = NUM_ITEMS
    exclude: Sequence[Path] = ()
    target: float = TARGET
    corpus: Path | None = None
    """Captions for the text-only classifier to learn from, where the source has few."""
    seed: int = 0
    name: str = ""
    """Of the card; empty takes the folder's."""
    overrides: Sequence[str] = ()
    """Of prepare, generate and filter; `prepare.options` also say how the source is read."""


def make(options: MakeOptions) -> BenchmarkFolder:
    """Make the benchmark.

    Raises:
        ConfigError: the name cannot name files, or a setting is wrong.
        DataError: the folder holds a benchmark; there are no images, all are excluded, or the captions give too few items.
        MissingInputError: the source, or what is to be excluded, does not exist.
    """
    name = options.name or options.out.resolve().name
    if not NAME.match(name):
        raise ConfigError(f"name {name!r}: letters, digits, '_', '-' and '.' can name files; set --name")
    if (options.out / FACTS).exists():
        raise DataError(f"{options.out} holds a benchmark already; name another folder")
    work = options.out / _WORK
    check_writable(work)
    experiment = _experiment(options, work)
    listing = _listing(options, experiment, work)
    chosen = _choose_images(options, listing, work)
    corpus = None if options.corpus is None else read_corpus(options.corpus)
    artifact = _run_stages(experiment)
    candidates = list(_candidates(artifact))
    if corpus is not None:
        candidates = _balanced(candidates, _pairs(artifact, candidates, corpus), options.target)
    drawn, undecodable = _draw_with_images(options, candidates, listing)
    items = _store(options.out, drawn, listing)
    facts = chosen | {
        "images_undecodable": len(undecodable),
        "source": options.source.name,
        "target": options.target,
        "seed": options.seed,
        "items": len(items),
        "images": len({item.image for item in items}),
        "by_type": dict(Counter(item.type for item in items)),
        "candidates": dict(Counter(each.type for each in candidates)),
        "text_only": [row.as_json() for row in audit(_pairs(artifact, drawn, corpus))],
    }
    made = write_folder(options.out, name, items, facts)
    shutil.rmtree(work, ignore_errors=True)
    return made


def _experiment(options: MakeOptions, work: Path) -> Experiment:
    experiment = Experiment(
        name="benchmark",
        root=str(work.absolute()),
        prepare=PrepareConfig(dataset="photos", images="none", captions=str((work / _CAPTIONS).absolute())),
        generate=GenerateConfig(per_caption=14, max_per_type=10),  # a large choice, so that the target leaves enough
        filter=FilterConfig(max_per_type=0),
    )
    return experiment.with_overrides([f"filter.audit.target={options.target}", *options.overrides])


def _listing(options: MakeOptions, experiment: Experiment, work: Path) -> Listing:
    source = open_source(options.source, SourceOptions.model_validate(experiment.prepare.options))
    folder = options.images or (None if source.recognised.holds_images else _images_beside(options.source))
    write_listing(source, ImageFolders([folder]) if folder else None, work / _LISTING)
    listing = Listing(work / _LISTING)
    if not listing.has_bytes:
        raise DataError(f"{options.source}: none of its images was found; give their folder with --images")
    return listing


def _images_beside(source: Path) -> Path:
    """The folder `images` beside the file, or the file's own."""
    folder = source if source.is_dir() else source.parent
    return folder / IMAGES if (folder / IMAGES).is_dir() else folder


def _choose_images(options: MakeOptions, listing: Listing, work: Path) -> dict[str, int]:
    """Write the captions of the images that may be used; returns counts."""
    excluded = excluded_images(options.exclude)
    known = missing = kept = captions = 0
    rows = []
    for image in listing.read(0, len(listing)):
        known += 1
        if _is_excluded(image, excluded):
            continue
        if image.bytes is None:
            missing += 1
            continue
        kept += 1
        captions += len(image.captions)
        rows += [{"image": image.image, "caption": caption} for caption in image.captions]
    num_excluded = known - kept - missing
    logger.info("%s images: %s excluded, %s without a file, %s left", *(f"{n:,}" for n in (known, num_excluded, missing, kept)))
    if not rows:
        what = "are excluded" if num_excluded == known else "are excluded or have no file"
        raise DataError(f"{options.source}: all {known:,} images {what}; give images that the model was not trained on")
    write_lines(work / _CAPTIONS, rows)
    return {"images_known": known, "images_excluded": num_excluded, "images_missing": missing, "captions": captions}


def _is_excluded(image: ListedImage, excluded: set[str]) -> bool:
    return not excluded.isdisjoint(map(image_key, (image.image, image.name)))


def _run_stages(experiment: Experiment) -> Artifact:
    artifact = None
    for stage in ("prepare", "generate", "filter"):
        artifact = run_stage(plan(experiment, upto=stage)[stage], "python -m degla.benchmark make")
    assert artifact is not None
    return artifact


def _candidates(artifact: Artifact) -> Iterator[Candidate]:
    with pq.ParquetFile(artifact.file("training.parquet")) as file:
        for batch in file.iter_batches(columns=["image_id", "caption", "negatives"]):
            for row in batch.to_pylist():
                for each in row["negatives"]:
                    yield Candidate(row["image_id"], row["caption"], each["text"], each["type"], each["generator"])


def _draw_with_images(
    options: MakeOptions, candidates: Sequence[Candidate], listing: Listing
) -> tuple[list[Candidate], set[str]]:
    """The items, and the images that were drawn and do not decode: others take their place."""
    seen: dict[str, bool] = {}  # image to whether it decodes
    while True:
        usable = [each for each in candidates if seen.get(each.image, True)]
        drawn = draw(usable, options.items, options.seed)
        if len(drawn) < options.items:
            raise DataError(_too_few(options.items, drawn, usable))
        new = {each.image for each in drawn} - seen.keys()
        if not new:
            return drawn, {name for name, decodes in seen.items() if not decodes}
        seen |= {image.image: _decodes(image) for image in listing.read(0, len(listing)) if image.image in new}


def _decodes(image: ListedImage) -> bool:
    try:
        open_image(image.bytes.read() if image.bytes else b"", at_least=1)
    except (OSError, ValueError) as error:
        logger.warning("image %s does not decode (%s); no item shows it", image.name, error)
        return False
    return True


def _too_few(wanted: int, drawn: Sequence[Candidate], candidates: Sequence[Candidate]) -> str:
    by_type = Counter(each.type for each in candidates)
    listed = ", ".join(f"{name} {by_type[name]:,}" for name in NEGATIVE_TYPES)
    return (
        f"the captions give {len(drawn):,} items of the {wanted:,} that were asked for: one of a type for each caption, of the"
        f" pairs {listed}. Give more captions, --items {len(drawn)}, or a higher --target."
    )


def _balanced(candidates: list[Candidate], pairs: WordPairs, target: float) -> list[Candidate]:
    kept = balance(pairs, target)
    logger.info("the corpus tells more: %s of %s pairs are left", f"{kept.sum():,}", f"{len(kept):,}")
    return [each for each, stays in zip(candidates, kept, strict=True) if stays]


def _pairs(artifact: Artifact, chosen: Sequence[Candidate], corpus: Sequence[tuple[str, str]] | None) -> WordPairs:
    """The pairs for the text-only classifier, which learns from the corpus, or from all captions that were prepared."""
    ids: dict[tuple[str, str], int] = {}
    with pq.ParquetFile(artifact.file("training.parquet")) as file:
        for batch in file.iter_batches(columns=["image_id", "caption"]):
            for image, caption in zip(batch["image_id"].to_pylist(), batch["caption"].to_pylist(), strict=True):
                ids.setdefault((image, caption), len(ids))
    captions = {
        "caption_id": list(ids.values()),
        "image_id": [image_key(image) for image, _ in ids],
        "caption": [caption for _, caption in ids],
    }
    negatives = {
        "caption_id": [ids[each.image, each.caption] for each in chosen],
        "type": [each.type for each in chosen],
        "generator": [each.generator for each in chosen],
        "text": [each.negative for each in chosen],
        "candidate": list(range(len(chosen))),
        "attempt": [0] * len(chosen),
    }
    return read_pairs([pa.RecordBatch.from_pydict(captions)], [pa.RecordBatch.from_pydict(negatives)], corpus)


def _store(out: Path, drawn: Sequence[Candidate], listing: Listing) -> list[Item]:
    """Copy the images of the items; returns the items in the order of their ids."""
    wanted = {each.image for each in drawn}
    names: dict[str, str] = {}
    taken: set[str] = set()
    for image in listing.read(0, len(listing)):
        if image.image in wanted and image.bytes is not None:
            names[image.image] = _store_image(out / IMAGES, image, image.bytes.read(), taken)
    digits = len(str(len(drawn)))
    return [
        Item(f"{number:0{digits}d}", names[each.image], each.caption, each.negative, each.type, each.generator)
        for number, each in enumerate(drawn, 1)
    ]


def _store_image(folder: Path, image: ListedImage, data: bytes, taken: set[str]) -> str:
    """Write the image under its own name, as far as that is free, and with the ending of its format."""
    with Image.open(BytesIO(data)) as opened:
        kind = opened.format or ""
    if kind not in _SHOWN:
        buffer = BytesIO()
        open_image(data).save(buffer, "PNG")
        data, kind = buffer.getvalue(), "PNG"
    stem = re.sub(r"[^\w.-]", "_", Path(image.name.replace("\\", "/")).stem) or "image"
    ending = ".jpg" if kind == "JPEG" else f".{kind.lower()}"
    name, number = f"{stem}{ending}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}{ending}"
    taken.add(name.casefold())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return name


def made_lines(made: BenchmarkFolder) -> list[str]:
    """What was made, for the console."""
    facts: Mapping[str, Any] = made.facts
    blind = facts["text_only"][0]
    types = ", ".join(f"{name} {facts['by_type'].get(name, 0):,}" for name in NEGATIVE_TYPES)
    few = [name for name in NEGATIVE_TYPES if not facts["by_type"].get(name)]
    counts = {"excluded": "excluded", "without a file": "missing", "undecodable": "undecodable"}
    left_out = [f"{facts[f'images_{name}']:,} {what}" for what, name in counts.items() if facts[f"images_{name}"]]
    return [
        f"images: {facts['images_known']:,}; left out: {', '.join(left_out) or 'none'}",
        f"items: {facts['items']:,} on {facts['images']:,} images: {types}",
        *([f"no item of {first_few(few)}: the captions give none"] if few else []),
        f"accuracy of a text-only classifier: {100 * blind['blind_accuracy']:.1f} % ({100 * blind['low']:.1f} to"
        f" {100 * blind['high']:.1f}; 50 = no artefact)",
        f"check the items:  python -m degla.benchmark check {made.path} --reviewer NAME",
        f"score models:     evaluate.benchmarks=[{{name: {made.card_path}}}]",
    ]
