"""The train stage: join the data, start the ranks, and collect their results.

This module loads no torch: it starts fast and holds no GPU.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from degla.artifacts import Artifact, Building, building
from degla.files import finished_files, write_text_atomic
from degla.images import IMAGES_FILE
from degla.tradeoff import KEPT_DIR
from degla.train.batches.data import Samples, join, make_plan
from degla.train.config import TrainConfig
from degla.train.job import WORK_DIR, Job
from degla.train.launch import join_in, run_ranks
from degla.train.metrics import check_installed
from degla.train.model_card import CARD_FILE, model_card
from degla.train.nodes import node_rank, num_cores, ranks_by_node


def train(config: TrainConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Fine-tune the model; the artifact holds `model/`, `metrics.jsonl`, `losses.png` and `training.json`, and beside these,
    without a checksum, `speed.jsonl`.

    Args:
        config: model, objective, recipe.
        inputs: `prepare` (images) and `filter` (captions with negatives).
        out_dir: the artifact's folder; a killed run continues from its last checkpoint there. Several machines share it, and
            all but the first return it once the first has finished it.

    Raises:
        InputError: no usable image, a configuration, model or checkpoint that does not fit, or a loss that is not finite.
        PassingFault: it was told to stop (SIGTERM) and saved a checkpoint.
        LostRankError: a rank died or hung; running again continues from the last checkpoint.
    """
    if node_rank(config):
        join_in(out_dir, ranks_by_node(config), node_rank(config))
        return Artifact.load(out_dir)
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        check_installed(config.trackers)
        nodes = ranks_by_node(config)
        job = _job(build, config, inputs, next(iter(nodes.values())))
        counts = _joined(job, inputs)
        make_plan(config, Samples(job.work_dir), num_ranks=sum(nodes.values()))  # refuses what does not fit
        job.write()
        run_ranks(job, nodes)
        summary = json.loads(job.summary_path.read_text())
        lineage = {**inputs["filter"].manifest.inputs, **build.inputs, "train": build.fingerprint}
        card = model_card(config, inputs, lineage, build.raw["model"], counts, summary)
        write_text_atomic(job.model_dir / CARD_FILE, card)
        shutil.rmtree(job.checkpoint_dir, ignore_errors=True)
        shutil.rmtree(job.work_dir)
        losses = {f"final_{name}": round(value, 4) for name, value in summary["final_losses"].items()}
        files = [f"model/{path.name}" for path in sorted(job.model_dir.iterdir())]
        files += [f"{KEPT_DIR}/{path.name}" for path in finished_files(out_dir / KEPT_DIR, "*.safetensors")]
        return build.finish(
            {
                "steps": summary["steps"],
                "samples": summary["samples"],
                "negatives_each": config.num_negatives,
                **counts,
                **summary["counts"],
                **losses,
            },
            [*files, job.metrics_path.name, job.summary_path.name, job.plot_path.name],
        )


def _job(build: Building, config: TrainConfig, inputs: Mapping[str, Artifact], ranks_here: int) -> Job:
    threads = max(1, num_cores() // ranks_here - 1)
    return Job(
        config=config,
        out_dir=build.path,
        work_dir=build.path / WORK_DIR,
        images_path=inputs["prepare"].file(IMAGES_FILE),
        short_side=inputs["prepare"].manifest.config["short_side"],
        threads=threads,
        lineage={**build.inputs, "train": build.fingerprint},
    )


def _joined(job: Job, inputs: Mapping[str, Artifact]) -> dict[str, int]:
    """Counts of the join, which is made once: its record means done."""
    record = job.work_dir / "join.json"
    if not record.is_file():
        counts = join(job.images_path, inputs["filter"].file("training.parquet"), job.config.types, job.work_dir)
        write_text_atomic(record, json.dumps(asdict(counts)))
    return json.loads(record.read_text())
