"""The filter's report: what was asked, kept and refused, and why; rows and images to look at.

Reads the stage's files and writes beside them; tables of any size stay in DuckDB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from degla.artifacts import Artifact
from degla.database import Database, connect
from degla.files import write_text_atomic
from degla.filter.config import FilterConfig
from degla.filter.inputs import find_images
from degla.filter.report.funnel import Facts, create_views, gather
from degla.filter.report.gallery import gallery
from degla.filter.report.markdown import audit_rows, funnel_rows, markdown, reason_rows, trade_off_rows
from degla.filter.report.sampling import Picture, sample_pictures, sample_rows
from degla.plots import AFTER, MUTED, plot_stacked_bars, plot_trade_off

TEXT_FILE, TABLES_FILE, GALLERY_FILE = "report.md", "tables.json", "gallery.html"
PLOT_FILE, TRADE_OFF_FILE = "yields.png", "trade_off.png"
REPORT_FILES = [TEXT_FILE, PLOT_FILE, TRADE_OFF_FILE, TABLES_FILE, GALLERY_FILE]

_FAMILY_COLOURS = {"form": "#6e7781", "edit": "#d4a72c", "meaning": "#cf4f3f", "redundancy": "#8f6bbd", "balance": "#3f9d8f"}


def write_report(config: FilterConfig, summary: Mapping[str, Any], prepared: Artifact, out_dir: Path) -> list[str]:
    """Write the text, the plots, the dashboard's tables (funnel, reasons, audit, trade-off, sample) and the gallery.

    Args:
        config: DuckDB's limits.
        summary: the stage's summary.
        prepared: the prepare artifact: the dataset's name and images.
        out_dir: the folder of `training.parquet` and `rejected.parquet`.

    Returns:
        The names of the files.
    """
    with connect(config.threads, config.memory_limit, out_dir / "spill") as database:
        create_views(database, out_dir / "training.parquet", out_dir / "rejected.parquet")
        _write(database, summary, prepared, out_dir)
    return REPORT_FILES


def _write(database: Database, summary: Mapping[str, Any], prepared: Artifact, out_dir: Path) -> None:
    facts = gather(database, summary, _dataset(prepared))
    why = {reason.rule: reason.why for reason in facts.reasons}
    images = find_images(prepared)
    tables = {
        "funnel": funnel_rows(facts.funnel),
        "reasons": reason_rows(facts.reasons),
        "audit": audit_rows(facts.audit),
        "trade-off": trade_off_rows(facts.audit),
        "sample": sample_rows(database, why),
    }
    pictures = sample_pictures(database, images)
    page = gallery(f"Negatives of {facts.dataset}", _about(facts, pictures, images is not None), pictures, why)
    write_text_atomic(out_dir / TABLES_FILE, json.dumps(tables, indent=1))
    write_text_atomic(out_dir / GALLERY_FILE, page)
    write_text_atomic(out_dir / TEXT_FILE, markdown(facts, images is not None))
    _plot(facts, out_dir / PLOT_FILE)
    _plot_trade_off(facts, out_dir / TRADE_OFF_FILE)


def _dataset(prepared: Artifact) -> str:
    if not prepared.has("card.json"):
        return "captions"
    return json.loads(prepared.file("card.json").read_text(encoding="utf-8"))["name"]


def _about(facts: Facts, pictures: list[Picture], with_images: bool) -> str:
    at_random = sum(picture.drawn_for is None for picture in pictures)
    text = f"{at_random} of {facts.images:,} images, drawn at random"
    if len(pictures) > at_random:
        text += f", and {len(pictures) - at_random} more for rules that refused nothing in those"
    return f"{text}." if with_images else f"{text}. Captions only: prepare kept no images."


def _plot(facts: Facts, path: Path) -> None:
    """A bar for each type: kept, refused by each family of rules, without text."""
    refused = {family: [_refused(facts, each.type, family) for each in facts.funnel] for family in _FAMILY_COLOURS}
    parts = [("kept", AFTER, [each.kept for each in facts.funnel])]
    parts += [(family, _FAMILY_COLOURS[family], counts) for family, counts in refused.items() if any(counts)]
    parts.append(("without text", MUTED, [each.asked - each.texts for each in facts.funnel]))
    notes = [f"{100 * each.kept / max(each.texts, 1):.0f} % of texts kept" for each in facts.funnel]
    plot_stacked_bars(
        [each.type for each in facts.funnel],
        parts,
        "rows asked: kept, refused by the rules of a family, or without text",
        path,
        notes,
    )


def _plot_trade_off(facts: Facts, path: Path) -> None:
    """A line for all types together and for each."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in facts.audit["trade_off"]:
        if point["blind_accuracy"] is not None:
            lines.setdefault(point["type"], []).append((100 * point["kept_fraction"], 100 * point["blind_accuracy"]))
    plot_trade_off(lines, "negatives kept, %", "blind accuracy, %", path, chance=50)


def _refused(facts: Facts, negative_type: str, family: str) -> int:
    return sum(reason.by_type.get(negative_type, 0) for reason in facts.reasons if reason.family == family)
