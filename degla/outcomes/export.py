"""Outcomes as others read them: one table (Parquet, CSV), or the JSON of lm-evaluation-harness or of CLIP_benchmark.

lm-evaluation-harness (4e7e0d4, `evaluation_tracker.py` and `result_schema.py`): for each model `results_<date>.json` with
`acc,none` and its standard error for each task, and `samples_<task>_<date>.jsonl`; a task is a set and kind of outcome.
CLIP_benchmark (48de38c, `cli.py`): a JSON for each model and dataset, with its names of datasets, tasks and metrics, and its rule
that ties are right where the benchmark has that figure too.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from degla.files import atomic_path, write_text_atomic
from degla.outcomes.items import CHOICE, IMAGE_RETRIEVAL, MATCH_TEXT, STATUS_OK, TEXT_RETRIEVAL
from degla.outcomes.outcome import Outcome
from degla.outcomes.table import OUTCOMES, of_items
from degla.schemas import write_table


def export(outcomes: Sequence[Outcome], folder: Path, form: str, date: str) -> list[Path]:
    """Write outcomes to a folder in one of `FORMS`; returns the files.

    Args:
        outcomes: of models on benchmarks.
        folder: where to write.
        form: of the files.
        date: of the evaluation (ISO 8601), which lm-evaluation-harness has in its file names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return list(FORMS[form](outcomes, folder, date))


def _table(outcomes: Sequence[Outcome]) -> pa.Table:
    return pa.concat_tables([of_items(each.items, each.benchmark, each.model) for each in outcomes])


def _parquet(outcomes: Sequence[Outcome], folder: Path, date: str) -> Iterator[Path]:
    path = folder / "outcomes.parquet"
    write_table(path, _table(outcomes), OUTCOMES)
    yield path


def _csv(outcomes: Sequence[Outcome], folder: Path, date: str) -> Iterator[Path]:
    path = folder / "outcomes.csv"
    with atomic_path(path) as temporary:
        pacsv.write_csv(_table(outcomes), temporary)
    yield path


def _lm_eval(outcomes: Sequence[Outcome], folder: Path, date: str) -> Iterator[Path]:
    stamp = date.replace(":", "-")
    for model in dict.fromkeys(each.model for each in outcomes):
        tasks = {name: items for each in outcomes if each.model == model for name, items in _tasks(each)}
        own = folder / re.sub(r"[^A-Za-z0-9_.-]", "_", model)
        own.mkdir(exist_ok=True)
        for name, items in tasks.items():
            yield _written(own / f"samples_{name}_{stamp}.jsonl", "".join(f"{json.dumps(each)}\n" for each in _samples(items)))
        yield _written(own / f"results_{stamp}.json", json.dumps(_lm_results(model, tasks, date), indent=2))


def _tasks(outcome: Outcome) -> Iterator[tuple[str, pa.Table]]:
    """Name of each task, and its items: a set and kind of outcome."""
    for name in outcome.items["set"].unique().to_pylist():
        of_set = outcome.items.filter(pc.equal(outcome.items["set"], name))
        kinds = of_set["kind"].unique().to_pylist()
        for kind in kinds:
            parts = dict.fromkeys([outcome.benchmark, name, *([kind] if len(kinds) > 1 else [])])
            yield re.sub(r"[^A-Za-z0-9_.-]", "_", "_".join(parts)), of_set.filter(pc.equal(of_set["kind"], kind))


def _lm_results(model: str, tasks: Mapping[str, pa.Table], date: str) -> dict[str, Any]:
    results, counts = {}, {}
    for name, items in tasks.items():
        right = _scored(items)["correct"].to_numpy(zero_copy_only=False).astype(float)
        error = float(right.std(ddof=1) / math.sqrt(len(right))) if len(right) > 1 else None
        mean = float(right.mean()) if len(right) else None
        results[name] = {"name": name, "alias": name, "sample_len": len(right), "acc,none": mean, "acc_stderr,none": error}
        counts[name] = {"original": items.num_rows, "effective": len(right)}
    return {
        "results": results,
        "group_subtasks": {name: [] for name in tasks},
        "configs": {name: {"task": name, "output_type": "multiple_choice", "num_fewshot": 0} for name in tasks},
        "versions": dict.fromkeys(tasks),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": dict.fromkeys(tasks, {"acc": True}),
        "n-samples": counts,
        "config": {"model": "degla", "model_args": model},
        "model_source": "degla",
        "model_name": model,
        "model_name_sanitized": re.sub(r"[^A-Za-z0-9_.-]", "_", model),
        "start_date": date,
    }


def _samples(items: pa.Table) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(_scored(items).select(["item", "image", "label", "correct", "margin"]).to_pylist()):
        doc = {"item": row["item"], "image": row["image"]}
        target = row["label"] or ""
        scores = {"acc": float(row["correct"])} | ({} if row["margin"] is None else {"margin": row["margin"]})
        yield {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": {},
            "resps": [],
            "filtered_resps": [],
            "filter": "none",
            "metrics": list(scores),
            "doc_hash": _hash(json.dumps(doc)),
            "prompt_hash": _hash(""),
            "target_hash": _hash(target),
            **scores,
        }


DATASETS = {
    "sugarcrepe": "sugar_crepe",
    "imagenet": "imagenet1k",
    "imagenet_v2": "imagenetv2",
    "imagenet_a": "imagenet-a",
    "imagenet_r": "imagenet-r",
    "oxford_pets": "pets",
    "flowers102": "flowers",
    "stanford_cars": "cars",
    "coco_retrieval": "mscoco_captions",
    "flickr30k_retrieval": "flickr30k",
}
"""Card to CLIP_benchmark's name of a dataset, if it is another one."""

_CLASSES = {"accuracy": "acc1", "mean_per_class": "mean_per_class_recall"}
_PROBE = {"linear_probe_accuracy": "lp_acc1", "linear_probe_mean_per_class": "lp_mean_per_class_recall"}
_MATCH = {"image_accuracy": "image_acc", "text_accuracy": "text_acc", "group_accuracy": "acc"}


def _clip_benchmark(outcomes: Sequence[Outcome], folder: Path, date: str) -> Iterator[Path]:
    for each in outcomes:
        found = {measure.path: measure.value for measure in each.measures()}
        sets = each.items["set"].unique().to_pylist()
        for name in sets:
            own = {path.removeprefix(f"{name}/"): value for path, value in found.items() if path.startswith(f"{name}/")}
            kinds = set(each.items.filter(pc.equal(each.items["set"], name))["kind"].unique().to_pylist())
            task, metrics = _task(kinds, own)
            if metrics:
                dataset = DATASETS.get(each.benchmark.removesuffix("_probe"), each.benchmark)
                dataset += f"/{name}" if len(sets) > 1 else ""
                content = {"dataset": dataset, "model": each.model, "pretrained": "degla", "task": task, "metrics": metrics}
                path = folder / f"{dataset.replace('/', '_')}_degla_{each.model}_en_{task}.json"
                yield _written(path, json.dumps(content | {"language": "en"}))


def _task(kinds: set[str], found: Mapping[str, float]) -> tuple[str, dict[str, float]]:
    """CLIP_benchmark's task for a set with these kinds of outcomes, and its metrics; none if it has no such task."""
    if kinds & {TEXT_RETRIEVAL, IMAGE_RETRIEVAL}:
        return "zeroshot_retrieval", {path: value for path, value in found.items() if "_recall@" in path}
    if CHOICE in kinds:
        accuracy = found.get("accuracy_ties_right", found["accuracy"])
        return "image_caption_selection", {"image_acc": 1.0, "text_acc": accuracy, "acc": accuracy}
    names = [("image_caption_selection", _MATCH)] if MATCH_TEXT in kinds else []
    names += [("zeroshot_classification", _CLASSES), ("linear_probe", _PROBE)]
    for task, renamed in names:
        metrics = {new: found[old] for old, new in renamed.items() if old in found}
        if metrics:
            return task, metrics
    return "", {}


def _scored(items: pa.Table) -> pa.Table:
    return items.filter(pc.equal(items["status"], STATUS_OK))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _written(path: Path, text: str) -> Path:
    write_text_atomic(path, text)
    return path


FORMS: dict[str, Callable[[Sequence[Outcome], Path, str], Iterator[Path]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "lm-eval": _lm_eval,
    "clip-benchmark": _clip_benchmark,
}
