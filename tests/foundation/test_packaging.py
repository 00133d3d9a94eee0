"""The library is installed without Prefect, and requires what it imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = {"vllm", "tensorboard", "wandb"}
"""Imported only where asked for; an error names what to install."""
PARTS = {"pydantic_core", "tokenizers"}
"""Pinned by pydantic and transformers, which are required."""


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name."""
    return {_normal(re.split(r"[=<>\[]", each)[0]) for each in requirements}


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


def test_prefect_is_required_by_the_flows_and_not_by_the_library() -> None:
    assert not names(PROJECT["dependencies"]) & {"prefect", "fastapi"}
    assert {"prefect", "fastapi"} <= names(PROJECT["optional-dependencies"]["flows"])


def test_the_library_requires_what_it_imports() -> None:
    imported = set()
    for file in (ROOT / "degla").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    distributions = packages_distributions()
    required = names(PROJECT["dependencies"])
    third_party = imported - sys.stdlib_module_names - {"degla"} - OPTIONAL - PARTS
    missing = {name for name in third_party if not {_normal(each) for each in distributions[name]} & required}
    assert not missing, "degla imports what pyproject.toml does not require"


def test_every_command_of_the_library_starts_without_prefect() -> None:
    blocked = "import sys; sys.modules |= dict.fromkeys(['prefect', 'fastapi', 'flows', 'tasks']);"
    code = f"""{blocked}
from degla.experiments.cli import main
from degla.experiments.experiment import STAGES
import degla.catalog.__main__, degla.generate.exemplars.__main__, degla.filter.__main__
print([main(stage, ['demo', '--dry-run']) for stage in STAGES][-1])"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1:] == ["0"], result.stderr
