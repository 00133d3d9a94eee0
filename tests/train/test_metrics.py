"""What a run tells: the same figures in every sink, no step twice however often it goes on, and one line for people."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from small_inputs import NO_IMAGES

from degla.errors import ConfigError
from degla.progress import read_progress
from degla.text_files import read_json_lines
from degla.train.config import TrainConfig
from degla.train.job import Job
from degla.train.metrics import MetricsFile, TensorBoard, WandB, check_installed
from degla.train.recorder import Recorder, note

LOSSES = {"total": 2.0, "contrastive": 1.5, "igc": 0.5}


def job(folder: Path, *trackers: str) -> Job:
    config = TrainConfig(batch_size=64, trackers=trackers)
    return Job(config=config, out_dir=folder, work_dir=folder, threads=1, **NO_IMAGES, lineage={"train": "0123456789abcdef"})


def test_a_run_that_goes_on_keeps_the_steps_before_and_no_others(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, 0)
    for step in (1, 2, 3):
        first.write(step, {"x": step / 2})
    with path.open("a") as file:
        file.write('{"step": 4, "x"')  # killed in the middle of a line
    MetricsFile(path, 2).write(3, {"x": 9.0})
    kept = [line for _, line in read_json_lines(path, growing=True)]
    assert kept == [{"step": 1, "x": 0.5}, {"step": 2, "x": 1.0}, {"step": 3, "x": 9.0}]


def test_the_line_says_losses_speed_rate_and_memory():
    text = note(LOSSES, 1310.4, 6.8e-5, 1.24)
    assert text == "loss 2.000 (contrastive 1.500, igc 0.500), 1,310 samples/s, lr 6.8e-05, 1.2 GiB"


def test_memory_is_what_the_process_holds():
    code = (  # in a process of its own: a peak does not fall again, and this one's may be high already
        "from degla.train.recorder import peak_memory; before = peak_memory(); held = b'x' * (300 << 20);"
        " print(peak_memory() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(300 / 1024, abs=0.1)


def test_a_recorder_tells_every_sink_and_people_the_same(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="degla"):
        recorder = Recorder(job(tmp_path), steps=10, done=0)
        recorder.record(1, LOSSES, 1e-4, 100.0, 0.5)
        recorder.record(10, LOSSES, 5e-5, 99.0, 1.257)
        recorder.finish(10, {"captions_cut": 3})
    (_, first), (_, last) = read_json_lines(tmp_path / "metrics.jsonl")
    assert (first["train/loss/total"], last["train/samples"], last["train/lr"]) == (2.0, 640, 5e-5)
    (_, fast), (_, faster) = read_json_lines(tmp_path / "speed.jsonl")
    assert set(fast) >= {"train/samples_per_second", "train/memory_gib", "train/seconds"}
    assert not set(fast) & set(first) - {"step"}
    assert (fast["train/data_wait_seconds"], faster["train/data_wait_seconds"]) == (0.5, 1.26)
    line = caplog.messages[-1]
    assert line.startswith("training: 10/10 steps (100 %), ")
    for part in ("loss 2.000", "contrastive 1.500", "samples/s", "lr 5.0e-05", "GiB"):
        assert part in line
    assert read_progress(tmp_path).note in line
    assert json.loads((tmp_path / "training.json").read_text())["final_losses"] == LOSSES


def test_tensorboard_shows_the_figures_and_no_step_twice(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is missing")
    for start, factor in ((0, 1.0), (2, 10.0)):
        sink = TensorBoard(job(tmp_path), start)
        for step in range(start + 1, start + 4):
            sink.write(step, {"train/loss/total": factor * step})
        sink.close()
    events = accumulators.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss/total")]
    assert shown == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]


def test_wandb_takes_the_figures_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is missing")
    monkeypatch.setenv("WANDB_MODE", "offline")
    sink = WandB(job(tmp_path), 0)
    sink.write(1, {"train/loss/total": 2.0})
    sink.close()
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-0123456789abcdef.wandb")
    assert b"train/loss/total" in file.read_bytes()


def test_a_tracker_that_is_not_installed_is_named_before_anything_starts(monkeypatch):
    for name in ("tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ConfigError, match=f"{name}, which is not installed: pip install {name}"):
            check_installed((name,))
    check_installed(())
