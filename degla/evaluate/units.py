"""The units of the evaluate stage on disk: items and results of a model on a benchmark, and the records made of all of them.

Loads no model.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from degla.artifacts import MANIFEST, Artifact, Building
from degla.errors import DataError, MissingInputError
from degla.evaluate import references
from degla.evaluate.benchmark import Benchmark, RetrievalSet
from degla.evaluate.config import BenchmarkRef, EvaluateConfig
from degla.files import atomic_path, write_text_atomic
from degla.outcomes.items import ITEMS, STATUS_OK, STATUS_UNSCORED
from degla.outcomes.measures import Measure, means, measures
from degla.outcomes.outcome import Outcome, averages_of, read_unit, unit
from degla.outcomes.scores import AFTER, BEFORE, ScoreRecord, difference_records, model_records
from degla.outcomes.shortcut import Verdict, verdicts
from degla.outcomes.suites import SUITES
from degla.schemas import read_table, write_table

logger = logging.getLogger(__name__)

_MISSING_SHOWN = 5

Brought = dict[str, list[str]]
"""Title of a benchmark to the models whose outcomes on it somebody brought."""


def model_file(model: str) -> str:
    """Facts about a model; written once all its inputs are encoded."""
    return f"models/{model}.json"


def read_model(out_dir: Path, model: str) -> dict[str, Any]:
    """The content of a `model_file`."""
    return json.loads((out_dir / model_file(model)).read_text(encoding="utf-8"))


def candidates_file(ref: BenchmarkRef) -> str:
    """The items that a benchmark drew, if it draws any."""
    return f"candidates/{ref.title}.jsonl"


def finished(out_dir: Path, model: str, ref: BenchmarkRef) -> bool:
    """Whether a benchmark was scored for a model, or found missing."""
    items_name, result_name = unit(model, ref.title)
    if not (out_dir / result_name).is_file():
        return False
    return (out_dir / items_name).is_file() or _missing_message(out_dir, model, ref) is not None


def all_finished(out_dir: Path, models: Sequence[str], ref: BenchmarkRef) -> bool:
    """Whether a benchmark is finished for all of these models."""
    return all(finished(out_dir, model, ref) for model in models)


def take_over(build: Building, config: EvaluateConfig) -> None:
    """Copy units of the same benchmarks and models from finished artifacts beside this one, unless it is a refresh: a change of
    one benchmark, its files or its reader scores that benchmark alone."""
    folders = build.path.parent.glob(f"*/{MANIFEST}") if build.path.parent.name == config.stage and not config.refresh else ()
    for manifest in sorted(folders):
        with suppress(DataError):  # a damaged manifest has nothing to give
            _take_from(Artifact.load(manifest.parent), build, config)


def _take_from(other: Artifact, build: Building, config: EvaluateConfig) -> None:
    made = other.manifest
    if (made.stage_version, made.inputs) != (config.version, build.inputs):
        return
    same = {name for name, checksum in build.raw.items() if made.raw.get(name) == checksum}
    models = [model for model in config.encoded_names if model not in config.models or f"model {model}" in same]
    refs = [ref for ref in config.benchmarks if ref.title in same]
    _copy(other.path, build.path, [candidates_file(ref) for ref in refs])
    _copy(other.path, build.path, [name for ref in refs for model in models for name in unit(model, ref.title)])
    if all(all_finished(build.path, config.encoded_names, ref) for ref in config.benchmarks):  # nothing is left to encode
        _copy(other.path, build.path, [model_file(model) for model in models])


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).is_file() and not (target / name).is_file():
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source / name, temporary)


def write(
    out_dir: Path,
    model: str,
    ref: BenchmarkRef,
    benchmark: Benchmark,
    items: pa.Table,
    lacking: Sequence[MissingInputError],
    described: dict[str, Any],
) -> None:
    """Write a unit: first its items, then its results.

    Args:
        out_dir: the artifact in the making.
        model: name of the model.
        ref: names the benchmark.
        benchmark: as it was read.
        items: of all sets that could be scored.
        lacking: why the others could not be scored.
        described: the content of its `model_file`.
    """
    items_name, result_name = unit(model, ref.title)
    warnings = [*(f"not scored: {error}" for error in lacking), *_item_notes(items)]
    notes = [*benchmark.notes, *_shared_captions(benchmark), *warnings]
    averages = [[average.path, list(average.over), average.pooled] for average in benchmark.averages]
    found = measures(items, benchmark.averages, benchmark.absent)
    result = {
        "benchmark": ref.title,
        "model": model,
        "notes": notes,
        "items": items.num_rows,
        "items_truncated": pc.sum(items["truncated"]).as_py(),
        "items_missing": _left_out(items),
        "absent": dict(benchmark.absent),
        "averages": averages,
        "records": [record.model_dump() for record in model_records(ref.title, model, found, "; ".join(notes))],
    }
    for warning in warnings:
        logger.warning("%s, %s: %s", ref.title, model, warning)
    for check in references.checks(model, described["reference"], ref.title, found):
        if not check.agrees:
            logger.warning("%s. Likely causes: %s", check.sentence(), references.CAUSES)
    if benchmark.candidates:
        write_text_atomic(out_dir / candidates_file(ref), benchmark.candidates)
    write_table(out_dir / items_name, items, ITEMS)
    write_text_atomic(out_dir / result_name, json.dumps(result, indent=1))


def write_missing(out_dir: Path, model: str, ref: BenchmarkRef, message: str) -> None:
    """Write, in place of a unit, why it could not be made."""
    content = json.dumps({"benchmark": ref.title, "model": model, "missing": message})
    write_text_atomic(out_dir / unit(model, ref.title)[1], content)


def missing(config: EvaluateConfig, out_dir: Path) -> dict[str, str]:
    """The benchmarks that were not scored, and why."""
    if not config.model_names:  # only outcomes that were brought
        return {}
    first = config.model_names[0]
    messages = {ref.title: _missing_message(out_dir, first, ref) for ref in config.benchmarks}
    return {title: message for title, message in messages.items() if message is not None}


def scored(config: EvaluateConfig, out_dir: Path) -> list[BenchmarkRef]:
    """The benchmarks that models of the run were scored on."""
    left_out = missing(config, out_dir)
    return [ref for ref in config.benchmarks if ref.title not in left_out] if config.model_names else []


def files(config: EvaluateConfig, out_dir: Path, brought: Brought) -> list[str]:
    """The files of all units, as the artifact lists them."""
    refs = [BenchmarkRef(name=title) for title in brought]
    names = [name for ref in config.benchmarks for name in (candidates_file(ref), *_files(config.encoded_names, ref))]
    names += [name for ref in refs for name in _files(brought[ref.title], ref)]
    return [name for name in names if (out_dir / name).is_file()]


def _files(models: Sequence[str], ref: BenchmarkRef) -> list[str]:
    return [name for model in models for name in unit(model, ref.title)]


def model_columns(config: EvaluateConfig, brought: Brought) -> list[str]:
    """All models of the scores in their order: those of the run, then those whose outcomes were brought."""
    return [*config.model_names, *dict.fromkeys(model for models in brought.values() for model in models)]


def records(config: EvaluateConfig, out_dir: Path, brought: Brought) -> list[ScoreRecord]:
    """Every record of the run: benchmark after benchmark, then the averages over several benchmarks.

    Raises:
        MissingInputError: not one benchmark could be scored.
        DataError: two models were scored on different items.
    """
    left_out = missing(config, out_dir)
    if config.benchmarks and len(left_out) == len(config.benchmarks) and not brought:
        raise MissingInputError("; ".join(left_out.values()))
    own = {ref.title: ref for ref in scored(config, out_dir)}
    refs = own | {title: BenchmarkRef(name=title) for title in brought if title not in own}
    made: list[ScoreRecord] = []
    every: dict[str, dict[str, Measure]] = {model: {} for model in model_columns(config, brought)}
    for title, ref in refs.items():
        found, notes = _measures(ref, config.model_names if title in own else [], out_dir, brought.get(title, []))
        for model, measured in found.items():
            every[model] |= {f"{title}/{measure.path}": measure for measure in measured}
        made += _side_by_side(title, found, notes)
    for suite in SUITES:
        means_of = {model: means(suite.averages, measured) for model, measured in every.items()}
        made += _side_by_side(suite.name, means_of, dict.fromkeys(every, suite.note))
    return made


def shortcuts(config: EvaluateConfig, out_dir: Path, brought: Brought) -> list[Verdict]:
    """The shortcut meter's verdicts, with the first model as the base of the others of its size."""
    of_model = {model: [ref.title for ref in config.benchmarks] for model in config.model_names}
    for title, models in brought.items():
        for model in models:
            of_model.setdefault(model, []).append(title)
    found = []
    for model in model_columns(config, brought):
        for title in of_model[model]:
            if (out_dir / unit(model, title)[0]).is_file():
                items, result = read_unit(out_dir, model, title)
                found.append(Outcome(model, title, items, averages_of(result), result["absent"]))
    own = [model for model in config.model_names if (out_dir / model_file(model)).is_file()]
    return verdicts(found, {model: read_model(out_dir, model)["towers"] for model in own})


def counts(config: EvaluateConfig, out_dir: Path, made: Sequence[ScoreRecord], brought: Brought) -> dict[str, int | float]:
    """The artifact's counts. Items are those that models of the run were scored on; of outcomes that were brought, rows."""
    refs = scored(config, out_dir)
    rows = [_rows(out_dir / unit(model, title)[0]) for title, models in brought.items() for model in models]
    flags = [_flags(out_dir, config.model_names, ref) for ref in refs]
    counted: dict[str, int | float] = {
        "benchmarks": len({ref.title for ref in refs} | set(brought)),
        "metrics": len({record.metric for record in made}),
        "items": sum(len(each["missing"]) for each in flags),
        **{f"items_{name}": sum(int(each[name].sum()) for each in flags) for name in ("missing", "truncated", "indistinct")},
    }
    left_out = missing(config, out_dir)
    counted |= {"benchmarks_not_scored": len(left_out)} if left_out else {}
    return counted | ({"outcomes_brought": sum(rows)} if brought else {})


def _rows(path: Path) -> int:
    return pq.read_metadata(path).num_rows


def _flags(out_dir: Path, models: Sequence[str], ref: BenchmarkRef) -> dict[str, np.ndarray]:
    """For each item of a benchmark whether it is missing, truncated or indistinct for any of the models."""
    every = [read_table(out_dir / unit(model, ref.title)[0], ITEMS) for model in models]
    flags = {"missing": [pc.not_equal(items["status"], STATUS_OK) for items in every]}
    flags |= {name: [items[name] for items in every] for name in ("truncated", "indistinct")}
    return {name: np.any([column.to_numpy() for column in columns], axis=0) for name, columns in flags.items()}


def reference_checks(config: EvaluateConfig, out_dir: Path, refs: Sequence[BenchmarkRef]) -> list[references.Check]:
    """The scores of the run's models on benchmarks beside the published ones; see `degla.evaluate.references`."""
    made: list[references.Check] = []
    for model in config.model_names:
        for ref in refs:
            if _missing_message(out_dir, model, ref) is None and (reference := read_model(out_dir, model)["reference"]):
                found, _ = _measures(ref, [model], out_dir, [])
                made += references.checks(model, reference, ref.title, found[model])
    return made


def _missing_message(out_dir: Path, model: str, ref: BenchmarkRef) -> str | None:
    return json.loads((out_dir / unit(model, ref.title)[1]).read_text(encoding="utf-8")).get("missing")


def _measures(
    ref: BenchmarkRef, models: Sequence[str], out_dir: Path, brought: Sequence[str]
) -> tuple[dict[str, list[Measure]], dict[str, str]]:
    """By model a benchmark's metrics, from its items, and the notes on them; models of the run must have the same items."""
    found: dict[str, list[Measure]] = {}
    notes: dict[str, str] = {}
    for model in (*models, *brought):
        items, result = read_unit(out_dir, model, ref.title)
        notes[model] = "; ".join(result["notes"])
        found[model] = measures(items, averages_of(result), result["absent"])
    check_same_items(out_dir, ref, models)
    return found, notes


def check_same_items(out_dir: Path, ref: BenchmarkRef, models: Sequence[str]) -> None:
    """Raises DataError if models were scored on different items of a benchmark."""
    columns = ["set", "kind", "item", "status"]
    keys = [read_table(out_dir / unit(model, ref.title)[0], ITEMS, columns) for model in models]
    for model, own in zip(models, keys, strict=True):
        if not own.equals(keys[0]):
            raise DataError(
                f"{ref.title}: {models[0]} and {model} were scored on different items; its files changed between the two."
                f" Run the evaluate stage again with --refresh."
            )


def _side_by_side(benchmark: str, found: dict[str, list[Measure]], notes: dict[str, str]) -> list[ScoreRecord]:
    made = [record for model, own in found.items() for record in model_records(benchmark, model, own, notes[model])]
    if AFTER in found:
        made += difference_records(benchmark, found[BEFORE], found[AFTER], notes[AFTER])
    return made


def _left_out(items: pa.Table) -> list[dict[str, Any]]:
    """Every item that could not be scored, and why."""
    left_out = items.filter(pc.not_equal(items["status"], STATUS_OK))
    return left_out.select(["set", "kind", "item", "image", "status"]).to_pylist()


def _item_notes(items: pa.Table) -> list[str]:
    notes = []
    lost = _left_out(items)
    unscored = sum(item["status"] == STATUS_UNSCORED for item in lost)
    if len(lost) > unscored:
        images = list(dict.fromkeys(item["image"] for item in lost if item["status"] != STATUS_UNSCORED))
        shown = ", ".join(images[:_MISSING_SHOWN]) + (", ..." if len(images) > _MISSING_SHOWN else "")
        notes.append(f"incomplete: {len(lost) - unscored:,} items lack their image ({len(images):,} images: {shown})")
    if unscored:
        notes.append(f"incomplete: of {unscored:,} outcomes the file does not say whether the model was right")
    truncated = pc.sum(items["truncated"]).as_py()
    if truncated:
        notes.append(f"{truncated:,} of {items.num_rows:,} items have a text that was truncated to the model's context")
    indistinct = pc.sum(items["indistinct"]).as_py()
    if indistinct:
        notes.append(f"in {indistinct:,} items a right and a wrong answer have equal tokens once truncated; such a tie is wrong")
    return notes


def _shared_captions(benchmark: Benchmark) -> list[str]:
    retrieval = [each for each in benchmark.sets if isinstance(each, RetrievalSet)]
    return [
        f"{shared:,} of {len(each.texts):,} captions have the text of another image's caption and are right for"
        f" {'all these images' if each.equal_texts_are_right else 'their own image only, as the benchmark defines it'}"
        for each in retrieval
        if (shared := each.num_shared())
    ]
