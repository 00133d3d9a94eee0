"""Two ranks are one: losses and gradients of the global batch, and student and teacher after three optimizer steps, whatever
is split over the ranks or computed again to save memory.

`.venv/bin/python -m pytest -q -s tests/train/test_ranks.py -k plain` prints the table of `docs/method.md`.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from plain_steps import TEACHER, Arrays, Steps, plain_steps
from safetensors.numpy import load_file
from small_inputs import TINY, make_inputs

from degla.train.batches.data import join
from degla.train.config import TrainConfig
from degla.train.job import JOB_FILE, Job

pytestmark = pytest.mark.slow

BF16 = {"precision": "bf16", "zero_stage": 1}
PLAIN = {
    "zero0-1": "1 rank",
    "zero0-2": "2 ranks, ZeRO 0",
    "zero1-2": "2 ranks, ZeRO 1",
    "zero2-2": "2 ranks, ZeRO 2",
    "zero3-2": "2 ranks, ZeRO 3",
    "chunks-2": "2 ranks, ZeRO 1, GradCache in chunks of 2",
    "recomputed-2": "2 ranks, ZeRO 1, activation checkpointing",
    "zero1_small-2": "2 ranks, ZeRO 1, both",
    "zero3_small-2": "2 ranks, ZeRO 3, both",
}
"""What has to equal three steps in plain torch, and its name in the table."""
RANK = Path(__file__).with_name("three_steps.py")
SMALL = {"chunk_size": 2, "activation_checkpointing": True}
VARIANTS = {
    "zero0": {},
    "zero1": {"zero_stage": 1},
    "zero2": {"zero_stage": 2},
    "zero3": {"zero_stage": 3},
    "chunks": {"zero_stage": 1, "chunk_size": 2},
    "recomputed": {"zero_stage": 1, "activation_checkpointing": True},
    "zero1_small": {"zero_stage": 1, **SMALL},
    "zero3_small": {"zero_stage": 3, **SMALL},
    "release": {"loss": {"tgc_negatives": "release", "tgc": 1.0, "distill": 50.0 * 12 / 256}},
    "reproduce": {"reproduce": "release", "loss": {"tgc": 1.0, "distill": 50.0}},
    "plain": {"negatives": 0, "loss": {"igc": 0, "tgc": 0, "distill": 0}},
    "clipped": {"zero_stage": 1, "clip_grad_norm": 0.5},
    "ce_clip": {"zero_stage": 1, "objective": "ce_clip"},
    "fsc_clip": {"zero_stage": 3, "objective": "fsc_clip", **SMALL},
    "frozen": {"zero_stage": 1, "freeze": "image"},
    "lora": {"zero_stage": 3, "lora": {"rank": 2}},
}


def run_ranks(number: int, *arguments: str) -> None:
    """Start this many ranks without a launcher and wait."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": str(number), "LOCAL_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen([sys.executable, RANK, *arguments], env=os.environ | common | {"RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(number)
    ]
    try:
        assert [rank.wait(timeout=300) for rank in ranks] == [0] * number
    finally:
        for rank in ranks:
            rank.kill()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    architecture = folder / "tiny.json"
    architecture.write_text(json.dumps(TINY))
    inputs = make_inputs(folder / "inputs")
    common = {"model": {"architecture": str(architecture), "weights": "random"}, "batch_size": 12}
    common |= {"lr": 1e-3, "warmup_steps": 0, "steps": 1_000_000}  # three of so many have the rate of the first
    common |= {"ema_half_life_samples": 79}  # the teacher keeps 0.9 of itself at each step
    variants = {"bf16": BF16, **VARIANTS}  # ZeRO 3 puts another F.linear into the process, which rounds once more in bfloat16
    settings = {name: {**common, "loss": {"distill": 50.0}, **changes} for name, changes in variants.items()}
    images, training = inputs["prepare"].file("images.arrow"), inputs["filter"].file("training.parquet")
    config = TrainConfig.model_validate(settings["zero0"])
    job = Job(config=config, out_dir=folder, work_dir=folder, images_path=images, short_side=0, threads=1, lineage={})
    join(images, training, job.config.types, folder)
    (folder / "settings.json").write_text(json.dumps(settings))
    for number in (1, 2):
        run_ranks(number, str(job.write()), str(folder / "settings.json"))
    return folder


def relative(one: Arrays, two: Arrays) -> float:
    """Relative L2 distance of two sets of tensors."""
    assert one.keys() == two.keys()
    return norm({name: one[name].astype(float) - two[name] for name in one}) / norm(one)


def norm(tensors: Arrays) -> float:
    """L2 norm of a set of tensors."""
    return float(np.sqrt(sum((value.astype(float) ** 2).sum() for value in tensors.values())))


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_two_ranks_have_the_losses_and_gradients_of_one(outputs, name):
    one, two = (json.loads((outputs / f"{name}-{number}.json").read_text()) for number in (1, 2))
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    gradients = [load_file(outputs / f"{name}-{number}-gradients.safetensors") for number in (1, 2)]
    assert np.sqrt(sum((value**2).sum() for value in gradients[0].values())) > 1e-3
    assert relative(*gradients) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_two_ranks_have_the_weights_of_one_after_three_steps(outputs, name):
    one, two = (json.loads((outputs / f"{name}-{number}.json").read_text()) for number in (1, 2))
    for step in range(3):
        assert two[step] == pytest.approx(one[step], rel=2e-4)
    weights = [load_file(outputs / f"{name}-{number}-weights.safetensors") for number in (1, 2)]
    for each in weights:  # the gradient of the keys' bias is 0 but for rounding, which AdamW blows up to whole steps
        for key in [key for key in each if key.endswith("in_proj_bias")]:
            del each[key]
    assert relative(*weights) < 1e-5
    if name != "lora":  # adapters alone train
        assert weights[0]["logit_scale"] <= np.float32(np.log(100))


@pytest.fixture(scope="module")
def plain(outputs) -> dict[str, Steps]:
    """Three steps in plain torch, by precision."""
    job = Job.read(outputs / JOB_FILE)
    configs = {precision: job.config.model_copy(update={"precision": precision}) for precision in ("fp32", "bf16")}
    return {precision: plain_steps(job.model_copy(update={"config": config})) for precision, config in configs.items()}


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, dict[str, float]]]]:
    """Rows of differences, printed in the end."""
    rows: list[tuple[str, dict[str, float]]] = []
    yield rows
    if not rows:
        return
    print("\n| run |" + "".join(f" {name} |" for name in rows[0][1]) + "\n|---|" + "---|" * len(rows[0][1]))
    for name, found in rows:
        print(f"| {name} |" + "".join(f" {value:.1e} |" if value else " 0 |" for value in found.values()))


def steps_of(outputs: Path, name: str, start: Arrays) -> Steps:
    """What the ranks wrote."""
    gradients, weights, teacher = (
        load_file(outputs / f"{name}-{what}.safetensors") for what in ("gradients", "weights", "teacher")
    )
    student = {f"clip.{key}": value.reshape(start[f"clip.{key}"].shape) for key, value in weights.items()}
    return Steps(json.loads((outputs / f"{name}.json").read_text()), gradients, student, teacher, start)


def differences(expected: Steps, found: Steps) -> dict[str, float]:
    """How far a run is from another: the relative difference of the first step's loss, and the gradient's relative L2
    distance; after three steps the logit scale's difference, and the L2 distance of student and teacher as a share of the way
    that they went."""
    losses = [steps.losses[0]["total"] for steps in (expected, found)]
    scales = [steps.student["clip.logit_scale"] for steps in (expected, found)]
    named = [name for name in expected.start if not name.endswith("in_proj_bias")]  # noise, see the test above

    def shift(one: Arrays, two: Arrays, factor: float = 1.0) -> Arrays:
        return {name: one[name].astype(float) - factor * two[name] for name in named}

    def share(apart: Arrays, way: Arrays) -> float:
        return norm(apart) / norm(way)

    return {
        "loss": abs(losses[1] / losses[0] - 1),
        "gradient": relative(expected.gradients, found.gradients),
        "logit scale": float(np.abs(scales[1] - scales[0])[0]),
        "student": share(shift(found.student, expected.student), shift(expected.student, expected.start)),
        "teacher": share(shift(found.teacher, expected.teacher), shift(expected.teacher, expected.start, TEACHER)),
    }


@pytest.mark.parametrize("name", PLAIN)
def test_ranks_stages_chunks_and_recomputation_do_what_plain_torch_does(outputs, plain, table, name):
    found = steps_of(outputs, name, plain["fp32"].start)
    apart = differences(plain["fp32"], found)
    table.append((PLAIN[name], apart))
    assert apart["loss"] < 1e-5
    assert apart["gradient"] < 1e-5
    assert apart["logit scale"] == 0  # clamped
    assert apart["student"] < 1e-4
    assert apart["teacher"] < 1e-4
    for step, line in enumerate(found.losses):
        assert line == pytest.approx(plain["fp32"].losses[step], rel=2e-4)


def test_bf16_on_ranks_is_nearer_to_plain_bf16_than_that_is_to_float32(outputs, plain, table):
    ranks = differences(plain["bf16"], steps_of(outputs, "bf16-2", plain["bf16"].start))
    rounding = differences(plain["fp32"], plain["bf16"])
    table.append(("2 ranks, ZeRO 1, bf16, against plain bf16", ranks))
    table.append(("plain bf16 against plain float32", rounding))
    assert ranks["loss"] < 1e-6
    for name in ("gradient", "student", "teacher"):
        assert ranks[name] < rounding[name] / 3


@pytest.mark.slow
def test_only_at_stage_3_the_ranks_share_the_teacher(outputs):
    assert json.loads((outputs / "zero1-2-teacher.json").read_text()) == json.loads(
        (outputs / "zero0-1-teacher.json").read_text()
    )
    whole, part = (json.loads((outputs / f"zero{stage}-2-teacher.json").read_text()) for stage in (2, 3))
    assert whole / 2 <= part < 1.01 * whole / 2  # pieces are padded to equal length


@pytest.mark.slow
def test_reproducing_the_release_divides_the_gradient_of_all_but_the_scale_by_its_8_gpus(outputs):
    exact, released = (load_file(outputs / f"{name}-2-gradients.safetensors") for name in ("release", "reproduce"))
    losses = [json.loads((outputs / f"{name}-2.json").read_text())[0] for name in ("release", "reproduce")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    expected = {name: value if name == "clip.logit_scale" else value / 8 for name, value in exact.items()}
    assert relative(expected, released) < 1e-6
    assert np.allclose(released["clip.logit_scale"], exact["clip.logit_scale"], rtol=1e-5)


@pytest.mark.slow
def test_bf16_autocasts_the_products_and_reduces_in_float32(outputs):
    full = load_file(outputs / "zero0-1-gradients.safetensors")
    one, two = (load_file(outputs / f"bf16-{number}-gradients.safetensors") for number in (1, 2))
    assert relative(one, two) < 1e-1  # bfloat16 has 8 bits, and the loss multiplies by 100
    assert 1e-3 < relative(full, two) < 1e-1
    summed = two["clip.visual.transformer.resblocks.0.mlp.c_fc.weight"].view(np.uint32)
    assert (summed & 0xFFFF != 0).mean() > 0.2  # the mean of two bfloat16 numbers is seldom one
