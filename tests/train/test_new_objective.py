"""An objective is one file: with it in `degla/train/objectives/` it is a setting, a section of settings, and trains."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_inputs import make_inputs
from test_train_stage import RUN, metrics

import degla
from degla.config import Config
from degla.train.objectives import with_sections

TOY = '''
from typing import ClassVar

from pydantic import Field

from degla.train.objective import Objective


class Toy(Objective):
    """The base term, and a pull between image and caption."""

    num_negatives: ClassVar[int] = 2

    pull: float = Field(0.5, ge=0)
    """Weight of the squared distance between image and caption."""

    def terms(self, view):
        student = view.student
        return {**super().terms(view), "pull": lambda: (student.image_BD - student.caption_BD).square().sum(1).mean()}
'''
BROKEN = """
import torch

from degla.train.objective import Objective


class Broken(Objective):
    def terms(self, view):
        torch.distributed.all_reduce(torch.ones(3 + 500 * torch.distributed.get_rank()))
        torch.distributed.barrier()  # the rank with less to send may be done before the other's bytes stop the process
        return super().terms(view)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """degla with two more files."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(Path(degla.__file__).parent, folder / "degla", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (("toy", TOY), ("broken", BROKEN)):
        (folder / "degla" / "train" / "objectives" / f"{name}.py").write_text(text)
    return folder


def python(checkout: Path, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(checkout), "DEGLA_HOME": str(checkout / "home")}
    command = [sys.executable, "-c", code, *map(str, arguments)]  # it looks for degla where it runs, then in PYTHONPATH
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


def test_a_new_file_is_an_objective_with_settings_and_leaves_other_fingerprints_alone(checkout):
    code = """
import json
from degla.config import effective, validate
from degla.experiments.experiment import Experiment
from degla.train import TrainConfig
schema = TrainConfig.model_json_schema()
toy = validate(TrainConfig, {"objective": "toy", "toy": {"pull": 2}}, "test")
print(json.dumps([schema["properties"]["objective"]["enum"], schema["properties"]["toy"], schema["$defs"]["Toy"]["properties"],
    toy.num_negatives, effective(toy), effective(TrainConfig())]))
"""
    done = python(checkout, code)
    assert not done.returncode, done.stderr
    names, section, settings, num_negatives, with_toy, without = json.loads(done.stdout)
    assert names == ["broken", "ce_clip", "clip", "degla", "fsc_clip", "negclip", "toy"]
    assert section["description"] == "Settings of the `toy` objective; ignored with any other."
    assert settings["pull"]["description"] == "Weight of the squared distance between image and caption."
    assert num_negatives == 2
    assert with_toy["toy"] == {"pull": 2}
    assert {"loss", "ce_clip", "fsc_clip", "broken"}.isdisjoint(with_toy)
    assert {"toy", "ce_clip", "fsc_clip"}.isdisjoint(without)


def test_an_objective_cannot_take_the_place_of_a_setting():
    class Settings(Config):
        loss: float = 1.0

    with pytest.raises(ValueError, match="cannot be named as a setting of Settings is: loss"):
        with_sections(Settings)


def trained(checkout: Path, tiny: str, tmp_path: Path, **settings: object) -> tuple[subprocess.CompletedProcess[str], Path]:
    make_inputs(tmp_path / "inputs")
    settings |= {"model": {"architecture": tiny, "weights": "random"}, "ranks": 2, "batch_size": 12, "log_every": 1, "lr": 1e-3}
    return python(checkout, RUN, json.dumps(settings), tmp_path / "inputs", tmp_path / "out"), tmp_path / "out"


@pytest.mark.slow
def test_a_new_objective_trains_and_its_terms_have_their_names(checkout, tiny, tmp_path):
    done, folder = trained(checkout, tiny, tmp_path, objective="toy", steps=3)
    assert not done.returncode, done.stderr
    for line in metrics(folder):
        losses = {name.removeprefix("train/loss/"): value for name, value in line.items() if "/loss/" in name}
        assert set(losses) == {"total", "contrastive", "pull"}
        assert losses["total"] == pytest.approx(losses["contrastive"] + 0.5 * losses["pull"], rel=1e-6)


@pytest.mark.slow
def test_ranks_whose_tensors_do_not_match_are_a_bug_and_no_lost_rank(checkout, tiny, tmp_path):
    done, folder = trained(checkout, tiny, tmp_path, objective="broken", steps=3)
    assert done.returncode == 1, done.stderr
    assert "Received data size doesn't match expected size" in done.stderr + done.stdout
    found = re.search(r"RuntimeError: Fatal Python error: Aborted in a rank; its stack is in (\S+)", done.stderr)
    assert "objectives/broken.py" in Path(found[1]).read_text()
