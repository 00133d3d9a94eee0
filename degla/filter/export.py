"""Exports of the kept negatives: the released DeGLA JSON form, and a dataset folder as the Hugging Face hub knows it.

    python -m degla.filter export ARTIFACT_OR_EXPERIMENT --format degla --out negatives.json
    python -m degla.filter export ARTIFACT_OR_EXPERIMENT --format hf --out FOLDER

Reads finished filter artifacts only, a piece at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from degla.artifacts import MANIFEST, Artifact, check_writable
from degla.errors import DataError, MissingInputError
from degla.experiments.experiment import load_experiment, preset_names
from degla.experiments.plan import plan
from degla.files import atomic_path
from degla.filter.dataset_card import CardFacts, dataset_card
from degla.schemas import TRAINING, check_table

NUM_NEGATIVES = 4
"""Negatives of a caption that DeGLA trains with; its released file has no caption with fewer."""

_BATCH_ROWS = 16_384
_SHARD_ROWS = 100_000  # captions in one file of a dataset folder


@dataclass
class Exported:
    """What was written, and what was not."""

    captions: int = 0
    negatives: int = 0
    left_out: int = 0
    """Captions with fewer than four negatives (format `degla`)."""
    by_type: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(type, generator) to negatives."""
    without_negatives: int = 0
    """Captions written without any (format `hf`)."""


def export_degla(artifact: Artifact, out: Path) -> Exported:
    """Write a JSON list of `{image_id, original, enhanced}`, an object a line, and `<out>.left_out.jsonl`.

    Captions with fewer than four negatives are left out; the second file names each with its number of negatives. Image
    ids that are numbers are written as numbers.

    Raises:
        DataError: the artifact is broken, no caption has four negatives, or `out` exists.
    """
    for path in (out, left_out_path(out)):
        if path.exists():
            raise DataError(f"{path} exists already; name another place, or remove it")
    check_writable(out.absolute().parent)
    done = Exported()
    with atomic_path(out) as path, atomic_path(left_out_path(out)) as left_path:
        with path.open("w", encoding="utf-8") as file, left_path.open("w", encoding="utf-8") as left:
            file.write("[")
            for row in _rows(artifact):
                if len(row["negatives"]) < NUM_NEGATIVES:
                    done.left_out += 1
                    left.write(_json(_left_out(row)) + "\n")
                else:
                    file.write((",\n" if done.captions else "\n") + _json(_degla_entry(row)))
                    _count(done, row)
            file.write("\n]\n")
        if not done.captions:
            raise DataError(
                f"none of the {done.left_out:,} captions has {NUM_NEGATIVES} negatives; raise generate.per_caption or"
                f" generate.max_per_type, or export with --format hf"
            )
    return done


def export_dataset(artifact: Artifact, out: Path) -> Exported:
    """Write a folder with `README.md` (a dataset card) and `data/train-*.parquet`, whole or not at all.

    Every caption is in it, with the columns of `degla.schemas.TRAINING`.

    Raises:
        DataError: the artifact is broken, or `out` is a file or a folder that holds something.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise DataError(f"{out} exists already and is not empty; name another place, or remove it")
    done = Exported()
    with _folder_in_one_piece(out) as folder:
        _write_shards(artifact, folder / "data", done)
        facts = CardFacts.read(artifact, done.captions, done.negatives, done.without_negatives, done.by_type)
        (folder / "README.md").write_text(dataset_card(facts), encoding="utf-8")
    return done


def left_out_path(out: Path) -> Path:
    """Where `export_degla` names the captions that it left out."""
    return out.with_name(f"{out.name}.left_out.jsonl")


def find_artifact(target: str, overrides: Sequence[str] = ()) -> Artifact:
    """The finished filter artifact in this folder, or of this experiment.

    Raises:
        MissingInputError: there is no such folder or experiment, it is of another stage, or it is not finished.
    """
    folder = Path(target)
    if is_experiment(target):
        stage_plan = plan(load_experiment(target, overrides), upto="filter")["filter"]
        if not stage_plan.finished:
            raise MissingInputError(
                f"the filter stage of {target} is not finished ({stage_plan.path}). Run: python -m degla.filter {target}"
            )
        folder = stage_plan.path
    artifact = Artifact.load(folder.absolute())
    if artifact.stage != "filter":
        raise MissingInputError(f"{folder} is an artifact of {artifact.stage}; what is exported is one of filter")
    return artifact


def is_experiment(target: str) -> bool:
    """Whether it is an experiment by name or file, and no artifact or other folder."""
    folder = Path(target)
    return not (folder / MANIFEST).is_file() and (target in preset_names() or not folder.is_dir())


def command(arguments: Sequence[str]) -> None:
    """`export ...` of the command line."""
    parser = argparse.ArgumentParser(prog="python -m degla.filter export", description="Write what the filter kept for others.")
    parser.add_argument("target", help="the folder of a filter artifact, or an experiment by name or file")
    parser.add_argument("--format", choices=["degla", "hf"], required=True, help="DeGLA's JSON, or a dataset folder with a card")
    parser.add_argument("--out", type=Path, required=True, help="the file (degla) or folder (hf) to write")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="of the experiment")
    options = parser.parse_args(arguments)
    artifact = find_artifact(options.target, options.override)
    done = (export_degla if options.format == "degla" else export_dataset)(artifact, options.out)
    print(f"{done.captions:,} captions with {done.negatives:,} negatives: {options.out}")
    if options.format == "degla":
        left = left_out_path(options.out)
        print(f"{done.left_out:,} captions with fewer than {NUM_NEGATIVES} negatives were left out, named in {left}")
    else:
        print(f"{done.without_negatives:,} of the captions have no negatives")


def _rows(artifact: Artifact) -> Iterator[dict[str, Any]]:
    for batch in _batches(artifact):
        yield from batch.to_pylist()


def _batches(artifact: Artifact) -> Iterator[pa.RecordBatch]:
    path = artifact.file("training.parquet")
    check_table(path, TRAINING)
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH_ROWS, columns=TRAINING.names)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}. Run the filter stage again.") from error


def _degla_entry(row: dict[str, Any]) -> dict[str, Any]:
    texts = [each["text"] for each in row["negatives"]]
    return {"image_id": _number_or_name(row["image_id"]), "original": row["caption"], "enhanced": texts}


def _left_out(row: dict[str, Any]) -> dict[str, Any]:
    return {"caption_id": row["caption_id"], "image_id": _number_or_name(row["image_id"]), "negatives": len(row["negatives"])}


def _number_or_name(image_id: str) -> int | str:
    is_number = image_id.isascii() and image_id.isdecimal() and str(int(image_id)) == image_id
    return int(image_id) if is_number else image_id


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _count(done: Exported, row: dict[str, Any]) -> None:
    done.captions += 1
    done.negatives += len(row["negatives"])
    done.without_negatives += not row["negatives"]
    done.by_type.update((each["type"], each["generator"]) for each in row["negatives"])


def _write_shards(artifact: Artifact, folder: Path, done: Exported) -> None:
    folder.mkdir()
    total = pq.read_metadata(artifact.file("training.parquet")).num_rows
    num_shards = max(1, -(-total // _SHARD_ROWS))
    rest = iter(_batches(artifact))
    held = pa.Table.from_batches([], TRAINING)
    for number in range(num_shards):
        with pq.ParquetWriter(folder / f"train-{number:05d}-of-{num_shards:05d}.parquet", TRAINING, compression="zstd") as writer:
            space = _SHARD_ROWS
            while space and (held.num_rows or (held := _next_table(rest, done)).num_rows):
                writer.write_table(held.slice(0, space))
                held, space = held.slice(space), max(0, space - held.num_rows)


def _next_table(batches: Iterator[pa.RecordBatch], done: Exported) -> pa.Table:
    """The next batch, counted; an empty table at the end."""
    batch = next(batches, None)
    if batch is None:
        return pa.Table.from_batches([], TRAINING)
    for row in batch.to_pylist():
        _count(done, row)
    return pa.Table.from_batches([batch]).cast(TRAINING)


@contextmanager
def _folder_in_one_piece(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place at the end, or is gone after an error."""
    out = out.absolute()
    check_writable(out.parent)
    folder = out.with_name(f".tmp-{os.getpid()}-{out.name}")
    try:
        folder.mkdir()
        yield folder
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
