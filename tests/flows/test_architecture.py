"""Who may import whom, and what importing the pipeline may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from degla.experiments.experiment import STAGES

ROOT = Path(__file__).resolve().parent.parent.parent
FORBIDDEN = {"degla": {"prefect", "tasks", "flows"}, "tasks": {"flows"}}
ENGINES = {"duckdb": "degla/database.py", "vllm": "degla/generate/language_models", "deepspeed": "degla/train"}
ABOVE = {"experiments", "benchmark", "study"}
"""Rooms that stand above the stages."""
COMMANDS = ("__main__.py", "benchmark/make.py", "filter/export.py", "generate/exemplars/selection.py")
"""Modules of stages that resolve an experiment for a command line."""


def imports(path: Path) -> set[str]:
    """Dotted names of what a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_import_only_downwards(room: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(room)
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN[room]
    }
    assert not wrong


def test_stages_never_import_each_other() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for stage in STAGES
        for path in files(f"degla/{stage}")
        for name in imports(path)
        for other in STAGES
        if other != stage and (name == f"degla.{other}" or name.startswith(f"degla.{other}."))
    }
    assert not wrong


def test_nobody_imports_the_room_that_makes_benchmarks() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in [*files("degla"), *files("tasks"), *files("flows")]
        for name in imports(path)
        if name.startswith("degla.benchmark") and not path.is_relative_to(ROOT / "degla" / "benchmark")
    }
    assert not users


def test_no_stage_knows_a_study() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in files("degla")
        for name in imports(path)
        if name.startswith("degla.study") and not path.is_relative_to(ROOT / "degla" / "study")
    }
    assert not users


def test_the_foundation_imports_no_room() -> None:
    rooms = {f"degla.{room.parent.name}" for room in (ROOT / "degla").glob("*/__init__.py")} - {"degla.artifacts"}
    artifacts = [path for path in files("degla/artifacts") if path.name not in COMMANDS]
    wrong = {
        f"{path.name} imports {name}"
        for path in [*(ROOT / "degla").glob("*.py"), *artifacts]
        for name in imports(path)
        if ".".join(name.split(".")[:2]) in rooms
    }
    assert not wrong


def test_shared_rooms_import_no_stage() -> None:
    shared = {room.parent.name for room in (ROOT / "degla").glob("*/__init__.py")} - {*STAGES, *ABOVE}
    assert {"outcomes", "judge", "text", "models", "catalog", "miniworld", "sources"} <= shared
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for room in shared
        for path in files(f"degla/{room}")
        for name in imports(path)
        if name.split(".")[0] == "degla" and name.split(".")[1:2] and name.split(".")[1] in STAGES
    }
    assert not wrong


def test_only_experiments_and_commands_know_all_stages() -> None:
    users = {
        path.relative_to(ROOT / "degla").as_posix()
        for path in files("degla")
        for name in imports(path)
        if name.startswith("degla.experiments") and not {"experiments", "study"} & set(path.parts)
    }
    assert {user for user in users if not user.endswith(COMMANDS)} == set()


def test_each_room_says_in_what_order_to_read_it() -> None:
    rooms = [path for folder in ("degla", "flows", "tasks") for path in files(folder) if path.name == "__init__.py"]
    silent = [
        path.parent.relative_to(ROOT).as_posix()
        for path in rooms
        if "Read " not in (ast.get_docstring(ast.parse(path.read_text())) or "")
        and len([module for module in path.parent.glob("*.py") if not module.name.startswith("__")]) > 1
    ]
    assert not silent


@pytest.mark.parametrize(("engine", "place"), ENGINES.items())
def test_each_engine_is_behind_one_place(engine: str, place: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix() for path in files("degla") for name in imports(path) if name.split(".")[0] == engine
    }
    assert all(user.startswith(place) for user in users)


def test_importing_the_pipeline_and_the_launcher_loads_no_engine() -> None:
    code = "import sys, flows.pipeline, flows.local.launch, flows.serve; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "flows.pipeline" in loaded
    assert not {"torch", "vllm", "duckdb", "deepspeed"} & loaded


def test_the_launcher_starts_before_prefect_is_imported() -> None:
    code = "import sys, flows.local.launch; print('prefect' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
