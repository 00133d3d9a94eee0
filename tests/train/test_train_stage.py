"""The stage with real ranks: its artifact, what it does when killed at any point, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.numpy import load_file
from small_inputs import TINY, make_inputs

from degla.artifacts import Artifact
from degla.errors import DataError, InputError, LostRankError, ModelError
from degla.train import TrainConfig, launch, run
from degla.train.job import Job

TIMES = {"train/seconds", "train/samples_per_second", "train/memory_gib"}
RUN = """
import sys
from pathlib import Path
from degla.artifacts import Artifact
from degla.train import TrainConfig, run
config = TrainConfig.model_validate_json(sys.argv[1])
run(config, {name: Artifact.load(Path(sys.argv[2]) / name) for name in ("prepare", "filter")}, Path(sys.argv[3]))
"""


def settings(architecture: Path, **changes) -> TrainConfig:
    common = {"steps": 40, "batch_size": 12, "lr": 1e-3, "warmup_steps": 5, "ranks": 2, "checkpoint_every": 5, "log_every": 1}
    model = {"architecture": str(architecture), "weights": "random"}
    return TrainConfig.model_validate({**common, "model": model, **changes})


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def ranks_of(folder: Path) -> list[int]:
    """Process ids of the ranks that train into this folder, in order of their rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
            environment = (path.parent / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        rank = next((word[5:] for word in environment if word.startswith("RANK=")), None)
        if "degla.train.worker" in words and rank is not None and any(str(folder) in word for word in words):
            found[int(rank)] = int(path.parent.name)
    return [found[rank] for rank in sorted(found)]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Inputs, an architecture, and the artifact of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("stage")
    architecture = folder / "tiny.json"
    architecture.write_text(json.dumps(TINY))
    inputs = make_inputs(folder / "inputs")
    os.environ["DEGLA_HOME"] = str(folder / "home")
    whole = run(settings(architecture), inputs, folder / "whole")
    return folder, architecture, inputs, whole


@pytest.mark.slow
def test_the_artifact_is_a_model_that_plain_open_clip_loads(world):
    _, _, inputs, whole = world
    assert whole.counts["steps"] == 40
    assert whole.counts["samples"] == 480
    assert whole.counts["captions"] == 60
    names = {"metrics.jsonl", "losses.png", "training.json", "model/open_clip_config.json", "model/open_clip_model.safetensors"}
    assert set(whole.manifest.files) == names | {"model/training.json", "model/README.md"}
    assert not (whole.path / "checkpoints").exists()
    assert not (whole.path / "work").exists()
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{whole.path / 'model'}")
    assert model.logit_scale.shape == ()
    assert torch.isfinite(model.encode_text(open_clip.get_tokenizer(f"local-dir:{whole.path / 'model'}")(["a ball"]))).all()
    training = json.loads((whole.path / "model" / "training.json").read_text())
    assert training["lineage"]["filter"] == inputs["filter"].fingerprint
    assert training["lineage"]["train"] == whole.fingerprint


@pytest.mark.slow
def test_metrics_have_a_line_for_every_step_and_the_loss_falls(world):
    lines = metrics(world[3].path)
    assert [line["step"] for line in lines] == list(range(1, 41))
    parts = {"total", "contrastive", "image_grounded", "text_grounded", "distillation"}
    assert {f"train/loss/{name}" for name in parts} | {"train/lr", "train/logit_scale", "step", "train/samples"} == set(lines[0])
    assert lines[0]["train/loss/distillation"] < 1e-12  # student and teacher are still one
    assert np.mean([line["train/loss/total"] for line in lines[-5:]]) < np.mean([line["train/loss/total"] for line in lines[:5]])


@pytest.mark.slow
def test_a_finished_artifact_is_handed_back(world):
    folder, architecture, inputs, whole = world
    assert run(settings(architecture), inputs, folder / "whole").manifest == whole.manifest


@pytest.mark.slow
def test_a_run_that_loses_a_rank_and_is_killed_ends_as_if_nothing_had_happened(world):
    folder, architecture, inputs, whole = world
    out_dir, config = folder / "killed", settings(architecture)

    # Once a rank is killed: the stage names the fault, and the other rank goes with it.
    def stage():
        return subprocess.Popen([sys.executable, "-c", RUN, config.model_dump_json(), folder / "inputs", out_dir])

    first = stage()
    wait_for(lambda: any((out_dir / "checkpoints").glob("step-*")))
    pids = ranks_of(out_dir)
    assert len(pids) == 2
    os.kill(pids[1], signal.SIGKILL)
    assert first.wait(timeout=60) != 0
    assert ranks_of(out_dir) == []
    before = max(path.name for path in (out_dir / "checkpoints").glob("step-*"))
    assert before < "step-000035", "killed too late to show anything"

    # Once the stage is killed with -9: its ranks go with it, and leave their checkpoints.
    second = stage()
    wait_for(lambda: max(path.name for path in (out_dir / "checkpoints").glob("step-*")) > before)
    second.kill()
    second.wait()
    wait_for(lambda: ranks_of(out_dir) == [], seconds=20)
    assert not (out_dir / "manifest.json").exists()
    assert len(list((out_dir / "checkpoints").glob("step-*"))) <= config.keep_checkpoints

    artifact = run(config, inputs, out_dir)
    one, two = (load_file(a.path / "model" / "open_clip_model.safetensors") for a in (whole, artifact))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert metrics(artifact.path) == metrics(whole.path)


@pytest.mark.slow
def test_two_machines_train_what_one_does_with_as_many_ranks(world):
    """Both are this machine, by two of its loopback addresses; each has its own stage and launcher."""
    folder, architecture, inputs, whole = world
    hostfile, out_dir = folder / "hosts.txt", folder / "nodes"
    hostfile.write_text("127.0.0.1 slots=1\n127.0.0.2 slots=1  # the second\n")
    config = settings(architecture, hostfile=str(hostfile))
    arguments = [sys.executable, "-c", RUN, config.model_dump_json(), folder / "inputs", out_dir]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)  # of the cores for each, so that a rank has as many threads as in the run on one machine
    stages = []
    try:
        for node, own in ((1, cores[-half:]), (0, cores[:half])):
            command = ["taskset", "-c", ",".join(map(str, own)), *arguments]
            stages.append(subprocess.Popen(command, env=environment | {"DEGLA_NODE_RANK": str(node)}))
        wait_for(lambda: len(ranks_of(out_dir)) == 2)
        launchers = {int(Path(f"/proc/{pid}/stat").read_text().split()[3]) for pid in ranks_of(out_dir)}
        assert len(launchers) == 2
        assert [stage.wait(timeout=200) for stage in stages] == [0, 0]
    finally:
        for stage in stages:
            stage.kill()
    artifact = Artifact.load(out_dir)
    assert artifact.fingerprint == whole.fingerprint
    assert metrics(artifact.path) == metrics(whole.path)
    one, two = (load_file(a.path / "model" / "open_clip_model.safetensors") for a in (whole, artifact))
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_a_lost_rank_is_a_passing_fault_and_a_changed_checkpoint_is_refused(world):
    folder, architecture, inputs, _ = world
    out_dir = folder / "lost"
    config = settings(architecture, steps=20000, ranks=1, checkpoint_every=5)

    def kill():
        wait_for(lambda: any((out_dir / "checkpoints").glob("step-*")))
        os.kill(ranks_of(out_dir)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(LostRankError, match="last checkpoint"):
        run(config, inputs, out_dir)
    killer.join()

    latest = max((out_dir / "checkpoints").glob("step-*"))
    record = json.loads((latest / "checkpoint.json").read_text())
    other = {**record, "shapes": {**record["shapes"], "text_projection": [16, 99]}}
    (latest / "checkpoint.json").write_text(json.dumps(other))
    with pytest.raises(ModelError, match=r"text_projection is \(16, 99\), expected \(16, 16\)"):
        run(config, inputs, out_dir)

    (latest / "checkpoint.json").write_text(json.dumps(record))
    engine_file = next((latest / "engine").iterdir())
    engine_file.write_bytes(engine_file.read_bytes() + b"x")
    with pytest.raises(DataError, match=rf"{engine_file.name}.*Delete"):
        run(config, inputs, out_dir)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(world, capfd):
    folder, architecture, inputs, _ = world
    with pytest.raises(InputError, match=r"loss is nan at step \d+: lower train.lr"):
        run(settings(architecture, lr=1e30, ranks=1), inputs, folder / "diverged")
    assert "Traceback" not in capfd.readouterr().err


def test_a_dataset_without_images_stops_before_any_rank_starts(make, tiny, tmp_path):
    inputs = make(num_images=4, bad=(0, 1, 2, 3))
    with pytest.raises(InputError, match="train needs images"):
        run(settings(Path(tiny)), inputs, tmp_path / "out")


def test_the_losses_are_drawn_while_the_ranks_are_at_work(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_SECONDS_BETWEEN_PLOTS", 0.1)
    job = Job(config=settings(tmp_path), out_dir=tmp_path, work_dir=tmp_path, threads=1, lineage={})
    job.metrics_path.write_text('{"step": 1, "train/loss/total": 2.0}\n')
    code = f"import pathlib, sys, time; time.sleep(3); sys.exit(7 + pathlib.Path({str(job.plot_path)!r}).exists())"
    assert launch._watched(subprocess.Popen([sys.executable, "-c", code]), launch.LossPlot(job)) == 8


def test_importing_the_stage_loads_no_torch():
    code = "import sys, degla.train.stage; print(sorted({'torch', 'deepspeed', 'open_clip'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
