"""Paths: artifact root, raw data, catalog, presets and prompts; each is set by an environment variable or has a default.

Folders of the checkout (`data_catalog/`, `prompts/`, `flows/experiments/`) are looked up in the current folder first, then
beside the installed package.
"""

from __future__ import annotations

import os
from pathlib import Path

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


def prompts_dir() -> Path:
    """`DEGLA_PROMPTS`, or the checkout's `prompts/`."""
    return _place("DEGLA_PROMPTS", "prompts")


def _place(variable: str, relative: str) -> Path:
    if os.environ.get(variable):
        return Path(os.environ[variable]).absolute()
    here = Path(relative).absolute()
    return here if here.is_dir() else _CHECKOUT / relative
