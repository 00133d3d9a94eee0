"""One model under every convention: which average, which rule for ties, and who uses it.

A number without its convention says little: CLIP ViT-B/32 has 76.6 on SugarCrepe by mteb and 73.0 by FSC-CLIP, from the same
answers. Every metric named here is one of the scores; this module says whose it is and puts them side by side. What answers do
not show (prompt templates, class names, other items) stands in docs/evaluation.md.

Read in their code: SugarCrepe's main_eval.py, ARO's aro_datasets.py, CLIP_benchmark 48de38c, mteb 19d53f8, READ-CLIP acd1cdb.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from degla.errors import DataError, first_few
from degla.markdown import markdown_table
from degla.outcomes.outcome import Outcome
from degla.outcomes.suites import ZERO_SHOT_METRICS


@dataclass(frozen=True)
class Convention:
    """A way to make one number of a benchmark."""

    metric: str
    """Path of the metric in the benchmark's scores."""
    used_by: str
    counts: str
    """What is averaged, and what a tie is."""


_STRICT, _ARGMAX = "a tie is wrong", "a tie is right"
_MATCH = (
    Convention("text_accuracy", "all", f"each image chose its caption; {_STRICT}"),
    Convention("image_accuracy", "all", f"each caption chose its image; {_STRICT}"),
    Convention("group_accuracy", "all", f"both; {_STRICT}"),
)

CONVENTIONS: dict[str, tuple[Convention, ...]] = {
    "sugarcrepe": (
        Convention("mean_of_7/accuracy", "DeGLA", f"7 subsets alike; {_STRICT} (main_eval.py)"),
        Convention("mean_of_7/accuracy_ties_right", "CLIP_benchmark, mean of its 7 files", f"7 subsets alike; {_ARGMAX}"),
        Convention(
            "mean_of_categories/accuracy", "vl_compo, FSC-CLIP, READ-CLIP", f"items within replace, swap, add; 3 alike; {_STRICT}"
        ),
        Convention("all_items/accuracy", "SugarCrepe's paper, table 5", f"7,511 items alike; {_STRICT}"),
        Convention("all_items/accuracy_ties_right", "mteb, text_acc", f"7,511 items alike; {_ARGMAX}"),
    ),
    "valse": (
        Convention("mean_of_11/accuracy", "DeGLA", f"11 pieces alike; {_STRICT}"),
        Convention("mean_of_7_phenomena/accuracy", "vl_compo, FSC-CLIP, READ-CLIP", f"7 phenomena alike; {_STRICT}"),
        Convention("all_items/accuracy", "READ-CLIP's evaluator.py, total", f"7,702 items alike; {_STRICT}"),
    ),
    "aro_vg_relation": (
        Convention("vg_relation/macro_accuracy", "ARO, vl_compo, DeGLA", f"relations alike, without symmetric ones; {_STRICT}"),
        Convention("vg_relation/accuracy", "mteb, text_acc (there a tie is right)", f"23,937 items alike; {_STRICT}"),
    ),
    "aro_vg_attribution": (
        Convention("vg_attribution/macro_accuracy", "ARO, vl_compo, DeGLA", f"pairs with 25 items or more alike; {_STRICT}"),
        Convention("vg_attribution/accuracy", "mteb, text_acc (there a tie is right)", f"items alike; {_STRICT}"),
    ),
    "aro_coco_order": (
        Convention("coco_order/accuracy", "ARO, vl_compo, DeGLA", _ARGMAX),
        Convention("coco_order/accuracy_ties_wrong", "strict", f"{_STRICT}: a shuffle may leave the caption as it was"),
    ),
    "aro_flickr30k_order": (
        Convention("flickr30k_order/accuracy", "ARO, vl_compo, DeGLA", _ARGMAX),
        Convention("flickr30k_order/accuracy_ties_wrong", "strict", f"{_STRICT}: a shuffle may leave the caption as it was"),
    ),
    "bivlc": (
        Convention("all_items/group_accuracy", "BiVLC", f"2,933 items alike; {_STRICT}"),
        Convention("mean_of_sets/group_accuracy", "its categories alike", f"3 sets alike; {_STRICT}"),
    ),
    "mmvp_vlm": (
        Convention("mean_of_sets/image_accuracy", "MMVP", f"9 patterns alike, images only; {_STRICT}"),
        Convention("mean_of_sets/text_accuracy", "vl_compo, text", f"9 patterns alike; {_STRICT}"),
        Convention("mean_of_sets/group_accuracy", "vl_compo, group", f"9 patterns alike; {_STRICT}"),
    ),
    **{
        name: tuple(Convention(f"{name}/{each.metric}", each.used_by, each.counts) for each in _MATCH)
        for name in ("winoground", "cola", "colorswap")
    },
    **{
        name: (
            Convention("classes/accuracy", "CLIP_benchmark acc1, open_clip, mteb", "images alike (top-1)"),
            Convention("classes/mean_per_class", "CLIP_benchmark mean_per_class_recall", "classes alike"),
        )
        for name in ZERO_SHOT_METRICS
    },
}
"""Benchmark to its conventions; the first is that of its own tables."""


def crosswalk(outcomes: Sequence[Outcome]) -> dict[str, list[tuple[Convention, dict[str, float]]]]:
    """Benchmark to each convention that its outcomes can show, with the value of each model.

    Raises:
        DataError: no benchmark has conventions that are known.
    """
    made: dict[str, list[tuple[Convention, dict[str, float]]]] = {}
    for benchmark, conventions in CONVENTIONS.items():
        of_model = {
            each.model: {measure.path: measure.value for measure in each.measures()}
            for each in outcomes
            if each.benchmark == benchmark
        }
        values = {
            convention: {model: own[convention.metric] for model, own in of_model.items() if convention.metric in own}
            for convention in conventions
        }
        if any(values.values()):
            made[benchmark] = [(convention, found) for convention, found in values.items() if found]
    if not made:
        there = first_few(dict.fromkeys(each.benchmark for each in outcomes))
        raise DataError(f"no benchmark of the outcomes ({there}) has several conventions; known are: {', '.join(CONVENTIONS)}")
    return made


def as_markdown(made: dict[str, list[tuple[Convention, dict[str, float]]]]) -> str:
    """A table for each benchmark, per cent."""
    return "\n\n".join(part for benchmark, rows in made.items() for part in (f"## {benchmark}", _table(rows)))


def _table(rows: Sequence[tuple[Convention, dict[str, float]]]) -> str:
    models = list(dict.fromkeys(model for _, values in rows for model in values))
    cells = [
        [f"`{convention.metric}`", convention.used_by, convention.counts, *_cells(values, models)] for convention, values in rows
    ]
    return markdown_table(["metric", "as in", "counts", *models], cells, text=("metric", "as in", "counts"))


def _cells(values: dict[str, float], models: Sequence[str]) -> Iterator[str]:
    yield from (f"{100 * values[model]:.2f}" if model in values else "" for model in models)
