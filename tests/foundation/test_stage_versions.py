"""A stage whose code changed must get a new version, or someone must say that what it makes is the same.

`stage_code.json` holds, for each stage, its version and a hash of all the code it runs: its package and every degla
module reached by imports, docstrings and comments left out, and the data files of those packages. When this test fails:
raise `version` in `degla/<stage>/config.py` if the artifact changes, and in any case run

    python tests/foundation/test_stage_versions.py --accept
"""

import ast
import hashlib
import json
import sys
from pathlib import Path

import pytest

from degla.experiments.experiment import STAGES, Experiment

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("stage_code.json")
DATA_SUFFIXES = (".html", ".yaml", ".sql")
WITHOUT_EFFECT = {"degla.experiments.cli", "degla.experiments.experiment", "degla.progress", "degla.errors"}


def module_file(name):
    path = ROOT / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(stage):
    """Every degla module that a stage reaches, its own package's included."""
    package = ROOT / "degla" / stage
    todo = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in package.rglob("*.py")]
    seen = set()
    while todo:
        name = todo.pop()
        file = module_file(name)
        if name in seen or name in WITHOUT_EFFECT or not name.startswith("degla") or file is None or name.endswith("__main__"):
            continue
        seen.add(name)
        todo += imports_of(file)
    return seen


def code_of(file):
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [item for item in body if not is_text(item)] or [ast.Pass()]
    return ast.dump(tree)


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def code_hash(stage):
    names = sorted(modules_of(stage))
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n{code_of(module_file(name))}\n".encode())
    for folder in sorted({module_file(name).parent for name in names}):
        for file in sorted(folder.iterdir()):
            if file.suffix in DATA_SUFFIXES:
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def current():
    experiment = Experiment(name="x")
    return {stage: {"version": experiment.stage_config(stage).version, "code": code_hash(stage)} for stage in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_whose_code_changed_has_a_new_version_or_was_accepted(stage):
    recorded = json.loads(RECORD.read_text())[stage]
    assert current()[stage] == recorded, f"the code that {stage} runs has changed; see the top of {Path(__file__).name}"


def test_the_hash_sees_code_and_not_comments(tmp_path):
    file = tmp_path / "a.py"
    file.write_text('"""Says."""\nx = 1  # one\n')
    first = code_of(file)
    file.write_text('"""Says more."""\nx = 1\n')
    assert code_of(file) == first
    file.write_text("x = 2\n")
    assert code_of(file) != first


def test_a_stage_reaches_what_it_imports_and_not_the_other_stages():
    names = modules_of("prepare")
    assert {"degla.prepare.stage", "degla.text.tokens", "degla.artifacts", "degla.miniworld.dataset"} <= names
    assert not any(name.startswith(("degla.train", "degla.filter")) for name in names)


if __name__ == "__main__" and "--accept" in sys.argv:
    RECORD.write_text(json.dumps(current(), indent=2) + "\n")
