"""The report as Markdown without raw HTML, which Prefect's dashboards do not show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from degla.filter.report.funnel import MANY, Facts, Reason, TypeFunnel
from degla.markdown import markdown_table

_WORDS = {"limit", "type", "without text", "generator", "rule", "family", "why"}  # columns of text, aligned left
_FEW_PAIRS = 400  # Wilson's 95 % interval of an accuracy of 0.6 is 0.55 to 0.65

_NEXT = """\
All files are in the folder of this report.

- `gallery.html`: images with their captions, kept and rejected negatives; open it in a browser.
- `training.parquet`: a row per caption, with the kept negatives. `rejected.parquet`: each refused text with its rule.
- `python -m degla.filter explain FILE.csv` shows the verdicts on your own texts (columns `caption`, `type`, `rewrite`).

```sql
-- duckdb, in that folder: what was kept, and what a rule refused
select caption, unnest(negatives, recursive := true) from 'training.parquet' limit 20;
select r.type, t.caption, r.text, r.generator
from 'rejected.parquet' r join 'training.parquet' t using (caption_id)
where r.rule = '{rule}' limit 20;
```"""


def markdown(facts: Facts, with_images: bool) -> str:
    """The whole report."""
    sections = [
        f"# Filter: {_cell(facts.dataset)}",
        _first_line(facts),
        "## From asked to kept",
        _table(("type", "asked", "with text", "kept", "of texts", "of asked", "without text"), _funnel_rows(facts)),
        "### By generator",
        _written(facts),
        "### Negatives per caption",
        _table(("kept", "captions", "share"), _caption_rows(facts)),
        "## Why texts were refused",
        *_reasons(facts),
        "## What a text-only classifier can tell",
        *_audit(facts.audit),
        "## Files",
        _NEXT.format(rule=facts.reasons[0].rule) + ("" if with_images else "\n\nThe gallery has no images: prepare kept none."),
    ]
    return "\n\n".join(sections) + "\n"


def funnel_rows(funnel: Iterable[TypeFunnel]) -> list[dict[str, str | int | float]]:
    """The funnel as a table for the dashboard."""
    return [
        {
            "type": each.type,
            "asked": each.asked,
            "with text": each.texts,
            "kept": each.kept,
            "kept of texts, %": _share(each.kept, each.texts),
            "kept of asked, %": _share(each.kept, each.asked),
            "without text": _listed(each.not_generated),
        }
        for each in funnel
    ]


def reason_rows(reasons: Sequence[Reason]) -> list[dict[str, str | int | float]]:
    """The rules that refused texts as a table for the dashboard, the one that refused most first."""
    total = sum(reason.rejected for reason in reasons)
    return [
        {
            "rule": reason.rule,
            "family": reason.family,
            "rejected": reason.rejected,
            "share, %": _share(reason.rejected, total),
            "why": reason.why,
            "by type": _listed(reason.by_type),
        }
        for reason in reasons
        if reason.rejected
    ]


def audit_rows(audit: Mapping[str, Any]) -> list[dict[str, str | int | float]]:
    """The blind accuracies as a table for the dashboard, in per cent."""
    return [
        {
            "type": row["type"],
            "generator": row["generator"],
            "pairs": row["pairs"],
            "blind accuracy, %": round(100 * row["blind_accuracy"], 1),
            "interval, %": f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            "captions alone, %": round(100 * row["captions_alone"], 1),
        }
        for row in audit["rows"]
    ]


def trade_off_rows(audit: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row for each limit of the gap, a column for each type: the share kept and its blind accuracy, in per cent."""
    rows: dict[float | None, dict[str, str]] = {}
    for point in audit["trade_off"]:
        limit, accuracy = point["max_lm_gap"], point["blind_accuracy"]
        row = rows.setdefault(limit, {"max_lm_gap": "none" if limit is None else f"{limit:g}"})
        told = "-" if accuracy is None else f"{100 * accuracy:.1f}"
        row[point["type"]] = f"{100 * point['kept_fraction']:.1f} at {told}"
    return list(rows.values())


def _first_line(facts: Facts) -> str:
    texts, kept = (sum(getattr(each, name) for each in facts.funnel) for name in ("texts", "kept"))
    return (
        f"**{kept:,} of {texts:,} texts were kept ({_percent(kept, texts)})**, {kept / max(facts.captions, 1):.2f} a caption,"
        f" for {facts.captions:,} captions of {facts.images:,} images. {facts.captions_by_kept[0]:,} captions have none."
    )


def _funnel_rows(facts: Facts) -> Iterable[Sequence[str]]:
    for each in facts.funnel:
        yield _funnel_row(_words(each.type), each.asked, each.texts, each.kept, _listed(each.not_generated))
    asked, texts, kept = (sum(getattr(each, name) for each in facts.funnel) for name in ("asked", "texts", "kept"))
    yield _funnel_row("**all**", asked, texts, kept, "")


def _funnel_row(name: str, asked: int, texts: int, kept: int, note: str) -> Sequence[str]:
    return name, f"{asked:,}", f"{texts:,}", f"{kept:,}", _percent(kept, texts), _percent(kept, asked), note


def _written(facts: Facts) -> str:
    generators = {each.generator for each in facts.written}
    if len(generators) == 1:
        return f"All texts are by {_cell(*generators)}."
    return _table(("type", "generator", "with text", "kept", "of texts"), _written_rows(facts))


def _written_rows(facts: Facts) -> Iterable[Sequence[str]]:
    for each in facts.written:
        yield _words(each.type), _cell(each.generator), f"{each.texts:,}", f"{each.kept:,}", _percent(each.kept, each.texts)


def _caption_rows(facts: Facts) -> Iterable[Sequence[str]]:
    for kept, captions in facts.captions_by_kept.items():
        yield f"{kept} or more" if kept == MANY else str(kept), f"{captions:,}", _percent(captions, facts.captions)


def _reasons(facts: Facts) -> Iterable[str]:
    refusing = [reason for reason in facts.reasons if reason.rejected]
    total = sum(reason.rejected for reason in refusing)
    if not refusing:
        yield "No text was refused."
    else:
        yield "The first rule that a text fails refuses it; `summary.json` lists the rules in order."
        yield _table(("rule", "family", "rejected", "share", "why"), (_reason_row(reason, total) for reason in refusing))
        types = [each.type for each in facts.funnel if any(each.type in reason.by_type for reason in refusing)]
        yield "### By type"
        yield _table(("rule", *map(_words, types)), (_type_counts(reason, types) for reason in refusing))
    idle = [f"`{reason.rule}`" for reason in facts.reasons if not reason.rejected]
    if idle:
        yield f"Rules that refused nothing: {', '.join(idle)}."


def _audit(audit: Mapping[str, Any]) -> Iterable[str]:
    if not audit["rows"]:
        yield "Nothing was kept, so nothing was audited."
        return
    yield audit["definition"]
    header = ("type", "generator", "pairs", "blind accuracy", "interval", "captions alone")
    yield _table(header, map(_audit_row, audit_rows(audit)))
    few = [
        f"{_words(row['type'])} by {row['generator']} ({row['pairs']:,})" for row in audit["rows"] if row["pairs"] < _FEW_PAIRS
    ]
    if few:
        yield (
            f"Too few pairs to rely on: {', '.join(few)}. Below {_FEW_PAIRS} the 95 % interval is wider than ±5 points, and the"
            " classifier has read too little of what gives the negatives away: the true figure may be higher."
        )
    if audit["balanced"]:
        yield "### Dropped for the target"
        yield _table(("type", "generator", "pairs", "dropped", "before", "after"), map(_balanced_row, audit["balanced"]))
    yield "### What a limit on implausible texts would keep"
    yield (
        "Share kept, and its blind accuracy, with `filter.max_lm_gap` at each limit (nats); estimated"
        + (", before negatives were dropped for the target." if audit["balanced"] is not None else ".")
        + " `trade_off.png` shows it."
    )
    rows = trade_off_rows(audit)
    yield _table(["limit", *map(_words, list(rows[0])[1:])], ([*row.values()] for row in rows))


def _audit_row(row: Mapping[str, Any]) -> Sequence[str]:
    name, generator, pairs, accuracy, interval, captions_alone = row.values()
    return _words(name), _cell(generator), f"{pairs:,}", f"{accuracy} %", f"{interval} %", f"{captions_alone} %"


def _balanced_row(change: Mapping[str, Any]) -> Sequence[str]:
    before, after = (f"{100 * share:.1f} %" if share is not None else "-" for share in (change["before"], change["after"]))
    counts = f"{change['pairs']:,}", f"{change['dropped']:,}"
    return _words(change["type"]), _cell(change["generator"]), *counts, before, after


def _reason_row(reason: Reason, total: int) -> Sequence[str]:
    return f"`{reason.rule}`", reason.family, f"{reason.rejected:,}", _percent(reason.rejected, total), _cell(reason.why)


def _type_counts(reason: Reason, types: Sequence[str]) -> Sequence[str]:
    return f"`{reason.rule}`", *(f"{reason.by_type[name]:,}" if name in reason.by_type else "" for name in types)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown_table(header, rows, _WORDS)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_words(name)} {count:,}" for name, count in counts.items() if count)


def _percent(part: int, whole: int) -> str:
    return f"{_share(part, whole)} %" if whole else "-"


def _share(part: int, whole: int) -> float:
    return round(100 * part / max(whole, 1), 1)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cell(text: str) -> str:
    """A text from the data as a table cell."""
    return "".join(f"\\{sign}" if sign in r"\`*_<>[]|#" else sign for sign in " ".join(text.split()))
