"""The generate stage: captions in units, each unit rewritten in all types and written as one Parquet part.

A part that exists is done, so a killed run goes on from its parts and ends with the same artifact. Called by
`degla.generate.run`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.artifacts import Artifact, Building, building
from degla.errors import DataError
from degla.generate.backend import Backend, Request, Rewrite, row_seed
from degla.generate.config import GenerateConfig
from degla.generate.rules import RulesBackend
from degla.generate.vocabulary import Vocabulary, count_vocabulary
from degla.processes import run_all, worker_count
from degla.progress import Progress
from degla.schemas import CAPTIONS, REWRITES, read_table, write_table
from degla.text.lexicon import load_lexicon

logger = logging.getLogger(__name__)

VOCABULARY = "vocabulary.json"
_STATUSES = ("ok", "inapplicable", "abstained", "failed")


def generate(config: GenerateConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Write a row of `degla.schemas.REWRITES` for every caption and type, to `rewrites/part-*.parquet`.

    Rows stand by caption and then by type, in the order of `config.types`. Counts: `captions`, `asked` (captions times
    types), and the rows of each status.

    Raises:
        DataError: the captions cannot be read, or there are none.
        PassingFault: a worker was killed.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        captions_path = inputs["prepare"].file("captions.parquet")
        num_captions = _count_captions(captions_path)
        vocabulary_path = _make_vocabulary(config, captions_path, out_dir)
        parts = [f"rewrites/part-{k:05d}.parquet" for k in range(-(-num_captions // config.unit_size))]
        _make_parts(config, captions_path, vocabulary_path, out_dir, parts, num_captions)
        return _finish(build, parts, num_captions, len(config.types))


def _count_captions(path: Path) -> int:
    try:
        count = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}. Delete its folder and run prepare again.") from error
    if count == 0:
        raise DataError(f"{path} holds no captions: there is nothing to rewrite. Look at the dataset given to prepare.")
    return count


def _make_vocabulary(config: GenerateConfig, captions_path: Path, out_dir: Path) -> Path:
    path = out_dir / VOCABULARY
    if not path.is_file():
        read_table(captions_path, CAPTIONS, ["caption_id"])
        limited = config.vocabulary == "corpus"
        vocabulary = count_vocabulary(captions_path, load_lexicon(), config.workers) if limited else Vocabulary()
        vocabulary.save(path)
    return path


def _make_parts(
    config: GenerateConfig, captions_path: Path, vocabulary_path: Path, out_dir: Path, parts: list[str], num_captions: int
) -> None:
    size = config.unit_size
    missing = [k for k, part in enumerate(parts) if not (out_dir / part).is_file()]
    sizes = {k: min(size, num_captions - k * size) for k in missing}
    progress = Progress(out_dir, "rewriting captions", num_captions, "captions", done=num_captions - sum(sizes.values()))
    workers = worker_count(config.workers, len(missing))
    calls = [(k * size, size, out_dir / parts[k]) for k in missing]
    for count in run_all(_make_part, calls, workers, _begin, (config, captions_path, vocabulary_path)):
        progress.advance(count)


_worker: tuple[GenerateConfig, Path, Backend]  # what a worker process holds between its units


def _begin(config: GenerateConfig, captions_path: Path, vocabulary_path: Path) -> None:
    global _worker
    pa.set_cpu_count(1)
    _worker = (config, captions_path, RulesBackend(load_lexicon(), Vocabulary.load(vocabulary_path)))


def _make_part(start: int, size: int, path: Path) -> int:
    """Rewrite captions `start : start + size` into one part; returns how many captions that were."""
    config, captions_path, backend = _worker
    captions = _read_rows(captions_path, start, size)
    place = {negative_type: i for i, negative_type in enumerate(config.types)}
    rows = sorted(backend.rewrite(_requests(captions, config)), key=lambda row: (row.caption_id, place[row.type]))
    if len(rows) != captions.num_rows * len(config.types):
        raise RuntimeError(f"{backend.generator} answered {len(rows)} of {captions.num_rows * len(config.types)} requests")
    write_table(path, _table(rows, backend), REWRITES)
    return captions.num_rows


def _requests(captions: pa.Table, config: GenerateConfig) -> Iterator[Request]:
    for row in captions.to_pylist():
        tokens, tags = tuple(row["tokens"]), tuple(row["tags"])
        for negative_type in config.types:
            seed = row_seed(config.seed, row["caption_id"], negative_type, attempt=1)
            yield Request(row["caption_id"], row["caption"], tokens, tags, negative_type, 1, seed)


def _table(rows: Iterable[Rewrite], backend: Backend) -> pa.Table:
    shared = {"generator": backend.generator, "model_sha": backend.model_sha, "prompt_sha": backend.prompt_sha}
    return pa.Table.from_pylist([vars(row) | shared for row in rows], schema=REWRITES)


def _read_rows(path: Path, start: int, size: int) -> pa.Table:
    """Rows `start : start + size` of a captions table, reading only the row groups that hold them."""
    file = pq.ParquetFile(path)
    groups, skipped, position = [], 0, 0
    for group in range(file.num_row_groups):
        following = position + file.metadata.row_group(group).num_rows
        if following <= start:
            skipped = following
        elif position < start + size:
            groups.append(group)
        position = following
    columns = ["caption_id", "caption", "tokens", "tags"]
    return file.read_row_groups(groups, columns=columns, use_threads=False).slice(start - skipped, size)


def _finish(build: Building, parts: list[str], num_captions: int, num_types: int) -> Artifact:
    statuses: Counter[str] = Counter()
    for part in parts:
        statuses.update(read_table(build.path / part, REWRITES, ["status"])["status"].to_pylist())
    asked = num_captions * num_types
    if sum(statuses.values()) != asked:
        raise DataError(f"{build.path}: the parts hold {sum(statuses.values())} rows, expected {asked}. Delete the folder.")
    counts = {"captions": num_captions, "asked": asked, **{status: statuses[status] for status in _STATUSES}}
    logger.info("%s of %s asked rewrites were made", f"{counts['ok']:,}", f"{asked:,}")
    return build.finish(counts, [*parts, VOCABULARY])
