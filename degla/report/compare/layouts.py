"""The tables of the papers: which metrics, in which order and groups. Models are rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from degla.report.compare.comparison import Comparison
from degla.report.compare.runs import Figure, Model


@dataclass(frozen=True)
class Column:
    """A column of a paper's table."""

    group: str
    """The heading above several columns; empty for none."""
    header: str
    metric: str


@dataclass(frozen=True)
class Layout:
    """A paper's table."""

    name: str
    """Names its files."""
    title: str
    columns: tuple[Column, ...]
    mean: str = ""
    """Header of a first column with the mean of the group of this name, over its columns that all models of the runs have."""


@dataclass(frozen=True)
class Cell:
    """A model's figure in a table. Shares in [0, 1]."""

    value: float
    stars: str
    """Of its difference from the baseline."""
    best: bool
    """Whether no model of the table is better."""


@dataclass(frozen=True)
class Table:
    """A layout with the figures of the models that have any of it."""

    name: str
    title: str
    groups: tuple[str, ...]
    """Of each column."""
    headers: tuple[str, ...]
    rows: tuple[tuple[Model, tuple[Cell | None, ...]], ...]


def _sugarcrepe(group: str, *parts: str) -> tuple[Column, ...]:
    return tuple(Column(group, part, f"sugarcrepe/{group.lower()}_{part.lower()}/accuracy") for part in parts)


_VALSE = {
    "Existence": "existence",
    "Plurality": "plurals",
    "Counting": "counting",
    "Sp.rel.": "relations",
    "Repl.": "action_replacement",
    "Swap": "actant_swap",
    "Std.": "coreference_standard",
    "Clean": "coreference_hard",
    "Foil-it": "foil_it",
}
_VALSE_GROUPS = {"Repl.": "Actions", "Swap": "Actions", "Std.": "Coreference", "Clean": "Coreference"}
_ZERO_SHOT = {
    "CIFAR10": "cifar10/classes/accuracy",
    "CIFAR100": "cifar100/classes/accuracy",
    "Food101": "food101/classes/accuracy",
    "Pets": "oxford_pets/classes/mean_per_class",
    "Flowers": "flowers102/classes/mean_per_class",
    "SUN397": "sun397/classes/accuracy",
    "Cars": "stanford_cars/classes/accuracy",
    "DTD": "dtd/classes/accuracy",
    "Caltech101": "caltech101/classes/mean_per_class",
    "Aircraft": "fgvc_aircraft/classes/mean_per_class",
    "ImageNet": "imagenet/classes/accuracy",
    "AVG": "zero_shot/mean_of_11/set_metric",
}
_RECALL = "captions/{}_retrieval_recall@1"

LAYOUTS = (
    Layout(
        "degla-valse",
        "VALSE as in DeGLA's table (arXiv 2504.16801): pairwise accuracy, AVG over the 11 pieces",
        (
            *(
                Column(_VALSE_GROUPS.get(header, ""), header, f"valse/{piece}/accuracy{'_macro' if piece == 'counting' else ''}")
                for header, piece in _VALSE.items()
            ),
            Column("", "AVG", "valse/mean_of_11/accuracy"),
        ),
    ),
    Layout(
        "degla-sugarcrepe",
        "SugarCrepe as in DeGLA's table: accuracy, AVG over the 7 subsets",
        (
            *_sugarcrepe("Replace", "Obj", "Att", "Rel"),
            *_sugarcrepe("Swap", "Obj", "Att"),
            *_sugarcrepe("Add", "Obj", "Att"),
            Column("", "AVG", "sugarcrepe/mean_of_7/accuracy"),
        ),
    ),
    Layout(
        "degla-aro",
        "ARO as in DeGLA's table: macro accuracies and precision@1, AVG over the 4 tests",
        (
            Column("", "Relation", "aro_vg_relation/vg_relation/macro_accuracy"),
            Column("", "Attribute", "aro_vg_attribution/vg_attribution/macro_accuracy"),
            Column("", "COCO-Order", "aro_coco_order/coco_order/accuracy"),
            Column("", "Flickr30k-Order", "aro_flickr30k_order/flickr30k_order/accuracy"),
            Column("", "AVG", "aro/mean_of_4/accuracy"),
        ),
    ),
    Layout(
        "degla-zero-shot",
        "Zero-shot classification as in DeGLA's table: each set's own metric, AVG over the 11 sets",
        tuple(Column("", header, metric) for header, metric in _ZERO_SHOT.items()),
    ),
    Layout(
        "fsc-clip",
        "As in FSC-CLIP's table (arXiv 2410.05210): composition beside recognition and retrieval (recall@1). SugarCrepe over 3"
        " categories, VALSE over 7 phenomena",
        (
            Column("Composition", "ARO", "aro/mean_of_4/accuracy"),
            Column("Composition", "SugarCrepe", "sugarcrepe/mean_of_categories/accuracy"),
            Column("Composition", "VALSE", "valse/mean_of_7_phenomena/accuracy"),
            Column("Composition", "Winoground", "winoground/winoground/group_accuracy"),
            Column("Zero-shot", "11 sets", "zero_shot/mean_of_11/set_metric"),
            Column("COCO", "I2T", f"coco_retrieval/{_RECALL.format('text')}"),
            Column("COCO", "T2I", f"coco_retrieval/{_RECALL.format('image')}"),
            Column("Flickr30k", "I2T", f"flickr30k_retrieval/{_RECALL.format('text')}"),
            Column("Flickr30k", "T2I", f"flickr30k_retrieval/{_RECALL.format('image')}"),
        ),
        mean="Composition",
    ),
    Layout(
        "read-clip",
        "As in READ-CLIP's table (arXiv 2510.16540): SugarCrepe over 3 categories, VALSE over 7 phenomena, SugarCrepe++ over 5"
        " subsets",
        (
            Column("", "What'sUp", "whatsup/whatsup/accuracy"),
            Column("", "VALSE", "valse/mean_of_7_phenomena/accuracy"),
            Column("", "SugarCrepe", "sugarcrepe/mean_of_categories/accuracy"),
            Column("SugarCrepe++", "ITT", "sugarcrepe_pp/mean_of_5/itt_accuracy"),
            Column("SugarCrepe++", "TOT", "sugarcrepe_pp/mean_of_5/tot_accuracy"),
        ),
    ),
    Layout(
        "bivlc",
        "BiVLC as in its paper (arXiv 2406.09952), over all items, beside SugarCrepe's mean of 7 subsets",
        (
            Column("SugarCrepe", "I2T", "sugarcrepe/mean_of_7/accuracy"),
            Column("BiVLC", "I2T (text)", "bivlc/all_items/text_accuracy"),
            Column("BiVLC", "T2I (image)", "bivlc/all_items/image_accuracy"),
            Column("BiVLC", "Group", "bivlc/all_items/group_accuracy"),
        ),
    ),
)


def tables(comparison: Comparison) -> Iterator[Table]:
    """The papers' tables of which two columns or more have figures of two models or more."""
    for layout in LAYOUTS:
        there = [each for each in layout.columns if len(comparison.scores.get(each.metric, {})) > 1]
        if len(there) > 1:
            yield _table(layout, there, comparison)


def _table(layout: Layout, columns: list[Column], comparison: Comparison) -> Table:
    models = [model for model in comparison.models if any(comparison.figure(each.metric, model.label) for each in columns)]
    groups, headers = [each.group for each in columns], [each.header for each in columns]
    cells = [_cells([comparison.figure(each.metric, model.label) for model in models]) for each in columns]
    stars = [[comparison.stars(each.metric, model.label) for model in models] for each in columns]
    averaged = _averaged(layout, columns, models, comparison)
    if averaged:
        values = [_mean([comparison.figure(each.metric, model.label) for each in averaged]) for model in models]
        groups, headers = ["", *groups], [f"Mean of {len(averaged)}", *headers]
        cells, stars = [_cells(values), *cells], [[""] * len(models), *stars]
    made = [_marked(values, own) for values, own in zip(cells, stars, strict=True)]
    rows = tuple((model, tuple(column[row] for column in made)) for row, model in enumerate(models))
    return Table(layout.name, layout.title, tuple(groups), tuple(headers), rows)


def _marked(values: list[float | None], stars: list[str]) -> list[Cell | None]:
    """The cells of a column."""
    shown = [None if value is None else round(100 * value, 1) for value in values]
    best = max((value for value in shown if value is not None), default=None)
    return [
        None if value is None else Cell(value, own, as_shown == best)
        for value, own, as_shown in zip(values, stars, shown, strict=True)
    ]


def _averaged(layout: Layout, columns: list[Column], models: list[Model], comparison: Comparison) -> list[Column]:
    """The columns of the mean: those that all models of the runs have; none if there are fewer than two."""
    own = [model for model in models if not model.source]
    found = [
        each
        for each in columns
        if layout.mean and each.group == layout.mean and all(comparison.figure(each.metric, model.label) for model in own)
    ]
    return found if len(found) > 1 else []


def _cells(figures: list[Figure | None]) -> list[float | None]:
    return [None if figure is None else figure.value for figure in figures]


def _mean(figures: list[Figure | None]) -> Figure | None:
    """None if one of them is not known."""
    known = [figure.value for figure in figures if figure is not None]
    return Figure(sum(known) / len(known)) if len(known) == len(figures) else None
