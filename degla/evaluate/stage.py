"""The evaluate stage: every benchmark, scored for the model before and after fine-tuning.

Units are (model, benchmark): `items/<model>/<benchmark>.parquet` with one row per item, then `results/<model>/<benchmark>.json`
with the metrics. A run that was killed goes on from the results that are there. From all items come `scores.json` and
`scores.parquet`. Called by `degla.evaluate.run`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from degla.artifacts import Artifact, building
from degla.errors import DataError, MissingInputError, ModelError
from degla.evaluate.config import BenchmarkRef, EvaluateConfig
from degla.evaluate.encoding import Encoder
from degla.evaluate.measures import Measure, measures
from degla.evaluate.outcomes import ITEMS, score_set
from degla.evaluate.readers import read_benchmark
from degla.evaluate.records import STATUS_OK, Average, Benchmark
from degla.evaluate.scores import AFTER, BEFORE, ModelName, ScoreRecord, difference_records, model_records, write_scores
from degla.files import write_text_atomic
from degla.models import ModelRef
from degla.models.loading import CONFIG_FILE, WEIGHTS_FILE, LoadedClip, load
from degla.models.ref import LOCAL_DIR
from degla.progress import Progress
from degla.schemas import read_table, write_table

logger = logging.getLogger(__name__)

MODELS: tuple[ModelName, ...] = (BEFORE, AFTER)
MODEL_DIR = "model"
_MISSING_SHOWN = 5


def evaluate(config: EvaluateConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Score both models on `config.benchmarks`; the artifact's `scores.json` is a list of `ScoreRecord`.

    Raises:
        InputError: a benchmark's file is missing or wrong, not one image of a set can be read, or the model that training
            started from is not the one it was.
        ModelError: the two models differ in activation, preprocessing or context, so that scores would not compare.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        run = _Run(config, inputs["train"], out_dir)
        for ref in config.benchmarks:
            run.score(ref)
        records, names = [], []
        for ref in config.benchmarks:
            records += _records(ref, out_dir)
            names += [name for model in MODELS for name in _unit(model, ref)]
        return build.finish(_counts(config, out_dir, records), [*names, *write_scores(out_dir, records)])


@dataclass
class _Run:
    """The models, loaded when a unit first needs them, and the work still to do."""

    config: EvaluateConfig
    train: Artifact
    out_dir: Path
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        done = sum(self._finished(model, ref) for model in MODELS for ref in self.config.benchmarks)
        self.progress = Progress(self.out_dir, "scoring", len(MODELS) * len(self.config.benchmarks), "results", done)

    def score(self, ref: BenchmarkRef) -> None:
        """Make the results of one benchmark that are not there yet; its images are opened or drawn once for both models."""
        pending = [model for model in MODELS if not self._finished(model, ref)]
        if not pending:
            return
        benchmark = read_benchmark(ref.card(), ref.paths)
        for model in pending:
            encoder = self.encoders[model]
            encoder.report = lambda note, model=model: self.progress.advance(0, f"{ref.title} {model}: {note}")
            items = pa.concat_tables([score_set(benchmark_set, encoder) for benchmark_set in benchmark.sets])
            _write_unit(self.out_dir, model, ref, benchmark, items)
            self.progress.advance(1, f"{ref.title} {model}")

    @cached_property
    def encoders(self) -> dict[ModelName, Encoder]:
        """An encoder for each model, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        clips = {BEFORE: load(base_model(self.train), device), AFTER: load(fine_tuned_model(self.train), device)}
        check_comparable(clips[BEFORE], clips[AFTER])
        return {model: Encoder(clip, self.config.batch_size) for model, clip in clips.items()}

    def _finished(self, model: ModelName, ref: BenchmarkRef) -> bool:
        return all((self.out_dir / name).is_file() for name in _unit(model, ref))


def base_model(train: Artifact) -> ModelRef:
    """The model that training started from.

    Raises:
        ModelError: its files are not those that training read.
    """
    ref = ModelRef.model_validate(train.manifest.config["model"])
    if ref.checksum() != train.manifest.raw.get("model"):
        raise ModelError(
            f"the model {ref.architecture!r} that {train.path} was trained from has changed since: there is no score before"
            f" training to compare with. Put the model back, or train again."
        )
    return ref


def fine_tuned_model(train: Artifact) -> ModelRef:
    """The model that training made.

    Raises:
        MissingInputError: the artifact has no model folder.
        DataError: a file of it is gone or was changed.
    """
    lacking = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not train.has(f"{MODEL_DIR}/{name}")]
    if lacking:
        raise MissingInputError(f"{train.path} holds no {MODEL_DIR}/{lacking[0]}; run the train stage again")
    for name in train.manifest.files:
        if name.startswith(f"{MODEL_DIR}/"):
            train.file(name)
    return ModelRef(architecture=f"{LOCAL_DIR}{train.path / MODEL_DIR}")


def check_comparable(before: LoadedClip, after: LoadedClip) -> None:
    """Raises ModelError where the two models see images or texts differently, or compute another activation."""
    for what in ("activation", "preprocessing", "context_length"):
        old, new = getattr(before, what), getattr(after, what)
        if old != new:
            raise ModelError(
                f"the fine-tuned model has {what} {new}, the one it was trained from has {old}: their scores do not compare."
                f" Train again from a model folder that states its own."
            )


def _unit(model: ModelName, ref: BenchmarkRef) -> tuple[str, str]:
    return f"items/{model}/{ref.title}.parquet", f"results/{model}/{ref.title}.json"


def _write_unit(out_dir: Path, model: ModelName, ref: BenchmarkRef, benchmark: Benchmark, items: pa.Table) -> None:
    items_name, result_name = _unit(model, ref)
    warnings = _item_notes(items)
    notes = [*benchmark.notes, *warnings]
    averages = [[average.path, list(average.over), average.pooled] for average in benchmark.averages]
    records = model_records(ref.title, model, measures(items, benchmark.averages), "; ".join(notes))
    result = {
        "benchmark": ref.title,
        "model": model,
        "notes": notes,
        "items": items.num_rows,
        "items_truncated": pc.sum(items["truncated"]).as_py(),
        "items_missing": _missing(items),
        "averages": averages,
        "records": [record.model_dump() for record in records],
    }
    for warning in warnings:
        logger.warning("%s, %s: %s", ref.title, model, warning)
    write_table(out_dir / items_name, items, ITEMS)
    write_text_atomic(out_dir / result_name, json.dumps(result, indent=1))


def _missing(items: pa.Table) -> list[dict[str, Any]]:
    """Every item that could not be scored, and why."""
    left_out = items.filter(pc.not_equal(items["status"], STATUS_OK))
    return left_out.select(["set", "kind", "item", "image", "status"]).to_pylist()


def _item_notes(items: pa.Table) -> list[str]:
    notes = []
    missing = _missing(items)
    if missing:
        images = list(dict.fromkeys(item["image"] for item in missing))
        shown = ", ".join(images[:_MISSING_SHOWN]) + (", ..." if len(images) > _MISSING_SHOWN else "")
        notes.append(f"incomplete: {len(missing):,} items lack their image ({len(images):,} images: {shown})")
    truncated = pc.sum(items["truncated"]).as_py()
    if truncated:
        notes.append(f"{truncated:,} of {items.num_rows:,} items have a text that was cut to the model's context")
    return notes


def _records(ref: BenchmarkRef, out_dir: Path) -> list[ScoreRecord]:
    """Before, after and difference records of one benchmark, from its units."""
    found: dict[ModelName, list[Measure]] = {}
    keys, records, note = [], [], ""
    for model in MODELS:
        items_name, result_name = _unit(model, ref)
        items = read_table(out_dir / items_name, ITEMS)
        result = json.loads((out_dir / result_name).read_text(encoding="utf-8"))
        note = "; ".join(result["notes"])
        averages = [Average(path, tuple(over), pooled) for path, over, pooled in result["averages"]]
        found[model] = measures(items, averages)
        keys.append(items.select(["set", "kind", "item", "status"]))
        records += model_records(ref.title, model, found[model], note)
    if not keys[0].equals(keys[1]):
        raise DataError(
            f"{ref.title}: before and after were scored on different items; its files changed between the two."
            f" Run the evaluate stage again with --refresh."
        )
    return records + difference_records(ref.title, found[BEFORE], found[AFTER], note)


def _counts(config: EvaluateConfig, out_dir: Path, records: list[ScoreRecord]) -> dict[str, int | float]:
    results = [json.loads((out_dir / _unit(AFTER, ref)[1]).read_text(encoding="utf-8")) for ref in config.benchmarks]
    return {
        "benchmarks": len(config.benchmarks),
        "metrics": len({record.metric for record in records}),
        "items": sum(result["items"] for result in results),
        "items_missing": sum(len(result["items_missing"]) for result in results),
        "items_truncated": sum(result["items_truncated"] for result in results),
    }
