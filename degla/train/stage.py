"""The train stage: join the data, start the ranks, watch them, and collect what they made.

Ranks are started by DeepSpeed's own launcher. This module loads no torch: it starts fast and holds no GPU.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from degla.artifacts import Artifact, Building, building
from degla.errors import ConfigError, InputError, LostRankError
from degla.files import write_text_atomic
from degla.train.config import TrainConfig
from degla.train.data import join
from degla.train.job import Job
from degla.train.metrics import check_installed
from degla.train.model_card import CARD_FILE, model_card

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_PLOTS = 30.0

# Without these glibc gives pages back after every step and the kernel clears them anew: half of a CPU step's time.
_CPU_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def train(config: TrainConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Fine-tune the model; the artifact holds `model/`, `metrics.jsonl`, `losses.png` and `training.json`.

    Args:
        config: model, objective, recipe.
        inputs: `prepare` (images) and `filter` (captions with negatives).
        out_dir: the artifact's folder; a killed run goes on from its last checkpoint there.

    Raises:
        InputError: no image, or a configuration, model or checkpoint that does not fit.
        LostRankError: a rank died; running again goes on from the last checkpoint.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        check_installed(config.trackers)
        job = _job(build, config, inputs)
        counts = _joined(job, inputs)
        _run_ranks(job)
        _plot(job)
        summary = json.loads(job.summary_path.read_text())
        lineage = {**inputs["filter"].manifest.inputs, **build.inputs, "train": build.fingerprint}
        card = model_card(config, inputs, lineage, build.raw["model"], counts, summary)
        write_text_atomic(job.model_dir / CARD_FILE, card)
        shutil.rmtree(job.checkpoint_dir, ignore_errors=True)
        shutil.rmtree(job.work_dir)
        losses = {f"final_{name}": round(value, 4) for name, value in summary["final_losses"].items()}
        files = [f"model/{path.name}" for path in sorted(job.model_dir.iterdir())]
        return build.finish(
            {"steps": summary["steps"], "samples": summary["samples"], **counts, **losses},
            [*files, job.metrics_path.name, job.summary_path.name, job.plot_path.name],
        )


def _job(build: Building, config: TrainConfig, inputs: Mapping[str, Artifact]) -> Job:
    ranks = num_ranks(config)
    threads = max(1, _num_cores() // ranks - 1)
    lineage = {**build.inputs, "train": build.fingerprint}
    lineage |= {f"{stage}_path": str(inputs[stage].path) for stage in config.needs}
    return Job(config=config, out_dir=build.path, work_dir=build.path / "work", threads=threads, lineage=lineage)


def _joined(job: Job, inputs: Mapping[str, Artifact]) -> dict[str, int]:
    """Counts of the join, which is made once: existence of its record means done."""
    record = job.work_dir / "join.json"
    if not record.is_file():
        images, training = inputs["prepare"].file("images.parquet"), inputs["filter"].file("training.parquet")
        counts = join(images, training, job.config.types, job.work_dir)
        write_text_atomic(record, json.dumps(asdict(counts)))
    return json.loads(record.read_text())


def num_ranks(config: TrainConfig) -> int:
    """As configured, or one per GPU, or 1. Raises ConfigError where there are fewer GPUs than ranks."""
    gpus = _num_gpus()
    if gpus and config.ranks > gpus:
        raise ConfigError(f"train.ranks={config.ranks}, but there are {gpus} GPUs: lower it, or 0 for one rank per GPU")
    return config.ranks or gpus or 1


def _num_gpus() -> int:
    """As torch counts them, so that CUDA_VISIBLE_DEVICES is honoured; not asked where no driver is loaded."""
    if not Path("/dev/nvidiactl").exists():
        return 0
    command = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))


def _run_ranks(job: Job) -> None:
    """Start all ranks and wait for their end. They end with this process, however it ends."""
    ranks, gpus = num_ranks(job.config), _num_gpus()
    job.clear_failures()
    logger.info("training with %d rank%s on %s", ranks, "s" if ranks > 1 else "", "GPUs" if gpus else "the CPU")
    launcher = subprocess.Popen(_command(job, ranks), env=_environment(ranks, gpus))
    try:
        code = _watched(launcher, job)
    finally:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait()
    if code:
        raise _failure(job, code)


def _watched(launcher: subprocess.Popen[bytes], job: Job) -> int:
    """The launcher's exit code; until then the losses are drawn now and then, ever more rarely in a long run."""
    start = drawn = time.monotonic()
    while True:
        try:
            return launcher.wait(timeout=1)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now - drawn > max(_SECONDS_BETWEEN_PLOTS, (now - start) / 20):
                drawn = now
                _plot(job)


def _plot(job: Job) -> None:
    from degla.plots import plot_losses  # matplotlib takes its time to load

    plot_losses(job.metrics_path, job.plot_path)


def _command(job: Job, ranks: int) -> list[str]:
    world = base64.urlsafe_b64encode(json.dumps({"localhost": list(range(ranks))}).encode()).decode()
    return [
        *(sys.executable, "-m", "degla.train.lifeline"),
        *(f"--world_info={world}", f"--master_port={_free_port()}", "--no_local_rank", "--quiet", "--module"),
        *("degla.train.worker", str(job.write())),
    ]


def _environment(ranks: int, gpus: int) -> dict[str, str]:
    threads = str(max(1, _num_cores() // ranks))
    environment = os.environ | {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    if not gpus:
        environment |= {"DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo", **_CPU_MALLOC}
    return environment


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _failure(job: Job, code: int) -> Exception:
    """The error to raise: the user's input first, then a bug, else a lost rank."""
    failures = job.failures()
    for wanted in (InputError, RuntimeError):
        for failure in failures:
            if isinstance(failure, wanted):
                return failure
    reason = str(failures[0]) if failures else f"the launcher ended with code {code}"
    return LostRankError(f"a training rank died ({reason}); running again goes on from the last checkpoint")
