"""The page's HTML: a Jinja template that escapes every text, with its style and script inside and nothing loaded."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from degla.report.page.examples import TypeExamples
from degla.report.page.items import Items
from degla.report.page.script_json import as_json
from degla.report.page.sections import Funnel

_FOLDER = Path(__file__).with_name("template")
_SCRIPTS = ("charts.js", "scores.js", "failures.js", "page.js")


@dataclass(frozen=True)
class Document:
    """What the template shows; see `degla.report.page.page`."""

    title: str
    facts: str
    verdict: str
    has_losses: bool
    has_trade_off: bool
    examples: list[TypeExamples]
    funnels: list[Funnel]
    costs: list[tuple[str, str, str]]
    lineage: list[tuple[str, dict[str, Any]]]
    sources: list[str]
    experiment: str
    licence: str
    items: Items = field(default_factory=lambda: Items({}))
    items_json: str = "{}"
    pictures_json: str = "[]"

    def with_items(self, items: Items) -> Document:
        """With the failure browser's items."""
        return replace(self, items=items, items_json=as_json(items.data), pictures_json=as_json(items.pictures))


def render(document: Document) -> str:
    """The page. Its security policy allows its own script, pictures inside of it, and no request."""
    script = "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return _template().render(doc=document, script=script, script_hash=f"sha256-{digest}", style=style)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html")
