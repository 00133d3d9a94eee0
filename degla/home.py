"""Paths: artifact root, raw data, catalog, presets and prompts; each is set by an environment variable or has a default.

Folders of the checkout (`data_catalog/`, `prompts/`, `flows/experiments/`) are looked up in the current folder first, then
beside the installed package.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from degla.errors import MissingInputError

_CHECKOUT = Path(__file__).resolve().parent.parent


def artifact_root() -> Path:
    """`DEGLA_HOME`, or `artifacts/` in the current folder."""
    return Path(os.environ.get("DEGLA_HOME") or "artifacts").absolute()


def data_root() -> Path:
    """The folder that paths in catalog cards are relative to: `DEGLA_DATA`, or `data/` in the current folder."""
    return Path(os.environ.get("DEGLA_DATA") or "data").absolute()


def catalog_dir() -> Path:
    """`DEGLA_CATALOG`, or the checkout's `data_catalog/`."""
    return _place("DEGLA_CATALOG", "data_catalog")


def experiments_dir() -> Path:
    """`DEGLA_EXPERIMENTS`, or the checkout's `flows/experiments/`."""
    return _place("DEGLA_EXPERIMENTS", "flows/experiments")


def studies_dir() -> Path:
    """`studies/` beside the presets."""
    return experiments_dir().parent / "studies"


def prompts_dir() -> Path:
    """`DEGLA_PROMPTS`, or the checkout's `prompts/`."""
    return _place("DEGLA_PROMPTS", "prompts")


def find_yaml(name_or_path: str, folder: Path, what: str) -> Path:
    """A YAML file by its path, or by its name in `folder`. Raises MissingInputError if it is not there; it names the nearest.

    Args:
        name_or_path: `demo`, or `mine/other.yaml`.
        folder: where those with a name lie.
        what: what such a file is, for the message: `experiment`.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = folder / f"{name_or_path}.yaml"
    if not path.is_file():
        names = sorted(each.stem for each in folder.glob("*.yaml"))
        near = difflib.get_close_matches(name_or_path, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none'}."
        raise MissingInputError(f"no {what} {name_or_path!r} ({path} does not exist). {hint}")
    return path


def _place(variable: str, relative: str) -> Path:
    if os.environ.get(variable):
        return Path(os.environ[variable]).absolute()
    here = Path(relative).absolute()
    return here if here.is_dir() else _CHECKOUT / relative
