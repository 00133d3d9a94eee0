"""Averages over several benchmarks, under the names that papers give them; made if every part was scored.

The parts are named after the benchmarks' cards, so a benchmark with its own label is not part of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from degla.outcomes.averages import Average

ZERO_SHOT_METRICS = {
    "cifar10": "accuracy",
    "cifar100": "accuracy",
    "food101": "accuracy",
    "oxford_pets": "mean_per_class",
    "flowers102": "mean_per_class",
    "sun397": "accuracy",
    "stanford_cars": "accuracy",
    "dtd": "accuracy",
    "caltech101": "mean_per_class",
    "fgvc_aircraft": "mean_per_class",
    "imagenet": "accuracy",
}
"""Card of each of the 11 sets to its metric: top-1, or the mean per class (as in CLIP's paper, appendix A.1)."""


IMAGENET_SHIFTS = ("imagenet_v2", "imagenet_r", "imagenet_sketch", "objectnet", "imagenet_a")


@dataclass(frozen=True)
class Suite:
    """Averages that belong together; their records have its name as benchmark."""

    name: str
    averages: tuple[Average, ...]
    note: str = ""


def _mean_of_11(name: str, record: str) -> Suite:
    """The suite of the 11 sets; `record` names a set's figure by its card and metric."""
    own = tuple(record.format(card=card, metric=metric) for card, metric in ZERO_SHOT_METRICS.items())
    top_1 = tuple(record.format(card=card, metric="accuracy") for card in ZERO_SHOT_METRICS)
    averages = Average("mean_of_11/set_metric", own), Average("mean_of_11/accuracy", top_1)
    return Suite(name, averages, "plain mean over the 11 sets: each with its own metric, and all with top-1")


SUITES = (
    Suite(
        "aro",
        (
            Average(
                "mean_of_4/accuracy",
                (
                    "aro_vg_relation/vg_relation/macro_accuracy",
                    "aro_vg_attribution/vg_attribution/macro_accuracy",
                    "aro_coco_order/coco_order/accuracy",
                    "aro_flickr30k_order/flickr30k_order/accuracy",
                ),
            ),
        ),
        "plain mean of ARO's four tests, as in DeGLA's table; the first two are macro accuracies",
    ),
    _mean_of_11("zero_shot", "{card}/classes/{metric}"),
    _mean_of_11("linear_probe", "{card}_probe/probe/linear_probe_{metric}"),
    Suite(
        "imagenet_shifts",
        (Average("mean_of_5/accuracy", tuple(f"{card}/classes/accuracy" for card in IMAGENET_SHIFTS)),),
        "plain mean of the five sets that WiSE-FT calls distribution shifts",
    ),
)
