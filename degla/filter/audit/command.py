"""`python -m degla.filter audit FILE... [--corpus FILE]`: the blind accuracy of any negatives, by type and generator.

Reads a filter artifact (its folder, or the experiment's name), and files of negatives in any form of `docs/data.md`. Type and
generator are read from the columns of these names, if there are any.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from degla.artifacts import MANIFEST, Artifact
from degla.errors import DataError
from degla.filter.audit.accuracy import DEFINITION, BlindAccuracy, audit
from degla.filter.audit.word_pairs import WordPairs, read_pairs
from degla.filter.export import find_artifact, is_experiment
from degla.schemas import TRAINING, check_table
from degla.sources.names import image_key
from degla.sources.records import Record
from degla.sources.source import is_unicode, open_source

_FEW = 10_000  # captions: below, the measure is noisy


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
    parser.add_argument("target", nargs="+", help="a filter artifact, an experiment, or a file of negatives")
    parser.add_argument("--corpus", type=Path, help="a file of captions to train on instead of the file's own")
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
    others = None if corpus is None else read_corpus(corpus)
    if _is_source(target):
        return read_pairs(*_as_batches(list(_file_pairs(Path(target)))), others)
    artifact = find_artifact(target, overrides)
    return read_pairs(_captions_of(artifact, str if others is None else image_key), _negatives_of(artifact), others)


def read_corpus(path: Path) -> list[tuple[str, str]]:
    """Image and text of each caption of a file or folder, in any form of `docs/data.md`."""
    return [(_image_of(record, caption), caption) for record in open_source(path) for caption in record.captions]


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


def _is_source(target: str) -> bool:
    """Whether it is a file or folder of others, and no artifact or experiment."""
    path = Path(target)
    if path.is_dir():
        return not (path / MANIFEST).is_file() and not is_experiment(target)
    return path.is_file() and path.suffix not in (".yaml", ".yml")


def _file_pairs(path: Path) -> Iterator[_Pair]:
    """The pairs of a file; what it does not say of type and generator is the file's name and `-`."""
    source = open_source(path)
    if not source.recognised.options.negative_columns():
        raise DataError(f"{path}: holds no negatives. `python -m degla.prepare sniff {path}` shows what is recognised.")
    for record, caption, negative in source.pairs():
        kind = negative.type or record.fields.get("type") or path.stem
        generator = negative.generator or record.fields.get("generator") or "-"
        if not is_unicode(negative.text):
            raise DataError(f"{record.where}: a negative is not Unicode text (an unpaired surrogate)")
        if caption and negative.text:
            yield _Pair(_image_of(record, caption), caption, str(kind), str(generator), negative.text)


def _image_of(record: Record, caption: str) -> str:
    return image_key(record.image) if record.image else caption


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
