"""The averages that each benchmark has by its definition, over its own sets. Those over several benchmarks are in `suites`.

SugarCrepe (Hsieh et al. 2023): every one that is in use, because papers rarely say which they mean: `mean_of_7` (the tables'
AVG), per category over subsets (macro: DeGLA's table) and over items (micro), `mean_of_categories` over the latter (vl_compo,
FSC-CLIP, READ-CLIP), `all_items` (SugarCrepe's own table 5). VALSE: over the 11 pieces (DeGLA's table) and over the 7 phenomena,
pieces of one phenomenon first averaged (FSC-CLIP, READ-CLIP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from degla.miniworld.benchmarks import ClassificationKind


@dataclass(frozen=True)
class Average:
    """A named mean over metrics of a benchmark's sets; made only if all of them were scored."""

    path: str
    """Such as `swap/accuracy_macro`."""
    over: tuple[str, ...]
    """Metric paths, such as `swap_obj/accuracy`."""
    pooled: bool = False
    """True: all items count alike (micro). False: all metrics count alike (macro)."""


def averages_of_sets(names: Sequence[str], metrics: Sequence[str]) -> tuple[Average, ...]:
    """The means of each metric over sets and over items, if there is more than one set."""
    if len(names) < 2:
        return ()
    over = [(metric, tuple(f"{name}/{metric}" for name in names)) for metric in metrics]
    means = (Average(f"mean_of_sets/{metric}", paths) for metric, paths in over)
    return (*means, *(Average(f"all_items/{metric}", paths, pooled=True) for metric, paths in over))


SugarCrepeSubset = Literal["replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att", "add_obj", "add_att"]
SugarCrepePlusSubset = Literal["replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att"]
ValsePiece = Literal[
    "existence",
    "plurals",
    "counting_small_quant",
    "counting_hard",
    "counting_adversarial",
    "relations",
    "action_replacement",
    "actant_swap",
    "coreference_standard",
    "coreference_hard",
    "foil_it",
]
_CATEGORIES = ("replace", "swap", "add")
_PHENOMENA = {
    "counting": ("counting_small_quant", "counting_hard", "counting_adversarial"),
    "actions": ("action_replacement", "actant_swap"),
    "coreference": ("coreference_standard", "coreference_hard"),
}
_ALONE = ("existence", "plurals", "relations", "foil_it")


def _sugarcrepe() -> tuple[Average, ...]:
    every = tuple(f"{subset}/accuracy" for subset in get_args(SugarCrepeSubset))
    of_category = {name: tuple(path for path in every if path.startswith(name)) for name in _CATEGORIES}
    return (
        *(Average(f"{name}/accuracy_macro", over) for name, over in of_category.items()),
        *(Average(f"{name}/accuracy_micro", over, pooled=True) for name, over in of_category.items()),
        Average("mean_of_7/accuracy", every),
        Average("mean_of_7/accuracy_ties_right", tuple(f"{path}_ties_right" for path in every)),
        Average("mean_of_categories/accuracy", tuple(f"{name}/accuracy_micro" for name in _CATEGORIES)),
        Average("all_items/accuracy", every, pooled=True),
        Average("all_items/accuracy_ties_right", tuple(f"{path}_ties_right" for path in every), pooled=True),
    )


def _sugarcrepe_pp() -> tuple[Average, ...]:
    subsets = get_args(SugarCrepePlusSubset)
    return tuple(
        Average(f"mean_of_5/{test}_accuracy", tuple(f"{name}/{test}_accuracy" for name in subsets)) for test in ("itt", "tot")
    )


def _valse() -> tuple[Average, ...]:
    every = tuple(f"{piece}/accuracy" for piece in get_args(ValsePiece))
    mean_of = {name: f"{name}/accuracy_macro" for name in _PHENOMENA}
    phenomena = tuple(Average(mean_of[name], tuple(f"{piece}/accuracy" for piece in own)) for name, own in _PHENOMENA.items())
    of_seven = (*(f"{piece}/accuracy" for piece in _ALONE), *mean_of.values())
    return (
        *phenomena,
        Average("mean_of_11/accuracy", every),
        Average("mean_of_7_phenomena/accuracy", of_seven),
        Average("all_items/accuracy", every, pooled=True),
    )


def _miniworld() -> tuple[Average, ...]:
    def accuracies(kinds: Sequence[str], metric: str = "accuracy") -> tuple[str, ...]:
        return tuple(f"{kind}/{metric}" for kind in kinds)

    zero_shot = get_args(ClassificationKind)
    split_by_seen = [kind for kind in zero_shot if kind != "texture"]  # fine-tuning shows every texture
    return (
        Average("mean_of_5/accuracy", accuracies(("replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att"))),
        Average("swaps/accuracy", accuracies(("swap_obj", "swap_att"))),
        Average("unseen_mean_of_3/accuracy", accuracies(("unseen_replace_obj", "unseen_swap_obj", "unseen_swap_att"))),
        Average("mean_of_6/accuracy", accuracies(zero_shot)),
        Average("seen_classes/accuracy", accuracies(split_by_seen, "accuracy_seen")),
        Average("unseen_classes/accuracy", accuracies(split_by_seen, "accuracy_unseen")),
        Average("both_directions/recall@1", ("retrieval/text_retrieval_recall@1", "retrieval/image_retrieval_recall@1")),
    )


BY_DEFINITION = {"miniworld": _miniworld(), "sugarcrepe": _sugarcrepe(), "sugarcrepe_pp": _sugarcrepe_pp(), "valse": _valse()}
"""Reader of a card to the averages that its benchmarks have, whatever their files."""
