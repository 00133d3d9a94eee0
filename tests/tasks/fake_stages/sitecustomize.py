"""With this folder on PYTHONPATH, `degla.<stage>.stage` is a fake that is quick and fails on demand.

The child process, the command line, the exit codes, the artifact and its manifest are real; only the stage's work is
not. DEGLA_FAKE_STAGES holds a JSON mapping of stage name to what it does first:

    passing-once   raises EngineStartError at the first attempt      os-error-once   raises OSError at the first attempt
    input          raises DataError                                  bug             raises ZeroDivisionError
    half-then-bug  counts five of ten units, then raises it
    hang           starts a grandchild, writes both process ids to `pids` in its folder and sleeps
    hang-if-asked  does so where the file DEGLA_HANG exists, and writes the process ids there
    slow           counts ten units over some seconds
"""

import importlib.abc
import importlib.machinery
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path


class FakeStages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "degla" and parts[2] == "stage":
            return importlib.machinery.ModuleSpec(name, self)
        return None

    def create_module(self, spec):
        return FakeModule(spec.name)

    def exec_module(self, module):
        pass


class FakeModule(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return make


def make(config, inputs, out_dir):
    from degla.artifacts import building

    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        act(json.loads(os.environ.get("DEGLA_FAKE_STAGES", "{}")).get(config.stage, ""), config.stage, out_dir)
        print(f"{config.stage}: a line of the fake stage")
        names = write_files(config.stage, out_dir)
        return build.finish(counts={"rows": 1000, "kept": 900}, files=names)


def write_files(stage, out_dir):
    (out_dir / "data.txt").write_text(stage)
    if stage == "evaluate":
        (out_dir / "scores.json").write_text("[]")
        return ["data.txt", "scores.json"]
    if stage == "filter":
        (out_dir / "tables.json").write_text(json.dumps({"funnel": [{"type": "reshuffle", "kept": 900}], "reasons": []}))
        return ["data.txt", "tables.json"]
    if stage != "report":
        return ["data.txt"]
    (out_dir / "scores.txt").write_text("model       score\npretrained  0.50\nfine-tuned  0.75\n")
    (out_dir / "scorecard.md").write_text("# Scorecard of a fake\n\n| model | score |\n|---|---|\n| fine-tuned | 0.75 |\n")
    return ["data.txt", "scores.txt", "scorecard.md"]


def act(what, stage, out_dir):
    from degla.errors import DataError, EngineStartError
    from degla.progress import Progress

    first = not (out_dir / "tried").exists()
    (out_dir / "tried").touch()
    if what == "passing-once" and first:
        raise EngineStartError("the fake engine did not start")
    if what == "os-error-once" and first:
        raise OSError(5, "Input/output error")
    if what == "input":
        raise DataError("captions.parquet: column 'caption' is missing")
    if what == "half-then-bug":
        Progress(out_dir, "counting", 10, "units").to(5)
    if what in ("bug", "half-then-bug"):
        print(1 / 0)
    if what == "hang":
        hang(out_dir / "pids")
    if what == "hang-if-asked" and os.path.exists(os.environ["DEGLA_HANG"]):
        hang(Path(os.environ["DEGLA_HANG"]))
    if what == "slow":
        progress = Progress(out_dir, "counting", 10, "units")
        for _ in range(10):
            progress.advance()
            time.sleep(float(os.environ.get("DEGLA_FAKE_SECONDS", "0.5")))


def hang(pids):
    grandchild = subprocess.Popen(["sleep", "600"])
    pids.write_text(f"{os.getpid()} {grandchild.pid}")
    time.sleep(600)


sys.meta_path.insert(0, FakeStages())
