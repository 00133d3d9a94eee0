"""The stage with real ranks: its artifact, what it does when killed at any point, and what it refuses."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from small_inputs import NO_IMAGES, TINY, make_inputs
from torch.distributed import DistBackendError

from degla.artifacts import Artifact
from degla.errors import ConfigError, DataError, InputError, LostRankError, ModelError, StorageError
from degla.models.loading import load
from degla.train import TrainConfig, launch, run, stage, worker
from degla.train.checkpoint import Checkpoints
from degla.train.job import Job

RUN = """
import sys
from pathlib import Path
from degla.artifacts import Artifact
from degla.experiments.cli import run_command
from degla.train import TrainConfig, run
config = TrainConfig.model_validate_json(sys.argv[1])
inputs = {name: Artifact.load(Path(sys.argv[2]) / name) for name in ("prepare", "filter")}
sys.exit(run_command("train", lambda: run(config, inputs, Path(sys.argv[3]))))
"""
GLOO = "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/"
CLOSED = (LostRankError, r"lost contact to another rank: Connection closed by peer \[::1\]:5$")
GOLDEN = Path(__file__).with_name("golden.txt")
"""Losses of ten seeded steps. To write it anew: DEGLA_WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/train -k golden"""


def settings(architecture: Path, **changes) -> TrainConfig:
    common = {"steps": 40, "batch_size": 12, "lr": 1e-3, "warmup_steps": 5, "checkpoint_every": 5, "log_every": 1}
    common |= {"ranks": 2, "zero_stage": 1}
    model = {"architecture": str(architecture), "weights": "random"}
    return TrainConfig.model_validate({**common, "model": model, **changes})


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


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
    parts = {"total", "contrastive", "igc", "tgc", "distill"}
    assert {f"train/loss/{name}" for name in parts} | {"train/lr", "train/logit_scale", "step", "train/samples"} == set(lines[0])
    assert lines[0]["train/loss/distill"] < 1e-12  # student and teacher are still one
    assert np.mean([line["train/loss/total"] for line in lines[-5:]]) < np.mean([line["train/loss/total"] for line in lines[:5]])


@pytest.mark.slow
def test_a_finished_artifact_is_handed_back(world):
    folder, architecture, inputs, whole = world
    assert run(settings(architecture), inputs, folder / "whole").manifest == whole.manifest


@pytest.mark.slow
def test_ten_seeded_steps_have_the_golden_losses(world):
    names = ("total", "contrastive", "igc", "tgc", "distill")
    found = np.array([[line[f"train/loss/{name}"] for name in names] for line in metrics(world[3].path)[:10]])
    if os.environ.get("DEGLA_WRITE_GOLDEN"):
        np.savetxt(GOLDEN, found, fmt="%.8e", header=" ".join(names))
    golden = np.loadtxt(GOLDEN)
    np.testing.assert_allclose(found[:, 0], golden[:, 0], rtol=2e-6)  # 4e-7 without AVX, or with other threads
    np.testing.assert_allclose(found[:, 1:], golden[:, 1:], rtol=1e-5, atol=1e-6)


def start(config: TrainConfig, folder: Path, out_dir: Path) -> subprocess.Popen[str]:
    """The stage in a process group of its own."""
    command = [sys.executable, "-c", RUN, config.model_dump_json(), folder / "inputs", out_dir]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def step_of(out_dir: Path) -> int:
    """The step under way, as the ranks note it; -1 before the first."""
    path = out_dir / "work" / "step"
    try:
        return int(path.read_text() or -1)
    except FileNotFoundError:  # not there yet, or gone with the work folder of a run that has ended
        return -1


def weights_of(artifact) -> dict[str, np.ndarray]:
    return load_file(artifact.path / "model" / "open_clip_model.safetensors")


def averaged(config: TrainConfig, artifact) -> dict[str, np.ndarray]:
    """The teacher by its definition: the average of the start and of the student after each step, all of which were kept."""
    alpha = 0.039 ** (1 / config.steps)  # the start's weight after all steps is 0.039
    teacher = {name: value.double().numpy() for name, value in load(config.model, seed=config.seed).model.state_dict().items()}
    steps = [artifact.path / "candidates" / f"step_{step}.safetensors" for step in range(1, config.steps)]
    for student in [*map(load_file, steps), weights_of(artifact)]:
        teacher = {name: alpha * value + (1 - alpha) * student[name] for name, value in teacher.items()}
    return teacher


@pytest.mark.slow
@pytest.mark.parametrize("zero_stage", [1, 3])
def test_a_run_that_loses_a_rank_and_is_killed_ends_as_if_nothing_had_happened(world, zero_stage):
    folder, architecture, inputs, whole = world
    out_dir, config = folder / f"killed-{zero_stage}", settings(architecture, zero_stage=zero_stage)
    if zero_stage == 3:
        config = settings(architecture, zero_stage=3, keep_weights_every=10)
        whole = run(config, inputs, folder / "whole-3")
    first_step, second_step = random.randint(5, 15), random.randint(20, 34)  # in the log: -s shows it

    # Once a rank is killed: the stage names the place, and the other rank goes with it.
    first = start(config, folder, out_dir)
    wait_for(lambda: step_of(out_dir) >= first_step)
    pids = ranks_of(out_dir)
    assert len(pids) == 2
    os.kill(pids[1], signal.SIGKILL)
    print(f"--- ZeRO {zero_stage}: kill -9 of rank 1 once {first_step} steps were done")
    message = first.communicate(timeout=90)[1]
    assert first.returncode == 75
    assert re.search(r"train: error: .* at step \d+, captions (\d+, ){7}\d+ and 4 more in \S+; the last checkpoint is", message)
    print(message, end="")
    assert ranks_of(out_dir) == []
    assert step_of(out_dir) < second_step, "killed too late to show anything"

    # Once the stage is killed with -9: its ranks go with it, and leave their checkpoints.
    second = start(config, folder, out_dir)
    wait_for(lambda: step_of(out_dir) >= second_step)
    second.kill()
    print(f"--- ZeRO {zero_stage}: kill -9 of the whole run once {second_step} steps were done")
    second.communicate()
    wait_for(lambda: ranks_of(out_dir) == [], seconds=20)
    assert not (out_dir / "manifest.json").exists()
    assert 0 < len(list((out_dir / "checkpoints").glob("step-*"))) <= config.keep_checkpoints

    artifact = run(config, inputs, out_dir)
    one, two = weights_of(whole), weights_of(artifact)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert metrics(artifact.path) == metrics(whole.path)
    kept = [name for name in whole.manifest.files if name.startswith("candidates/")]
    assert len(kept) == (4 if zero_stage == 3 else 0)  # 3 students and the teacher
    assert [artifact.manifest.files[name] for name in kept] == [whole.manifest.files[name] for name in kept]
    print(f"--- ZeRO {zero_stage}: {len(one)} tensors and {len(metrics(whole.path))} steps' losses, bit by bit as never killed")


@pytest.mark.slow
def test_the_kept_teacher_is_the_average_of_the_start_and_of_all_students(world):
    folder, architecture, inputs, _ = world
    config = settings(architecture, steps=6, ranks=1, zero_stage=3, keep_weights_every=1, checkpoint_every=100)
    artifact = run(config, inputs, folder / "averaged")
    teacher, expected = load_file(artifact.path / "candidates" / "teacher.safetensors"), averaged(config, artifact)
    assert all(np.allclose(teacher[name], expected[name], rtol=0, atol=1e-6) for name in expected)


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
def test_a_run_that_is_told_to_stop_saves_and_goes_on_with_other_ranks_and_another_zero_stage(world):
    folder, architecture, inputs, whole = world
    out_dir = folder / "stopped"

    def stopped(step: int, group: bool, **changes) -> str:
        """Run until this step, send SIGTERM to the stage or its whole group, and return what it says."""
        (out_dir / "work" / "step").unlink(missing_ok=True)  # of the run before
        process = start(settings(architecture, **changes), folder, out_dir)
        wait_for(lambda: step_of(out_dir) >= step)
        (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
        message = process.communicate(timeout=60)[1]
        assert process.returncode == 75, message
        assert ranks_of(out_dir) == []
        return re.search(r"train: error: training was told to stop and saved step (\d+)", message)[1]

    first = stopped(6, group=False, ranks=2, zero_stage=3, checkpoint_every=1000)
    assert (out_dir / "checkpoints" / f"step-{int(first):06d}").exists()
    times = [json.loads(line)["train/seconds"] for line in (out_dir / "speed.jsonl").read_text().splitlines()]
    second = stopped(20, group=True, ranks=1, zero_stage=0, checkpoint_every=1)  # most of the time a checkpoint is being written
    assert int(first) < int(second) < 40

    artifact = run(settings(architecture, ranks=2, zero_stage=1), inputs, out_dir)
    lines = [json.loads(line) for line in (out_dir / "speed.jsonl").read_text().splitlines()]
    assert [line["train/seconds"] for line in lines[: int(first)]] == times[: int(first)]  # these steps ran once
    for one, two in zip(metrics(whole.path), metrics(artifact.path), strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-6)
    one, two = weights_of(whole), weights_of(artifact)
    for name in [name for name in one if not name.endswith("in_proj_bias")]:  # the keys' bias has no gradient but rounding
        assert np.linalg.norm(one[name] - two[name]) < 1e-3 * np.linalg.norm(one[name]) + 1e-6, name


@pytest.mark.slow
def test_a_rank_that_hangs_is_a_passing_fault_and_a_changed_checkpoint_is_refused(world):
    folder, architecture, inputs, _ = world
    out_dir = folder / "hanging"
    config = settings(architecture, steps=20000, rank_timeout_seconds=10)

    def hang():
        wait_for(lambda: any((out_dir / "checkpoints").glob("step-*")))
        os.kill(ranks_of(out_dir)[1], signal.SIGSTOP)

    hanging = threading.Thread(target=hang)
    hanging.start()
    with pytest.raises(LostRankError, match=r"hung .*at step \d+, captions .*; the last checkpoint is .*step-0000\d+\. Running"):
        run(config, inputs, out_dir)
    hanging.join()
    assert ranks_of(out_dir) == []

    config = config.model_copy(update={"ranks": 1})
    latest = max((out_dir / "checkpoints").glob("step-*"))
    record = json.loads((latest / "checkpoint.json").read_text())
    other = {**record, "shapes": {**record["shapes"], "text_projection": [16, 99]}}
    (latest / "checkpoint.json").write_text(json.dumps(other))
    with pytest.raises(ModelError, match=r"text_projection is \(16, 99\), expected \(16, 16\)"):
        run(config, inputs, out_dir)

    (latest / "checkpoint.json").write_text(json.dumps(record))
    state = latest / "student.safetensors"
    state.write_bytes(state.read_bytes() + b"x")
    with pytest.raises(DataError, match=rf"{state.name}.*Delete"):
        run(config, inputs, out_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lr", "every", "what", "step"),
    [(1e30, 1, "the training loss", 2), (1e30, 100, "the training loss", 2), (1e39, 1, "a weight", 1)],
)
def test_what_is_not_finite_stops_the_run_with_step_batch_and_last_good_checkpoint(world, capfd, lr, every, what, step):
    folder, architecture, inputs, _ = world
    out_dir = folder / f"diverged-{step}-{every}"
    last = out_dir / "checkpoints" / "step-000001" if step == 2 and every == 1 else "none: the run starts anew"
    config = settings(architecture, lr=lr, warmup_steps=0, ranks=1, checkpoint_every=every, log_every=every)
    with pytest.raises(InputError, match=rf"{what} is not finite at step {step}, captions .*; the last checkpoint is {last}"):
        run(config, inputs, out_dir)
    assert all(np.isfinite(line["train/loss/total"]) for line in metrics(out_dir))
    assert "Traceback" not in capfd.readouterr().err
    failed = json.loads((out_dir / "work" / "failed_batch.json").read_text())
    assert (failed["step"], len(set(failed["caption_ids"]) & set(range(100, 160)))) == (step, 12)


@pytest.mark.parametrize(
    ("changes", "words"), [({"batch_size": 13}, "cannot be split evenly over 2 ranks"), ({"batch_size": 62}, "only 60 captions")]
)
def test_a_batch_that_does_not_fit_stops_before_any_rank_starts(inputs, tiny, tmp_path, monkeypatch, changes, words):
    monkeypatch.setattr(stage, "run_ranks", lambda *_: pytest.fail("started"))
    monkeypatch.setattr(stage, "ranks_by_node", lambda config: {"localhost": 2})  # as on a machine with two GPUs
    with pytest.raises(ConfigError, match=words):
        run(settings(Path(tiny), ranks=0, **changes), inputs, tmp_path / "out")


@pytest.mark.slow
def test_a_disk_that_takes_no_checkpoint_is_named_and_nothing_of_it_stays(world):
    """A limit on the size of files stands in for the full disk."""
    folder, architecture, _, _ = world
    out_dir, config = folder / "full", settings(architecture)
    left = out_dir / "checkpoints" / ".tmp-000003"  # of a run that was killed while it wrote
    left.mkdir(parents=True)
    command = ["prlimit", "--fsize=6000000", sys.executable, "-c", RUN, config.model_dump_json(), folder / "inputs", out_dir]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert f"train: error: cannot write below {out_dir}: [Errno 27] File too large. Free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((out_dir / "checkpoints").iterdir()) == []
    assert len(metrics(out_dir)) == 5


def test_room_for_all_checkpoints_at_once_is_looked_for_before_the_first_step(tmp_path, monkeypatch):
    def run_of(steps: int, done: int = 0, size: int = 16_000_000_000, kept: int = 0) -> SimpleNamespace:
        return SimpleNamespace(steps=steps, done=done, state_bytes=lambda: size, kept_bytes=lambda: kept)

    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2, rank=0)
    free = 3 * 16_000_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    checkpoints.check_room(run_of(1000), every=100)
    free -= 1000
    with pytest.raises(StorageError, match=r"16.0 GB, 3 of them at a time, need 48.0 GB, but 48.0 GB are free.*keep_checkpoints"):
        checkpoints.check_room(run_of(1000), every=100)
    checkpoints.check_room(run_of(1000, size=12_000_000_000), every=100)
    checkpoints.check_room(run_of(1000, done=800), every=100)
    with pytest.raises(StorageError, match=r"need 36.0 GB and weights that are kept 12.0 GB, but 48.0 GB .*keep_weights_every"):
        checkpoints.check_room(run_of(1000, size=12_000_000_000, kept=12_000_000_000), every=100)
    old = tmp_path / "checkpoints" / "step-000100" / "student.safetensors"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"x" * 1000)  # makes room when it goes
    checkpoints.check_room(run_of(1000), every=100)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError(f"{GLOO}pair.cc:553] Connection closed by peer [::1]:5. This is typically caused by a remote"), *CLOSED),
        (RuntimeError(f"{GLOO}pair.cc:537] Read error [::1]:5: Connection reset by peer"), LostRankError, "rank: Read error "),
        (RuntimeError(f"{GLOO}unbound_buffer.cc:78] Timed out waiting 5000ms for recv operation to complete"), LostRankError, ""),
        (DistBackendError("NCCL error: remote process exited or there was a network error"), LostRankError, "NCCL error"),
        (RuntimeError("ProcessGroupGloo::allgather: invalid tensor size at index 1"), RuntimeError, "^ProcessGroupGloo"),
        (RuntimeError(f"{GLOO}pair.cc:456] op.preamble.length <= op.nbytes. 500 vs 4"), RuntimeError, "500 vs 4"),
        (torch.OutOfMemoryError("CUDA out of memory"), InputError, r"train\.chunk_size.*train\.activation_checkpointing"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), StorageError, "No space left.*Free space"),
        (OSError(30, "Read-only file system"), StorageError, "Read-only"),
        (OSError(5, "Input/output error"), OSError, "Input/output"),
        (KeyError("a bug"), KeyError, "a bug"),
    ],
)
def test_errors_that_are_no_bugs_are_told_as_what_they_are(error, kind, words, tmp_path):
    job = Job(config=TrainConfig(), out_dir=tmp_path, work_dir=tmp_path, threads=1, **NO_IMAGES, lineage={})
    told = worker.explained(error, job)
    assert type(told) is kind
    assert re.search(words, str(told))


def test_a_dataset_without_images_stops_before_any_rank_starts(make, tiny, tmp_path):
    inputs = make(num_images=4, bad=(0, 1, 2, 3))
    with pytest.raises(InputError, match="train needs images"):
        run(settings(Path(tiny)), inputs, tmp_path / "out")


@pytest.mark.slow
def test_the_losses_are_drawn_while_the_ranks_are_at_work(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_SECONDS_BETWEEN_PLOTS", 0.1)
    job = Job(config=settings(tmp_path), out_dir=tmp_path, work_dir=tmp_path, threads=1, **NO_IMAGES, lineage={})
    job.metrics_path.write_text('{"step": 1, "train/loss/total": 2.0}\n')
    code = f"import pathlib, sys, time; time.sleep(3); sys.exit(7 + pathlib.Path({str(job.plot_path)!r}).exists())"
    assert launch._watched(subprocess.Popen([sys.executable, "-c", code]), launch.LossPlot(job)) == 8


def test_importing_the_stage_loads_no_torch():
    code = "import sys, degla.train.stage; print(sorted({'torch', 'deepspeed', 'open_clip'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
