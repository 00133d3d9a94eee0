"""The generate stage: distinct captions in units, each unit rewritten in all types and written as one Parquet part.

Every process that runs the stage on an artifact is a worker like any other: it makes what is not there yet to work from,
takes units until none is missing, and finishes the artifact if nobody has. A part that exists is done, so a killed run goes
on from its parts and ends with the same rows.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from degla.artifacts import Artifact, Building, building, in_use
from degla.database import Database, connect
from degla.errors import DataError
from degla.files import finished_files, write_text_atomic
from degla.generate.backends import resolve_model
from degla.generate.config import WITH_ENGINE, WITH_PROMPT, GenerateConfig
from degla.generate.language_models.prompts import load_prompt
from degla.generate.routing import unusable
from degla.generate.rules.vocabulary import Vocabulary, count_vocabulary
from degla.generate.usefulness import any_useful, check_asked, check_useful
from degla.generate.verdicts import save_word_uses
from degla.generate.watcher import Watcher
from degla.generate.worker import ASKED, ASKED_GROUP, CLAIMS, VOCABULARY, WORD_USES, WORKERS, work
from degla.home import artifact_root
from degla.negative_types import NEGATIVE_TYPES
from degla.processes import run_workers, worker_count
from degla.schemas import CAPTIONS, REWRITES, RewriteStatus, check_table, table_writer
from degla.text.lexicon import load_lexicon
from degla.units import Units, cut, join

logger = logging.getLogger(__name__)

_STATUSES = get_args(RewriteStatus)
_SCRATCH = (CLAIMS, WORKERS, "spill")

SUMMARY, IMPORTED, UNMATCHED = "generation.json", "imported.json", "imported_unmatched.parquet"
GENERATED = "rewrites/generated.parquet"


def generate(config: GenerateConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Write rows of `degla.schemas.REWRITES` to `rewrites/generated.parquet`: one for every rewrite asked for.

    A row is named by caption, type, candidate and attempt; every type has at least one for every caption. Rows stand in the
    order of the distinct captions, then of these names. Counts: `captions`, `distinct_captions`, `captions_not_asked`, `asked`
    (rows), and the rows of each status.

    Raises:
        DataError: the captions cannot be read, or there are none.
        ConfigError: a prompt, model or server is wrong, or the prefix cache does not work.
        PassingFault: a worker was killed, or an engine or server does not answer.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        captions = inputs["prepare"].file("captions.parquet")
        units = _prepare(config, captions, out_dir)
    if config.attempts:
        with in_use(out_dir, inputs["prepare"].path):
            _work(config, out_dir, units)
    with building(config, inputs, out_dir) as last:
        return last.finished or _finish(build, config, captions, units)


def _prepare(config: GenerateConfig, captions: Path, folder: Path) -> Units:
    """Make what every worker reads, if it is missing; returns the units of the distinct captions."""
    check_table(captions, CAPTIONS)
    if pq.read_metadata(captions).num_rows == 0:
        raise DataError(f"{captions} holds no captions: nothing to rewrite. Check the dataset of prepare.")
    if not (folder / VOCABULARY).is_file():
        limited = config.vocabulary == "corpus"
        vocabulary = count_vocabulary(captions, load_lexicon(), config.workers) if limited else Vocabulary()
        vocabulary.save(folder / VOCABULARY)
    if config.attempts and not (folder / WORD_USES).is_file():
        save_word_uses(captions, folder / WORD_USES, config.workers)
    if config.imports:
        from degla.generate.imports import read_imports

        read_imports(config.imports, captions, folder)
    if not (folder / ASKED).is_file():
        _write_asked(config, captions, folder / ASKED)
    distinct = pq.read_metadata(folder / ASKED).num_rows
    units = cut(distinct, config.captions_per_unit())
    return Units(folder / "parts", "rewrites-{start:08d}-{stop:08d}.parquet", units, folder / GENERATED)


def _write_asked(config: GenerateConfig, captions: Path, path: Path) -> None:
    """Write the distinct captions: a caption of several images is asked once. Logs how many cannot be asked."""
    with connect(config.workers, spill_dir=path.parent / "spill") as database:
        alike = database.arrow(_ALIKE.replace("{captions}", database.literal(str(captions))))
    done, reasons = 0, Counter[str]()
    with table_writer(path, _ASKED, ASKED_GROUP) as write:
        for batch in pq.ParquetFile(captions).iter_batches(ASKED_GROUP, columns=_ASKED.names[1:-1], use_threads=False):
            rows = alike.slice(done, batch.num_rows)
            distinct = pa.Table.from_batches([batch]).append_column("caption_ids", rows["caption_ids"]).drop_null()
            found = [unusable(row["caption"], row["tokens"]) for row in distinct.select(["caption", "tokens"]).to_pylist()]
            reasons.update(why.partition(":")[0] for why in found if why)
            write(distinct.append_column("unusable", pa.array(found, pa.string())))
            done += batch.num_rows
    if reasons:
        listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        logger.warning("%s distinct captions get no rewrites, and nobody is asked: %s", f"{reasons.total():,}", listed)
    pa.default_memory_pool().release_unused()  # 30 MB that this process would hold while the workers run


def _work(config: GenerateConfig, folder: Path, units: Units) -> None:
    config = resolve_model(config, artifact_root() / "models")
    devices = _devices(config)
    missing = len(units.missing())
    count = min(len(devices), missing) if devices else worker_count(config.workers or _default_workers(config), missing)
    most_rows = 2 * len(config.types) * len(config.attempts)  # of a caption: two of each type, by every back end
    with Watcher(folder, units, most_rows):
        run_workers(work, max(1, count), (config, folder, units, devices), apart=bool(WITH_ENGINE & set(config.attempts)))


def _default_workers(config: GenerateConfig) -> int:
    """One per engine or server, else every core (0)."""
    return 0 if set(config.attempts) == {"rules"} else 1


def _devices(config: GenerateConfig) -> tuple[str, ...]:
    """The GPUs of each worker, `tensor_parallel_size` each; empty without GPUs."""
    if not WITH_ENGINE & set(config.attempts):
        return ()
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    each = config.engine.tensor_parallel_size
    groups = [",".join(names[start : start + each]) for start in range(0, len(names) - each + 1, each)]
    return tuple(groups[: config.workers or None])


def _finish(build: Building, config: GenerateConfig, captions: Path, units: Units) -> Artifact:
    """Join the parts, check that no row is missing, count, and write the manifest."""
    made = [build.path / GENERATED] if config.attempts else []
    if made and not made[0].is_file():
        join(units.paths(), made[0], REWRITES)
    units.remove()
    imported = finished_files(build.path / "rewrites", "imported-*.parquet")
    num_captions = pq.read_metadata(captions).num_rows
    with connect(config.workers) as database:
        for view, paths in (("generated", made), ("rewrites", made + imported)):
            files = ", ".join(database.literal(str(path)) for path in paths)
            database.execute(f"create temp view {view} as select * from read_parquet([{files}])" if paths else _NOTHING)
        first = database.rows("select count(*) from generated where candidate = 0 and attempt = 1")[0][0]
        summary = _summarise(database) | {"exemplars": _exemplars(config), "not_asked": _not_asked(build.path / ASKED)}
        if made and not imported:
            try:
                check_asked(summary["not_asked"], num_captions)
                if not any_useful(finished_files(build.path / WORKERS, "*.json")):
                    check_useful(database, build.path / ASKED, build.path / WORD_USES)
            except DataError:
                made[0].unlink()  # it is of no use, and a server that is mended has the same fingerprint
                raise
    if made and first != num_captions * len(config.types):
        raise DataError(
            f"{build.path}: the parts hold first rows of {first:,} captions and types, expected"
            f" {num_captions * len(config.types):,}. Delete the folder and run generate again."
        )
    write_text_atomic(build.path / SUMMARY, json.dumps(summary, indent=2))
    statuses = Counter[str]()
    for entry in summary["types"].values():
        statuses.update(entry["by_status"])
    counts = {"captions": num_captions, "distinct_captions": pq.read_metadata(build.path / ASKED).num_rows}
    counts |= {
        "captions_not_asked": sum(summary["not_asked"].values()),
        "asked": statuses.total(),
        **{status: statuses[status] for status in _STATUSES},
    }
    logger.info("%s texts for %s captions", f"{statuses['ok']:,}", f"{num_captions:,}")
    for name in _SCRATCH:
        shutil.rmtree(build.path / name, ignore_errors=True)
    others = [name for name in (VOCABULARY, WORD_USES, SUMMARY, IMPORTED, UNMATCHED) if (build.path / name).is_file()]
    return build.finish(counts, [*(f"rewrites/{path.name}" for path in made + imported), *others])


def _summarise(database: Database) -> dict[str, Any]:
    """Rows by type, status, generator and attempt; and the origins of all rows that were asked."""
    types: dict[str, Any] = {}
    for name, status, generator, attempt, count in database.rows(_COUNTS):
        entry = types.setdefault(name, {"rows": 0, "by_status": {}, "by_generator": {}, "by_attempt": {}})
        entry["rows"] += count
        for key, value in (("by_status", status), ("by_generator", generator), ("by_attempt", str(attempt))):
            entry[key][value] = entry[key].get(value, 0) + count
    origins = [
        {"generator": generator, "type": name, "model_sha": model, "prompt_sha": prompt}
        for generator, name, model, prompt in database.rows(_ORIGINS)
    ]
    return {"types": {name: types[name] for name in NEGATIVE_TYPES if name in types}, "origins": origins}


def _not_asked(path: Path) -> dict[str, int]:
    """Rows of the dataset whose caption nobody was asked about, by the reason's name."""
    reasons = Counter[str]()
    for row in pq.read_table(path, columns=["caption_ids", "unusable"]).drop_null().to_pylist():
        reasons[row["unusable"].partition(":")[0]] += len(row["caption_ids"])
    return dict(reasons.most_common())


def _exemplars(config: GenerateConfig) -> dict[str, list[str]]:
    """The rewrites that the prompts show, by type: a model that answers with one has copied it."""
    if not WITH_PROMPT & set(config.attempts):
        return {}
    folder = config.prompts_path()
    return {name: [each.output for each in load_prompt(folder, name).exemplars] for name in config.types}


_ASKED = pa.schema(
    [
        pa.field("caption_ids", pa.list_(pa.int64()), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("unusable", pa.string()),
    ]
)
_ALIKE = """
with captions as (select *, file_row_number as row from read_parquet({captions}, file_row_number = true)),
firsts as (select min(row) as row, list_sort(list(caption_id)) as caption_ids from captions group by caption)
select caption_ids from captions left join firsts using (row) order by row
"""
_COUNTS = "select type, status, generator, attempt, count(*) from rewrites group by all order by all"
_ORIGINS = "select distinct generator, type, model_sha, prompt_sha from rewrites where status <> 'inapplicable' order by all"
_NOTHING = "create temp view generated as select 0 as candidate, 0 as attempt where false"
