"""Plans: what is reused, what runs, what a refresh does, and what a stage run alone says when its input is missing."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from degla import checksums
from degla.artifacts import MANIFEST
from degla.errors import ConfigError, InputError, MissingInputError, StorageError
from degla.experiments.cli import main
from degla.experiments.experiment import STAGES, Experiment
from degla.experiments.plan import check_root, describe, plan, run_stage, start_refresh
from degla.progress import Progress, read_progress


@pytest.fixture
def experiment():
    return Experiment(name="x").with_overrides(["evaluate.benchmarks=[]"])


def finish(stage_plan, **changed):
    """Make a stage's folder look finished, with the manifest that such an artifact would have."""
    stage_plan.path.mkdir(parents=True)
    manifest = {
        "stage": stage_plan.stage, "stage_version": 1, "fingerprint": stage_plan.fingerprint, "inputs": {}, "raw": {},
        "config": stage_plan.config.model_dump(mode="json"), "counts": {}, "files": {}, "versions": {},
        "started": "", "seconds": 0, "host": "", **changed,
    }  # fmt: skip
    (stage_plan.path / MANIFEST).write_text(json.dumps(manifest))


def test_a_change_in_one_stage_changes_it_and_what_follows_only(experiment):
    before = plan(experiment)
    after = plan(experiment.with_overrides(["filter.min_tokens=4"]))
    changed = [stage for stage in STAGES if before[stage].fingerprint != after[stage].fingerprint]
    assert changed == ["filter", "train", "evaluate", "report"]


def test_a_setting_without_effect_changes_nothing(experiment):
    before = plan(experiment)
    after = plan(experiment.with_overrides(["prepare.workers=1", "train.log_every=1", "filter.threads=1"]))
    assert [item.fingerprint for item in before.values()] == [item.fingerprint for item in after.values()]


def test_a_veto_without_images_is_refused_before_anything_runs(experiment):
    without = experiment.with_overrides(["prepare.images=none", "filter.veto={}"])
    with pytest.raises(ConfigError, match=r"prepare\.images=none .*filter\.veto=null"):
        plan(without)
    assert list(plan(without, upto="generate")) == ["prepare", "generate"]


def test_everything_that_is_missing_or_wrong_is_said_in_one_go(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path))
    overrides = ["prepare.dataset=coco_train2014", "train.model.architecture=ViT-B-33", "evaluate.benchmarks=[sugarcrepe]"]
    wrong = Experiment(name="x").with_overrides(overrides)
    with pytest.raises(InputError, match="^4 things are missing or wrong:") as caught:
        plan(wrong)
    parts = ["unknown architecture 'ViT-B-33'", "captions not found", "images not found", "sugarcrepe: annotations not found"]
    assert [part in str(each) for part, each in zip(parts, caught.value.listed, strict=True)] == [True] * 4
    with pytest.raises(MissingInputError, match="^2 things"):  # of one type, and no more than the stages asked for
        plan(wrong, upto="prepare")
    words = ["demo", "--dry-run", "-o", "generate.prompts=/nowhere", *(word for each in overrides for word in ("-o", each))]
    assert main("evaluate", words) == 2
    assert "lr: 0.0" in capsys.readouterr().out  # the settings are printed before


def test_a_batch_that_the_ranks_do_not_divide_is_refused_by_the_settings(capsys):
    assert main("train", ["demo", "-o", "train.ranks=3", "-o", "train.batch_size=64"]) == 2
    assert "train.batch_size 64 is no multiple of the 3 ranks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.ranks=512", "train.batch_size=512"], r"train\.ranks=512, but .* Set train\.ranks to|but there are \d+ GPUs"),
        (
            ["generate.attempts=[choice]", "generate.engine.model=/nowhere"],
            r"generate\.engine\.model='/nowhere': there is no such",
        ),
        (
            ["generate.attempts=[openai]", "generate.server.model=m", "generate.server.url=http://127.0.0.1:9/v1"],
            r"generate\.server\.url=http://127\.0\.0\.1:9/v1: no server answers there \(127\.0\.0\.1:9: Connection refused\)",
        ),
    ],
)
def test_what_the_machine_surely_does_not_have_is_said_before_anything_runs(experiment, overrides, message, own_artifact_root):
    with pytest.raises(InputError, match=message):
        plan(experiment.with_overrides(overrides))
    assert not list(own_artifact_root.glob("*/*"))


def test_a_plan_writes_nothing_and_says_what_would_run(experiment, own_artifact_root):
    lines = describe(plan(experiment))
    assert [line.split()[:2] for line in lines] == [[stage, "run"] for stage in STAGES]
    assert not list(own_artifact_root.glob("*/*"))


def test_finished_stages_are_reused_and_begun_ones_resumed(experiment):
    plans = plan(experiment)
    finish(plans["prepare"])
    plans["generate"].path.mkdir(parents=True)
    assert [line.split()[1] for line in describe(plan(experiment))[:3]] == ["reuse", "resume", "run"]


def test_a_refresh_makes_a_new_artifact_once_and_keeps_the_old(experiment):
    old = plan(experiment)
    finish(old["prepare"])
    finish(old["generate"])
    assert plan(experiment, refresh=["generate"])["generate"].path != old["generate"].path
    assert plan(experiment)["generate"].finished, "a plan alone refreshes nothing"
    start_refresh(experiment, ["generate"])
    new = plan(experiment)
    assert new["prepare"] == old["prepare"]
    assert not new["generate"].finished
    assert new["filter"].fingerprint != old["filter"].fingerprint
    finish(new["generate"])
    assert plan(experiment)["generate"].path == new["generate"].path, "later runs take the newest"
    assert old["generate"].finished


def test_refreshes_started_together_are_all_counted(experiment):
    changed = [experiment.with_overrides([f"prepare.limit={limit}"]) for limit in range(1, 9)]
    old = [plan(each, upto="prepare")["prepare"].path for each in changed]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: start_refresh(each, ["prepare"]), changed))
    new = [plan(each, upto="prepare")["prepare"] for each in changed]
    assert [each.config.refresh for each in new] == [1] * 8
    assert len({*old, *(each.path for each in new)}) == 16


def test_a_child_process_makes_what_its_task_planned_whatever_is_refreshed_meanwhile(experiment, capsys):
    planned = plan(experiment)["prepare"]
    finish(planned)
    start_refresh(experiment, ["prepare"])
    assert plan(experiment, counters={"prepare": 0})["prepare"] == planned
    assert main("prepare", [str(experiment.save()), "--counter", "0"]) == 0
    assert f"reused: \n{planned.path}" in capsys.readouterr().out


def test_finished_artifacts_are_reused_where_the_root_cannot_be_written(experiment, tmp_path):
    made = plan(experiment)["prepare"]
    finish(made)
    (tmp_path / "file").write_text("")
    elsewhere = experiment.with_overrides([f"root={tmp_path / 'file'}"])
    plans = plan(elsewhere, {"prepare": made.path})
    check_root(elsewhere, [plans["prepare"]])
    with pytest.raises(StorageError, match="cannot write to .*/file"):
        check_root(elsewhere, plans.values())


def test_a_given_artifact_takes_the_place_of_the_experiments_own(experiment):
    plans = plan(experiment)
    finish(plans["prepare"])
    other = experiment.with_overrides(["prepare.short_side=128"])
    assert plan(other)["generate"].fingerprint != plans["generate"].fingerprint
    assert plan(other, {"prepare": plans["prepare"].path})["generate"].fingerprint == plans["generate"].fingerprint
    with pytest.raises(MissingInputError, match="is an artifact of prepare, not of train"):
        plan(experiment, {"train": plans["prepare"].path})


def test_a_given_artifact_of_an_older_version_is_read_whatever_its_settings_were(experiment, capsys):
    given = plan(experiment)["prepare"]
    finish(given, config={"a_setting_that_is_gone": 1, "short_side": "wide"}, stage_version=0)
    assert plan(experiment, {"prepare": given.path})["prepare"].finished
    assert main("generate", ["demo", "--input", f"prepare={given.path}"]) == 2
    assert "has no file 'captions.parquet'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"", r"manifest.json is damaged \(Invalid JSON: .*Delete .* and run its stage again"),
        (b"\xff\x00", r"manifest.json is damaged \(Invalid JSON"),
        (b"[]", r"manifest.json is damaged \(Input should be an object"),
        (b'{"stage": "prepare"}', r"manifest.json is damaged \(stage_version: Field required"),
        ({"stage": "filter"}, "is an artifact of filter, not of prepare"),
        ({"stage_version": 99}, r"made by version 99 of prepare; this degla reads up to version \d+. Update degla"),
        ({"files": {"a.parquet": {"size": 3, "sha256": ""}}}, r"a.parquet is missing or was changed"),
        ({"files": {"a.parquet": 3}}, r"manifest.json is damaged \(files.a.parquet: Input should be an object"),
        (None, "holds no finished artifact: it has no manifest.json. Check the path, or run its stage to the end"),
    ],
)
def test_a_given_folder_that_cannot_be_used_is_named(experiment, manifest, message, capsys):
    given = plan(experiment)["prepare"]
    finish(given, **(manifest if isinstance(manifest, dict) else {}))
    if isinstance(manifest, bytes):
        (given.path / MANIFEST).write_bytes(manifest)
    elif manifest is None:
        (given.path / MANIFEST).rename(given.path / "config.json")
    assert main("generate", ["demo", "--input", f"prepare={given.path}"]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_a_given_path_that_is_no_artifact_is_named(name, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    assert main("generate", ["demo", "--input", f"prepare={tmp_path / name}"]) == 2
    assert f"{name} holds no finished artifact: it has no manifest.json" in capsys.readouterr().err


def test_a_stage_alone_names_the_command_that_makes_its_missing_input(experiment):
    with pytest.raises(MissingInputError, match="python -m degla.prepare demo"):
        run_stage(plan(experiment)["generate"], "python -m degla.{stage} demo")


def test_the_command_keeps_the_braces_of_an_override(experiment):
    with pytest.raises(MissingInputError, match=re.escape("python -m degla.prepare demo -o 'report.headline={a/b: c}'")):
        run_stage(plan(experiment)["generate"], "python -m degla.{stage} demo -o 'report.headline={a/b: c}'")


def test_the_command_line_refuses_bad_input_with_exit_code_2_before_anything_starts(capsys, own_artifact_root):
    assert main("train", ["demo", "-o", "train.learnin_rate=1"]) == 2
    assert "unknown key 'train.learnin_rate'" in capsys.readouterr().err
    assert main("train", ["no-such-experiment"]) == 2
    assert main("train", ["demo", "--input", "nothing=here"]) == 2
    assert not own_artifact_root.exists() or not list(own_artifact_root.glob("*/*"))


def test_a_folder_checksum_sees_names_and_contents_and_is_remembered(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "b.txt").write_bytes(b"2")
    first = checksums.of_folder(tmp_path, [".jpg"])
    (tmp_path / "b.txt").write_bytes(b"3")
    assert checksums.of_folder(tmp_path, [".jpg"]) == first
    with monkeypatch.context() as patch:
        patch.setattr(checksums, "read", lambda path: pytest.fail("read again"))
        assert checksums.of_folder(tmp_path, [".jpg"]) == first
    (tmp_path / "a.jpg").rename(tmp_path / "c.jpg")
    assert checksums.of_folder(tmp_path, [".jpg"]) != first


def test_a_broken_refresh_counter_is_named(experiment, own_artifact_root):
    (own_artifact_root / "prepare").mkdir(parents=True)
    (own_artifact_root / "prepare" / "refreshed.json").write_text("{")
    with pytest.raises(ConfigError, match="refreshed.json"):
        plan(experiment)


def test_progress_leaves_a_record_for_programs(tmp_path):
    assert read_progress(tmp_path) is None
    progress = Progress(tmp_path, "tagging", 10, "captions", done=4)
    progress.advance(6)
    record = read_progress(tmp_path)
    assert (record.done, record.total, record.fraction) == (10, 10, 1.0)
    (tmp_path / "progress.json").write_text("{")
    assert read_progress(tmp_path) is None
