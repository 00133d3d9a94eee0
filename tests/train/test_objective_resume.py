"""A killed run of an objective that remembers, with adapters, ends as if nothing had happened."""

import json
import subprocess
import sys

import numpy as np
import open_clip
import pytest
from safetensors.numpy import load_file
from small_inputs import TINY, make_inputs
from test_train_stage import RUN, metrics, settings, wait_for

from degla.models import ModelRef
from degla.models.loading import load
from degla.train import run


@pytest.mark.slow
def test_margins_and_adapters_go_on_from_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path / "home"))
    architecture = tmp_path / "tiny.json"
    architecture.write_text(json.dumps(TINY))
    inputs = make_inputs(tmp_path / "inputs")
    config = settings(architecture, objective="ce_clip", lora={"rank": 2}, ranks=1, lr=1e-2)
    whole = run(config, inputs, tmp_path / "whole")

    out_dir = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", RUN, config.model_dump_json(), tmp_path / "inputs", out_dir])
    wait_for(lambda: any((out_dir / "checkpoints").glob("step-*")))
    process.kill()
    process.wait()
    latest = max((out_dir / "checkpoints").glob("step-*"))
    assert latest.name < "step-000040"
    assert load_file(latest / "objective.safetensors")["cmr_margins"].any()
    killed = run(config, inputs, out_dir)

    assert metrics(killed.path) == metrics(whole.path)
    one, two = (load_file(artifact.path / "model" / "open_clip_model.safetensors") for artifact in (whole, killed))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    start = load(ModelRef(architecture=str(architecture), weights="random"), seed=config.seed).model.state_dict()
    changed = {name for name in one if not np.array_equal(one[name], start[name].numpy())}
    assert changed
    assert all(name.endswith(("in_proj_weight", "out_proj.weight", "c_fc.weight", "c_proj.weight")) for name in changed)
    assert one.keys() == start.keys()
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{killed.path / 'model'}")
    assert model.logit_scale.shape == ()
