"""The stage contract: no manifest, no artifact; equal fingerprints, no second run; broken folders are refused."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest

from degla.artifacts import LOCK, MANIFEST, Artifact, building, fingerprint
from degla.config import StageConfig
from degla.errors import DataError, MissingInputError, StorageError


class CountConfig(StageConfig):
    stage: ClassVar[str] = "count"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    n: int = 3


class SumConfig(CountConfig):
    stage: ClassVar[str] = "sum"
    needs: ClassVar[tuple[str, ...]] = ("count",)


def make(config, inputs, out_dir):
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        (out_dir / "data.txt").write_text("1 2 3")
        return build.finish({"rows": config.n}, ["data.txt"])


def test_a_finished_artifact_is_handed_back_and_not_made_again(tmp_path):
    first = make(CountConfig(), {}, tmp_path / "a")
    (tmp_path / "a" / "data.txt").write_text("4 5 6")
    (tmp_path / "a" / LOCK).unlink()
    (tmp_path / "a" / LOCK).mkdir()  # nothing is written, since the folder may be read-only
    second = make(CountConfig(), {}, tmp_path / "a")
    assert second.manifest == first.manifest
    assert (tmp_path / "a" / "data.txt").read_text() == "4 5 6"


def test_the_manifest_tells_what_was_made_from_what(tmp_path):
    count = make(CountConfig(), {}, tmp_path / "count")
    total = make(SumConfig(), {"count": count}, tmp_path / "sum")
    manifest = json.loads((tmp_path / "sum" / MANIFEST).read_text())
    assert manifest["inputs"] == {"count": count.fingerprint}
    assert manifest["counts"] == {"rows": 3}
    assert manifest["files"]["data.txt"]["size"] == 5
    assert {"degla", "python", "torch"} <= manifest["versions"].keys()
    total.verify()


def test_the_fingerprint_changes_with_config_inputs_raw_files_and_version_only():
    base = fingerprint(CountConfig(), {}, {})
    assert fingerprint(CountConfig(), {}, {}) == base
    newer = type("CountConfig", (CountConfig,), {"version": 2, "__module__": __name__})
    others = [
        fingerprint(CountConfig(n=4), {}, {}),
        fingerprint(CountConfig(refresh=1), {}, {}),
        fingerprint(CountConfig(), {"prepare": "x"}, {}),
        fingerprint(CountConfig(), {}, {"images": "x"}),
        fingerprint(newer(), {}, {}),
    ]
    assert len({base, *others}) == 6


def test_an_unfinished_folder_is_no_artifact(tmp_path):
    with pytest.raises(RuntimeError), building(CountConfig(), {}, tmp_path / "a"):
        raise RuntimeError("killed")
    with pytest.raises(MissingInputError, match="no finished artifact"):
        Artifact.load(tmp_path / "a")


def test_a_folder_of_another_artifact_is_refused(tmp_path):
    make(CountConfig(), {}, tmp_path / "a")
    with pytest.raises(DataError, match="holds the artifact count .*expected"):
        make(CountConfig(n=4), {}, tmp_path / "a")


def test_nobody_goes_on_from_the_parts_of_another_artifact(tmp_path):
    with pytest.raises(RuntimeError), building(CountConfig(), {}, tmp_path / "a"):
        raise RuntimeError("killed")
    with pytest.raises(DataError, match=r"holds parts of artifact .*made with other settings or inputs"):
        make(CountConfig(n=4), {}, tmp_path / "a")
    assert make(CountConfig(), {}, tmp_path / "a").counts == {"rows": 3}


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="not given: count"):
        make(SumConfig(), {}, tmp_path / "a")


def test_a_changed_or_lost_file_is_noticed(tmp_path):
    artifact = make(CountConfig(), {}, tmp_path / "a")
    with pytest.raises(DataError, match="has no file 'other.txt'"):
        artifact.file("other.txt")
    (tmp_path / "a" / "data.txt").write_text("3 2 1")
    artifact.file("data.txt")
    with pytest.raises(DataError, match="was changed after it was made"):
        artifact.verify()
    (tmp_path / "a" / "data.txt").unlink()
    with pytest.raises(DataError, match="missing or was changed"):
        artifact.file("data.txt")


def test_a_root_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "below", Path("/proc/degla")):
        with pytest.raises(StorageError, match="Set DEGLA_HOME"):
            make(CountConfig(), {}, folder)


def test_a_full_disk_is_a_storage_error_and_not_a_passing_fault(tmp_path):
    with pytest.raises(StorageError, match="No space left"), building(CountConfig(), {}, tmp_path / "a"):
        Path("/dev/full").write_text("x")


@pytest.mark.slow
def test_two_processes_make_one_artifact_once(tmp_path):
    script = f"""
import logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_artifacts import CountConfig, building
from pathlib import Path
with building(CountConfig(), {{}}, Path({str(tmp_path / "a")!r})) as build:
    if build.finished is None:
        time.sleep(3)
        (build.path / "data.txt").write_text("x")
        with (build.path.parent / "made").open("a") as file:
            file.write("once\\n")
        build.finish({{}}, ["data.txt"])
"""
    processes = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    start = time.monotonic()
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert time.monotonic() - start < 60
    assert (tmp_path / "made").read_text() == "once\n"
    waiting = f"another process is making {tmp_path / 'a'}: waiting for it\n"
    assert set(said) <= {"", waiting}
    assert waiting in said
