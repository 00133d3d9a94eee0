"""What the config alone shows is refused in the plan, before prepare, and without torch."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from degla.errors import ConfigError, ModelError, StorageError
from degla.experiments.experiment import load_experiment
from degla.experiments.plan import describe, plan
from degla.train import TrainConfig, room
from degla.train.room import estimate

ROOT = Path(__file__).resolve().parents[2]
VIT_B_32 = {"architecture": "ViT-B-32-quickgelu", "weights": "random"}
COUNT = 151_277_313
Usage = namedtuple("Usage", "total used free")


@pytest.mark.slow
def test_an_untrainable_model_stops_the_pipeline_before_prepare_and_the_dry_run(own_artifact_root):
    command = [sys.executable, "-m", "flows.pipeline", "demo", "-o", "train.model.weights=random"]
    for model, words in (
        ("ViT-B-16-SigLIP", "cannot be fine-tuned: it was trained with the sigmoid loss"),
        ("ViT-B-33", "unknown arch"),
    ):
        for more in ([], ["--dry-run"]):
            arguments = [*command, "-o", f"train.model.architecture={model}", *more]
            result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
            assert result.returncode == 2
            assert words in result.stderr
    assert not list(own_artifact_root.glob("prepare/*"))


def test_a_tag_with_another_activation_is_refused_in_the_plan_with_the_setting(monkeypatch):
    model = ["train.model.architecture=ViT-B-32", "train.model.weights=openai"]
    with pytest.raises(ModelError, match="trained with activation quickgelu.*Use train.model.architecture=ViT-B-32-quickgelu"):
        plan(load_experiment("demo", model), upto="train")
    model = ["evaluate.models={theirs: {architecture: ViT-B-32, weights: opnai}}"]
    with pytest.raises(ModelError, match="open_clip has no weights 'opnai' for ViT-B-32"):
        plan(load_experiment("demo", model), upto="evaluate")


def test_the_plan_of_a_model_that_open_clip_names_loads_no_torch():
    code = "import sys; from degla.experiments.experiment import load_experiment; from degla.experiments.plan import plan;"
    code += (
        "plan(load_experiment('demo', ['train.model.architecture=coca_ViT-B-32', 'train.model.weights=random']), upto='train');"
    )
    code += "print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_model_that_looks_at_more_pixels_than_prepare_stores_is_refused_in_the_plan():
    model = ["train.model.architecture=ViT-L-14-336-quickgelu", "train.model.weights=random"]
    with pytest.raises(ConfigError, match=r"looks at 336 x 336 pixels.*short side of 256: set prepare\.short_side=384"):
        plan(load_experiment("demo", model), upto="train")
    plan(load_experiment("demo", [*model, "prepare.short_side=384"]), upto="train")


def test_the_dry_run_says_what_training_needs(tmp_path):
    """16 bytes a weight and 4 of the teacher; 16 of each of three checkpoints, and 4 of the model."""
    said = estimate(TrainConfig.model_validate({"model": VIT_B_32, "ranks": 1}), tmp_path)
    memory, disk = f"{20 * COUNT / 1e9:.1f} GB", f"{52 * COUNT / 1e9:.1f} GB"
    assert said == f"151.3 M weights: {memory} of memory a rank besides activations, up to {disk} of disk"
    clip = estimate(TrainConfig.model_validate({"model": VIT_B_32, "ranks": 1, "objective": "clip"}), tmp_path)
    assert f"{16 * COUNT / 1e9:.1f} GB of memory" in clip
    plans = plan(load_experiment("demo"), upto="train")
    assert "M weights: " in "\n".join(describe(plans))
    assert estimate(TrainConfig.model_validate({"model": {"architecture": "RN50", "weights": "random"}}), tmp_path) == ""


def test_memory_that_does_not_hold_the_weights_is_refused_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4_000_000_000 // 4096}[name])
    one = TrainConfig.model_validate({"model": VIT_B_32, "ranks": 1})
    estimate(one, tmp_path)
    two = one.model_copy(update={"ranks": 2})
    with pytest.raises(ConfigError, match=r"at least 6\.1 GB.*of 2 ranks; this machine has 4\.0 GB.*lora\.rank=4"):
        estimate(two, tmp_path)
    estimate(two.model_copy(update={"zero_stage": 3}), tmp_path)
    estimate(TrainConfig.model_validate({"model": VIT_B_32, "ranks": 2, "lora": {}}), tmp_path)


def test_a_disk_that_holds_no_checkpoint_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, 2_000_000_000))
    with pytest.raises(StorageError, match=r"a checkpoint of 2\.4 GB and the model of 0\.6 GB do not fit: 2\.0 GB are free"):
        estimate(TrainConfig.model_validate({"model": VIT_B_32, "ranks": 1}), tmp_path / "not" / "there")
    assert shutil.disk_usage is room.shutil.disk_usage
