"""`python -m degla.artifacts` on small artifacts: what is there, why a stage would run, lineage, checks and removal."""

import fcntl
import io
import json

import pytest

from degla.artifacts import CONFIG, MANIFEST, Artifact, building, in_use
from degla.artifacts.__main__ import main
from degla.experiments.cli import main as stage_command
from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan


@pytest.fixture
def experiment(own_artifact_root):
    """An experiment that ran to the end of filter, and was saved as runs save it."""
    made = Experiment(name="x").with_overrides(["evaluate.benchmarks=[]"])
    made.save()
    for stage in ("prepare", "generate", "filter"):
        finish(made, stage)
    return made


def finish(experiment, stage):
    """Make the stage's artifact with one file, as its manifest would be."""
    plans = plan(experiment, upto=stage)
    planned = plans[stage]
    planned.path.mkdir(parents=True)
    (planned.path / "data.txt").write_text("abc")
    manifest = {
        "stage": stage, "stage_version": planned.config.version, "fingerprint": planned.fingerprint,
        "inputs": {name: plans[name].fingerprint for name in planned.inputs}, "raw": planned.config.raw_inputs(),
        "config": planned.config.model_dump(mode="json"), "counts": {"rows": 7}, "versions": {},
        "files": {"data.txt": {"size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}},
        "started": f"2026-01-01T0{len(plans)}:00", "seconds": 1, "host": "",
    }  # fmt: skip
    (planned.path / MANIFEST).write_text(json.dumps(manifest))
    return planned.path


def test_the_list_names_what_is_finished_unfinished_and_damaged(experiment, own_artifact_root, capsys):
    for name, file in (("0" * 16, CONFIG), ("1" * 16, MANIFEST)):
        (own_artifact_root / "train" / name).mkdir(parents=True)
        (own_artifact_root / "train" / name / file).write_text("{}")
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("prepare ")
    assert "rows 7" in said
    assert "3 finished, 1 unfinished, 1 damaged" in said
    assert main(["list", "prepare"]) == 0
    assert "1 finished, 0 unfinished, 0 damaged" in capsys.readouterr().out
    assert main(["list", "prepaer"]) == 2


def test_why_names_the_setting_the_input_and_the_stage_that_was_never_made(experiment, own_artifact_root, capsys):
    path = own_artifact_root / "experiments" / "x.yaml"
    assert main(["why", str(path), "-o", "filter.min_tokens=4", "-o", "generate.workers=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["prepare", "reuse:"], ["generate", "reuse:"]]  # workers have no effect
    assert lines[2].startswith("filter    run: these differ from ")
    assert lines[3].split() == ["filter.min_tokens:", "2", "->", "4"]
    assert lines[4] == "train     run: there is no finished artifact of this stage"
    assert main(["why", str(path), "-o", "prepare.limit=10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["prepare.limit:", "None", "->", "10"]
    assert lines[3].strip().startswith("artifact of prepare: ")


def test_the_tree_has_each_artifact_once_and_names_what_is_gone(experiment, own_artifact_root, capsys):
    plans = plan(experiment, upto="filter")
    (plans["prepare"].path / MANIFEST).unlink()
    assert main(["tree", str(plans["filter"].path)]) == 0
    said = capsys.readouterr().out
    assert said.count(f"generate {plans['generate'].fingerprint}, made") == 1
    assert f"  {plans['prepare'].fingerprint}: not there" in said
    assert main(["tree", str(plans["generate"].path), str(plans["filter"].path)]) == 0


def test_a_root_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["list", "--root", str(tmp_path / "nowhere")]) == 2
    assert f"there is no folder {tmp_path / 'nowhere'}" in capsys.readouterr().err


def test_verify_lists_every_file_that_changed(experiment, capsys):
    plans = plan(experiment, upto="filter")
    assert main(["verify"]) == 0
    for stage in ("prepare", "filter"):
        (plans[stage].path / "data.txt").write_text("abd")
    assert main(["verify"]) == 2
    out, err = capsys.readouterr()
    assert "2 things are missing or wrong" in err
    assert all(str(plans[stage].path / "data.txt") in err for stage in ("prepare", "filter"))


def test_remove_takes_what_no_experiment_uses_and_asks_first(experiment, monkeypatch, capsys):
    kept = [each.path for each in plan(experiment, upto="filter").values()]
    other = finish(experiment.with_overrides(["filter.min_tokens=4"]), "filter")
    assert main(["remove"]) == 2  # nobody can be asked
    assert "nothing was deleted" in capsys.readouterr().err
    terminal = io.StringIO("n\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    assert main(["remove"]) == 0
    assert other.is_dir()
    with (other / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["remove", "--yes"]) == 0
    assert "a process is making it" in capsys.readouterr().out
    assert main(["remove", "--yes"]) == 0
    assert not other.exists()
    assert all((path / MANIFEST).is_file() for path in kept)


def test_a_named_artifact_is_removed_unless_an_experiment_or_another_artifact_needs_it(experiment, own_artifact_root, capsys):
    changed = experiment.with_overrides(["prepare.limit=5"])
    read, reader = (finish(changed, stage) for stage in ("prepare", "generate"))
    used = plan(experiment)["prepare"].path
    assert main(["remove", "--yes", str(read), str(used), str(own_artifact_root)]) == 2
    said = capsys.readouterr().err
    assert f"{read}: {reader} was made from it" in said
    assert f"{used} belongs to an experiment: delete {own_artifact_root / 'experiments' / 'x.yaml'}" in said
    assert f"{own_artifact_root} is no artifact below" in said
    assert all(path.is_dir() for path in (read, reader, used))
    assert main(["remove", "--yes", str(reader)]) == 0
    assert main(["remove", "--yes", str(read)]) == 0
    assert not read.exists()
    assert used.is_dir()


def test_what_a_stage_reads_is_not_removed_meanwhile(experiment, capsys):
    changed = experiment.with_overrides(["prepare.limit=5"])
    read = finish(changed, "prepare")
    planned = plan(changed)["generate"]
    with building(planned.config, {"prepare": Artifact.load(read)}, planned.path):
        pass
    for holding in (building(planned.config, {"prepare": Artifact.load(read)}, planned.path), in_use(planned.path, read)):
        with holding, in_use(read):  # others may read it too
            assert main(["remove", "--yes", str(read), str(planned.path)]) == 0
            said = capsys.readouterr().out
        assert all(f"kept {path}: a process is making it, or reads it" in said for path in (read, planned.path))
    assert main(["remove", "--yes", str(read)]) == 0
    assert not read.exists()


def test_what_a_stages_command_made_belongs_to_an_experiment(own_artifact_root, capsys):
    file = own_artifact_root.parent / "one.yaml"
    file.write_text("prepare: {dataset: miniworld, options: {num_scenes: 1}}")
    assert stage_command("prepare", [str(file)]) == 0
    assert main(["remove", "--yes"]) == 0
    assert "every artifact belongs to an experiment" in capsys.readouterr().out


def test_nothing_is_removed_while_an_experiment_cannot_be_planned(experiment, own_artifact_root, capsys):
    other = finish(experiment.with_overrides(["filter.min_tokens=4"]), "filter")
    (own_artifact_root / "experiments" / "y.yaml").write_text("prepare: {dataset: nowhere}")
    assert main(["remove", "--yes"]) == 2
    assert "y.yaml cannot be planned" in capsys.readouterr().err
    assert other.is_dir()
