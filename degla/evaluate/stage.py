"""The evaluate stage: every benchmark, scored for every model, side by side.

First one pass: each distinct image and text of all benchmarks is encoded once per model. Then each benchmark is scored by
arithmetic on those features. A unit (model, benchmark) is `items/<model>/<benchmark>.parquet`, one row per item, then
`results/<model>/<benchmark>.json`, the metrics. A killed run resumes from its units. All items together give `scores.json`,
`scores.parquet`, `shortcut.json` and `comparison.md`.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from degla.artifacts import Artifact, building
from degla.errors import InputError, MissingInputError
from degla.evaluate import units
from degla.evaluate.benchmark import Benchmark
from degla.evaluate.bringing import bring
from degla.evaluate.comparison import comparison
from degla.evaluate.config import BenchmarkRef, EvaluateConfig
from degla.evaluate.features.store import StoredFeatures
from degla.evaluate.interpolation.results import check_kept, write_results
from degla.evaluate.items import score_set, texts_of
from degla.evaluate.readers import read_benchmark
from degla.evaluate.references import check_required
from degla.evaluate.shown import write_shown
from degla.files import write_text_atomic
from degla.home import artifact_root
from degla.outcomes.scores import write_scores
from degla.outcomes.shortcut import SHORTCUT_FILE, as_json
from degla.progress import Progress

logger = logging.getLogger(__name__)

FEATURES = "features"
"""Folder of the features."""


def evaluate(config: EvaluateConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Score the models on `config.benchmarks`; the artifact's `scores.json` is a list of `ScoreRecord`.

    A benchmark whose files are missing is left out, with a message. A benchmark whose files are wrong ends the run after the
    others are scored.

    Raises:
        InputError: a benchmark's file is wrong, no benchmark could be scored, or the model that training started from has
            changed.
        ModelError: a model does not fit its weights, or before and after differ in activation, preprocessing or context, so that
            scores are not comparable; or `evaluate.reference` requires published scores that a base model does not have.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        units.take_over(build, config)
        run = _Run(config, inputs, out_dir)
        run.encode()
        problems = [problem for ref in config.benchmarks if (problem := run.score(ref))]
        if problems:
            raise problems[0]
        if config.reference == "require":
            check_required(units.reference_checks(config, out_dir, config.benchmarks))
        brought = bring(config, out_dir)
        names = units.files(config, out_dir, brought)
        names += write_shown(config, run.scored(), brought, out_dir)
        records = units.records(config, out_dir, brought)
        shortcuts = units.shortcuts(config, out_dir, brought)
        write_text_atomic(out_dir / SHORTCUT_FILE, as_json(shortcuts))
        write_text_atomic(out_dir / "comparison.md", comparison(config, out_dir, records, brought, shortcuts))
        counts = units.counts(config, out_dir, records, brought)
        if config.interpolate:
            names += write_results(config, config.interpolate, inputs["train"], out_dir, build.fingerprint)
        shutil.rmtree(out_dir / FEATURES, ignore_errors=True)
        return build.finish(counts, [*names, "comparison.md", SHORTCUT_FILE, *write_scores(out_dir, records)])


@dataclass
class _Run:
    """The benchmarks read so far, and the work still to do."""

    config: EvaluateConfig
    inputs: Mapping[str, Artifact]
    out_dir: Path
    progress: Progress = field(init=False)
    _read: dict[str, Benchmark | InputError] = field(default_factory=dict)
    _stores: dict[str, StoredFeatures] = field(default_factory=dict)

    def __post_init__(self) -> None:
        every = [(model, ref) for model in self.config.encoded_names for ref in self.config.benchmarks]
        done = sum(units.finished(self.out_dir, model, ref) for model, ref in every)
        self.progress = Progress(self.out_dir, "scoring", len(every), "results", done)

    def encode(self) -> None:
        """Encode what the models' stores lack, for every benchmark without all its results."""
        if self.config.interpolate:
            check_kept(self.config.interpolate, self.inputs["train"])
        models = self.config.encoded_names
        pending = [ref for ref in self.config.benchmarks if not units.all_finished(self.out_dir, models, ref)]
        sets = [each for ref in pending if isinstance(found := self.benchmark(ref), Benchmark) for each in found.sets]
        if not sets or all((self.out_dir / units.model_file(model)).is_file() for model in models):
            return
        from degla.evaluate.features.passes import encode_all

        images = [image for each in sets for image in each.images]
        texts = [text for each in sets for text in texts_of(each)]
        folder = self._features_dir()
        encode_all(self.config, self.inputs, self.out_dir, folder, images, texts, lambda note: self.progress.advance(0, note))

    def _features_dir(self) -> Path:
        """Below the artifact root, or in the artifact while it is made. The root is two folders up from an artifact of an
        experiment, which may name a root of its own."""
        if not self.config.keep_features:
            return self.out_dir / FEATURES
        of_experiment = self.out_dir.parent.name == self.config.stage
        return (self.out_dir.parents[1] if of_experiment else artifact_root()) / FEATURES

    def score(self, ref: BenchmarkRef) -> InputError | None:
        """Make the missing results of one benchmark, or record why they cannot be made.

        Returns:
            What is wrong with the benchmark's files; None if it was scored or its files are only missing.
        """
        for model in self.config.encoded_names:
            if units.finished(self.out_dir, model, ref):
                continue
            benchmark = self.benchmark(ref)
            if isinstance(benchmark, MissingInputError):
                self._leave_out(model, ref, benchmark)
                continue
            if isinstance(benchmark, InputError):
                return benchmark
            described = units.read_model(self.out_dir, model)
            self.progress.advance(0, f"{ref.title} {model}")
            try:
                items, lacking = self._items(benchmark, described)
            except InputError as error:
                return error
            if not items:
                self._leave_out(model, ref, lacking[0])
                continue
            units.write(self.out_dir, model, ref, benchmark, pa.concat_tables(items), lacking, described)
            self.progress.advance(1, f"{ref.title} {model}")
        return None

    def _items(self, benchmark: Benchmark, described: Mapping[str, Any]) -> tuple[list[pa.Table], list[MissingInputError]]:
        """The items of each set that can be scored, and why the others cannot."""
        items: list[pa.Table] = []
        lacking: list[MissingInputError] = []
        features = self._features(described)
        for benchmark_set in benchmark.sets:
            try:
                items.append(score_set(benchmark_set, features))
            except MissingInputError as error:
                lacking.append(error)
        return items, lacking

    def _features(self, described: Mapping[str, Any]) -> StoredFeatures:
        """Of one model, whose store is opened once for all benchmarks."""
        name = described["model"]
        if name not in self._stores:
            self._stores[name] = StoredFeatures(self._features_dir() / described["features"], described["undecodable"])
        return self._stores[name]

    def scored(self) -> dict[str, Benchmark]:
        """The benchmarks that models of the run were scored on, by title."""
        read = {ref.title: self.benchmark(ref) for ref in units.scored(self.config, self.out_dir)}
        return {title: found for title, found in read.items() if isinstance(found, Benchmark)}

    def benchmark(self, ref: BenchmarkRef) -> Benchmark | InputError:
        """The benchmark, read once; or why it cannot be read."""
        if ref.title not in self._read:
            try:
                self._read[ref.title] = read_benchmark(ref.card())
            except InputError as error:
                self._read[ref.title] = error
        return self._read[ref.title]

    def _leave_out(self, model: str, ref: BenchmarkRef, error: MissingInputError) -> None:
        if model == self.config.model_names[0]:
            logger.warning("%s is not scored: %s", ref.title, error)
        units.write_missing(self.out_dir, model, ref, str(error))
        self.progress.advance(1, f"{ref.title} {model}: not scored")
