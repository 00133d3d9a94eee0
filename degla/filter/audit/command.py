"""`python -m degla.filter audit FILE... [--corpus FILE]`: the blind accuracy of any negatives, by type and generator.

Reads a filter artifact (its folder, or the experiment's name), SugarCrepe's JSON, the JSON that DeGLA released, NegCLIP's TSV,
and CSV files with columns `caption`, `type`, `rewrite` and optionally `image` and `generator`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from degla.artifacts import Artifact
from degla.errors import DataError
from degla.filter.audit.accuracy import DEFINITION, BlindAccuracy, audit
from degla.filter.audit.word_pairs import WordPairs, read_pairs
from degla.filter.export import find_artifact
from degla.released.degla import read_degla
from degla.released.negclip import read_negclip
from degla.released.rows import ImportedRow, image_key
from degla.schemas import TRAINING, check_table
from degla.text_files import read_json, stream_delimited, text_fields

_FEW = 10_000  # captions: below, the measure is noisy
_BEGINNING = 1_000  # characters that tell DeGLA's list from SugarCrepe's mapping


class _Pair(NamedTuple):
    """A caption and one negative of a file."""

    image: str
    caption: str
    type: str
    generator: str
    text: str


def command(arguments: Sequence[str]) -> None:
    """`audit ...` of the command line."""
    parser = argparse.ArgumentParser(prog="python -m degla.filter audit", description=DEFINITION)
    parser.add_argument("target", nargs="+", help="a filter artifact, an experiment, or a .json, .tsv or .csv file")
    parser.add_argument(
        "--corpus", type=Path, help="captions to train on instead of the file's own: COCO .json, .parquet or .csv"
    )
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="of an experiment")
    options = parser.parse_args(arguments)
    print(f"{DEFINITION}\n")
    for target in options.target:
        pairs = read_target(target, options.corpus, options.override)
        print(f"{target}: {len(pairs):,} pairs; {_learnt(pairs, options.corpus)}\n{table_text(audit(pairs))}\n")


def read_target(target: str, corpus: Path | None = None, overrides: Sequence[str] = ()) -> WordPairs:
    """The pairs of a file or filter artifact, and the captions to train on.

    Raises:
        DataError: a file is malformed or of an unknown format.
        MissingInputError: the file, artifact or experiment was not found.
    """
    path = Path(target)
    others = None if corpus is None else read_corpus(corpus)
    if path.suffix in _READERS and path.is_file():
        return read_pairs(*_as_batches(_read(_READERS[path.suffix], path)), others)
    artifact = find_artifact(target, overrides)
    return read_pairs(_captions_of(artifact, str if others is None else image_key), _negatives_of(artifact), others)


def read_corpus(path: Path) -> list[tuple[str, str]]:
    """Image and text of each caption of a COCO annotation file, a captions table, or a CSV with a column `caption`."""
    readers = {".json": _coco_captions, ".parquet": _table_captions, ".csv": _csv_captions}
    if path.suffix not in readers:
        raise DataError(f"{path}: the corpus must be one of {', '.join(readers)}")
    return _read(readers[path.suffix], path)


def table_text(rows: Iterable[BlindAccuracy]) -> str:
    """The audit as a table for the console, in per cent."""
    rows = list(rows)
    types, generators = (max([10, *(len(getattr(row, name)) for row in rows)]) for name in ("type", "generator"))
    lines = [f"{'type':<{types}} {'generator':<{generators}} {'pairs':>9}  {'blind accuracy':<20} {'captions alone':>14}"]
    for row in rows:
        interval = f"{100 * row.blind_accuracy:5.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})"
        figures = f"{row.pairs:>9,}  {interval:<20} {100 * row.captions_alone:>14.1f}"
        lines.append(f"{row.type:<{types}} {row.generator:<{generators}} {figures}")
    return "\n".join(lines)


def _learnt(pairs: WordPairs, corpus: Path | None) -> str:
    number = int(pairs.is_read.sum())
    few = "; so few make the measure noisy: see --corpus" if number < _FEW else ""
    return f"trained on {number:,} captions of {'its own' if corpus is None else corpus}{few}"


def _read(reader: Callable[[Path], Iterable[tuple[str, ...]]], path: Path) -> list[Any]:
    try:
        rows = list(reader(path))
        if not all(isinstance(value, str) for row in rows for value in row):
            raise TypeError("a caption or negative is not a text")
        return rows
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: malformed or of an unknown format: {error!r}. See python -m degla.filter audit --help"
        ) from error


def _json_pairs(path: Path) -> Iterator[_Pair]:
    with path.open(encoding="utf-8-sig") as file:
        is_list = file.read(_BEGINNING).lstrip().startswith("[")
    if is_list:
        return _released_pairs(path, read_degla(path))
    return _sugarcrepe_pairs(path)


def _sugarcrepe_pairs(path: Path) -> Iterator[_Pair]:
    for key, each in read_json(path, dict).items():
        image, caption, negative = text_fields(each, ("filename", "caption", "negative_caption"), f"{path}, item {key!r}")
        yield _Pair(image_key(image), caption, path.stem, "-", negative)


def _negclip_pairs(path: Path) -> Iterator[_Pair]:
    return _released_pairs(path, read_negclip(path))


def _released_pairs(path: Path, rows: Iterable[ImportedRow]) -> Iterator[_Pair]:
    for row in rows:
        yield _Pair(_image_of(row.image_id, row.caption), row.caption, path.stem, "-", row.text)


def _csv_pairs(path: Path) -> Iterator[_Pair]:
    columns = stream_delimited(path, ",", ("caption", "type", "rewrite"), ("image", "generator"))
    for _, (caption, negative_type, text, image, generator) in columns:
        yield _Pair(_image_of(image, caption), caption, negative_type, generator or "-", text)


def _coco_captions(path: Path) -> Iterator[tuple[str, str]]:
    for number, each in enumerate(read_json(path, dict)["annotations"]):
        (caption,) = text_fields(each, ("caption",), f"{path}: annotations[{number}]")
        yield image_key(str(each["image_id"])), caption


def _table_captions(path: Path) -> Iterator[tuple[str, str]]:
    for row in pq.read_table(path, columns=["image_id", "caption"]).to_pylist():
        yield image_key(row["image_id"]), row["caption"]


def _csv_captions(path: Path) -> Iterator[tuple[str, str]]:
    for _, (caption, image) in stream_delimited(path, ",", ("caption",), ("image",)):
        yield _image_of(image, caption), caption


_READERS: dict[str, Callable[[Path], Iterator[_Pair]]] = {".json": _json_pairs, ".tsv": _negclip_pairs, ".csv": _csv_pairs}


def _image_of(image: str | None, caption: str) -> str:
    return image_key(image) if image else caption


def _as_batches(pairs: Sequence[_Pair]) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    ids: dict[tuple[str, str], int] = {}
    of_caption = [ids.setdefault((pair.image, pair.caption), len(ids)) for pair in pairs]
    images, captions = zip(*ids, strict=True) if ids else ((), ())
    columns = zip(*pairs, strict=True) if pairs else ((),) * len(_Pair._fields)
    _, _, types, generators, texts = columns
    numbers = {"candidate": range(len(pairs)), "attempt": [0] * len(pairs)}
    negatives = {"caption_id": of_caption, "type": types, "generator": generators, "text": texts, **numbers}
    return [_batch({"caption_id": range(len(ids)), "image_id": images, "caption": captions})], [_batch(negatives)]


def _batch(columns: dict[str, Sequence[Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: list(values) for name, values in columns.items()})


def _captions_of(artifact: Artifact, name_of: Callable[[str], str]) -> Iterator[pa.RecordBatch]:
    for batch in _training(artifact, ["caption_id", "image_id", "caption"]):
        names = pa.array([name_of(name) for name in batch["image_id"].to_pylist()], pa.string())
        yield batch.set_column(1, "image_id", names)


def _negatives_of(artifact: Artifact) -> Iterator[pa.RecordBatch]:
    for batch in _training(artifact, ["caption_id", "negatives"]):
        negatives, owner = pc.list_flatten(batch["negatives"]), pc.list_parent_indices(batch["negatives"])
        columns = {name: pc.struct_field(negatives, name) for name in ("type", "generator", "text")}
        numbers = pa.array(range(len(owner)), pa.int64())
        yield pa.RecordBatch.from_pydict(
            {"caption_id": batch["caption_id"].take(owner), **columns, "candidate": numbers, "attempt": numbers}
        )


def _training(artifact: Artifact, columns: list[str]) -> Iterator[pa.RecordBatch]:
    path = artifact.file("training.parquet")
    check_table(path, TRAINING, columns)
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(columns=columns)
