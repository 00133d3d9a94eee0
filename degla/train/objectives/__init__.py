"""The objectives, one a file: `degla` and the baselines that it is compared with. Read `clip`, then `degla`.

A file here is found by its name: `mine.py` with a subclass of `Objective` is `train.objective=mine`, and its settings, if it
has any, are `train.mine` in presets, overrides and the run form. Nothing else has to be told of it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from pydantic import Field, create_model

from degla.config import Config
from degla.train.objective import Objective

__all__ = ["OBJECTIVES", "section_of", "with_sections"]

ConfigT = TypeVar("ConfigT", bound=Config)


def _in_file(name: str) -> type[Objective]:
    module = import_module(f"{__name__}.{name}")
    (found,) = (kind for kind in Objective.__subclasses__() if kind.__module__ == module.__name__)
    return found


OBJECTIVES: dict[str, type[Objective]] = {name: _in_file(name) for _, name, _ in iter_modules(__path__)}
"""Name to objective."""


def section_of(name: str) -> str | None:
    """Where an objective's settings are, below `train`; None if it has none."""
    objective = OBJECTIVES[name]
    return (objective.section or name) if objective.model_fields else None


def with_sections(config: type[ConfigT]) -> type[ConfigT]:
    """The config with a nested section for each objective that has settings. Raises ValueError if a setting has its name."""
    sections: dict[str, Any] = {
        section: (objective, Field(objective(), description=f"Settings of the `{name}` objective; ignored with any other."))
        for name, objective in OBJECTIVES.items()
        if (section := section_of(name))
    }
    if taken := sections.keys() & config.model_fields:
        raise ValueError(f"an objective's settings cannot be named as a setting of {config.__name__} is: {', '.join(taken)}")
    return create_model(config.__name__, __base__=config, __module__=config.__module__, __doc__=config.__doc__, **sections)
