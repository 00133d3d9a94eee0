"""The papers' tables as LaTeX tables with booktabs' rules; or the scores side by side, if none of these applies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from degla.report.compare.comparison import Comparison
from degla.report.compare.layouts import Cell, Table, tables
from degla.report.compare.markdown import SIDE_BY_SIDE, points
from degla.report.compare.runs import Model


def latex(comparison: Comparison) -> str:
    """Every table. The preamble needs `\\usepackage{booktabs}`."""
    found = list(tables(comparison))
    parts = ["% \\usepackage{booktabs}", *(_layout(table, comparison) for table in found)]
    labels = [model.label for model in comparison.models]
    if not found and len(labels) > SIDE_BY_SIDE:
        parts.append(f"% none of the papers' tables applies, and {len(labels)} models do not stand side by side")
    elif not found:
        heads = [" & ".join(map(_escaped, ["Metric", *labels])) + r" \\"]
        lines = [
            " & ".join([_escaped(metric), *(_score(comparison, metric, label) for label in labels)]) + r" \\"
            for metric in comparison.scores
        ]
        parts.append(_tabular("All scores, in per cent", heads, lines, comparison.models, comparison))
    return "\n\n".join(parts) + "\n"


def _score(comparison: Comparison, metric: str, label: str) -> str:
    return points(comparison.figure(metric, label)) + _raised(comparison.stars(metric, label))


def _layout(table: Table, comparison: Comparison) -> str:
    heads = [" & ".join(["Model", *map(_escaped, table.headers)]) + r" \\"]
    if any(table.groups):
        runs = [(group, len(list(own))) for group, own in groupby(table.groups)]
        cells = [rf"\multicolumn{{{width}}}{{c}}{{{_escaped(group)}}}" for group, width in runs]
        rules, start = [], 2
        for group, width in runs:
            rules += [rf"\cmidrule(lr){{{start}-{start + width - 1}}}"] if group else []
            start += width
        heads = [f" & {' & '.join(cells)} \\\\", "".join(rules), *heads]
    lines = [
        " & ".join([_escaped(model.label) + (r"$^\dagger$" if model.source else ""), *(_cell(cell) for cell in cells)]) + r" \\"
        for model, cells in table.rows
    ]
    return _tabular(table.title, heads, lines, [model for model, _ in table.rows], comparison)


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    value = f"{100 * cell.value:.1f}"
    return (rf"\textbf{{{value}}}" if cell.best else value) + _raised(cell.stars)


def _tabular(title: str, heads: Sequence[str], lines: Sequence[str], models: Sequence[Model], comparison: Comparison) -> str:
    notes = []
    if comparison.changes:
        count = f"{len(comparison.changes):,}"
        notes.append(f"Stars: difference from {comparison.baseline}, p < 0.05, 0.01, 0.001, Holm over {count} comparisons.")
    sources = [f"{model.label}: {model.source}" for model in models if model.source]
    if sources:
        notes.append("Published: " + "; ".join(sources) + ".")
    caption = " ".join([f"{title}.", *notes])
    caption = _escaped(caption) if not sources else _escaped(caption).replace("Published:", r"$^\dagger$Published:")
    columns = heads[-1].count("&") + 1
    top = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
    ]
    return "\n".join([*top, r"\toprule", *heads, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _raised(stars: str) -> str:
    return f"$^{{{stars}}}$" if stars else ""
