"""Every convention: against slow loops with ties, on the published answers, and as large as the docs say."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kendalltau
from test_outcomes import BIVLC, MODELS, SUGARCREPE, published

from degla.catalog import card_names, load_card
from degla.errors import DataError
from degla.outcomes import crosswalk
from degla.outcomes.__main__ import main
from degla.outcomes.averages import BY_DEFINITION
from degla.outcomes.crosswalk import CONVENTIONS
from degla.outcomes.export import export
from degla.outcomes.items import ITEMS
from degla.outcomes.known import known_of
from degla.outcomes.outcome import Outcome
from degla.outcomes.reading import read_outcomes
from degla.outcomes.ref import OutcomesRef

SharedData = Callable[[str], Path]

SUBSETS = {"replace_obj": 9, "replace_att": 5, "replace_rel": 7, "swap_obj": 2, "swap_att": 4, "add_obj": 11, "add_att": 3}


def answers() -> dict[str, np.ndarray]:
    """Subset to margins, of which some are exactly 0."""
    rng = np.random.default_rng(4)
    return {subset: rng.choice([-0.2, 0.0, 0.3], number, p=[0.3, 0.2, 0.5]) for subset, number in SUBSETS.items()}


def outcome() -> Outcome:
    rows = [
        {"set": subset, "kind": "choice", "item": str(n), "image": f"{n}", "status": "ok", "correct": bool(margin > 0)}
        | {"correct_ties_right": bool(margin >= 0), "margin": margin, "targets": 1, "candidates": 2}
        | {"truncated": False, "indistinct": False}
        for subset, margins in answers().items()
        for n, margin in enumerate(margins)
    ]
    items = pa.Table.from_pylist([dict.fromkeys(ITEMS.names) | row for row in rows], schema=ITEMS)
    return Outcome("mine", "sugarcrepe", items, known_of("sugarcrepe", items).averages)


def by_hand(ties_are_right: bool) -> dict[str, float]:
    """The averages one item after another."""
    right: dict[str, list[int]] = {}
    for subset, margins in answers().items():
        for margin in margins:
            right.setdefault(subset, []).append(int(margin > 0 or (ties_are_right and margin == 0)))
    shares = [sum(own) / len(own) for own in right.values()]
    categories = []
    for category in ("replace", "swap", "add"):
        own = [one for subset, ones in right.items() if subset.startswith(category) for one in ones]
        categories.append(sum(own) / len(own))
    every = [one for ones in right.values() for one in ones]
    return {"mean_of_7": sum(shares) / 7, "mean_of_categories": sum(categories) / 3, "all_items": sum(every) / len(every)}


def test_each_convention_of_sugarcrepe_agrees_with_a_slow_loop_and_the_exports(tmp_path: Path) -> None:
    made = outcome()
    found = {convention.metric: values["mine"] for convention, values in crosswalk.crosswalk([made])["sugarcrepe"]}
    strict, ties = by_hand(False), by_hand(True)
    assert found == pytest.approx(
        {f"{name}/accuracy": value for name, value in strict.items()}
        | {f"{name}/accuracy_ties_right": ties[name] for name in ("mean_of_7", "all_items")}
    )
    assert len({round(value, 6) for value in found.values()}) == 5, "all of them differ"
    of_clip_benchmark = [json.loads(path.read_text()) for path in export([made], tmp_path / "clip", "clip-benchmark", "2026")]
    accuracies = [each["metrics"]["text_acc"] for each in of_clip_benchmark]
    assert np.mean(accuracies) == pytest.approx(found["mean_of_7/accuracy_ties_right"])
    (results,) = [path for path in export([made], tmp_path / "lm", "lm-eval", "2026") if path.name.startswith("results_")]
    tasks = json.loads(results.read_text())["results"].values()
    assert np.mean([task["acc,none"] for task in tasks]) == pytest.approx(found["mean_of_7/accuracy"])


def test_the_published_answers_under_each_convention(
    shared_data: SharedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, made = shared_data("bivlc"), []
    for name, spec in (("bivlc_outcomes.csv", BIVLC), ("sugarcrepe_outcomes.csv", SUGARCREPE)):
        for (model, benchmark), items in read_outcomes(OutcomesRef(path=str(folder / name), **spec)).items():
            made.append(Outcome(model, benchmark, items, known_of(benchmark, items).averages))
    found = crosswalk.crosswalk(made)
    source = (folder / "SOURCE.txt").read_text()
    values = {convention.metric: values for convention, values in found["sugarcrepe"]}
    docs = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    for model, (overall, mean) in published(source, "SugarCrepe overall / mean of 7").items():
        assert 100 * values["all_items/accuracy"][model] == pytest.approx(overall, abs=0.01)
        assert 100 * values["mean_of_7/accuracy"][model] == pytest.approx(mean, abs=0.01)
    for metric in ("mean_of_7/accuracy", "mean_of_categories/accuracy", "all_items/accuracy"):
        assert " | ".join(f"{100 * values[metric][model]:.2f}" for model in MODELS) in docs
    pairs = {convention.metric: values for convention, values in found["bivlc"]}
    for model, (*_, group) in published(source, "BiVLC text/image/group").items():
        assert 100 * pairs["all_items/group_accuracy"][model] == pytest.approx(group, abs=0.01)
    paths = export([each for each in made if each.benchmark == "sugarcrepe"], tmp_path, "parquet", "2026")
    assert main(["crosswalk", *map(str, paths)]) == 0
    assert (
        "| `all_items/accuracy` | SugarCrepe's paper, table 5 | 7,511 items alike; a tie is wrong | 76.56 |"
        in capsys.readouterr().out
    )


def test_the_sizes_in_the_docs_are_those_of_the_202_checkpoints(shared_data: SharedData) -> None:
    with (shared_data("vl_compo") / "individual_results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 202
    docs = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    orders = {}
    for benchmark, first, others in (
        ("sugarcrepe", "mean_of_7/accuracy", {"all_items/accuracy": "+3.2", "mean_of_categories/accuracy": "-0.1"}),
        ("valse", "mean_of_11/accuracy", {"mean_of_7_phenomena/accuracy": "+1.9", "all_items/accuracy": "+1.3"}),
    ):
        counts = load_card(benchmark).counts
        shares = {
            f"{name}/accuracy": np.array([float(row[f"{benchmark}::{_theirs(benchmark, name)}"]) for row in rows])
            for name in counts
        }
        weights = {f"{name}/accuracy": count for name, count in counts.items()}
        for average in BY_DEFINITION[benchmark]:
            if set(average.over) <= set(shares):
                own = [weights[path] if average.pooled else 1 for path in average.over]
                shares[average.path] = np.average([shares[path] for path in average.over], axis=0, weights=own)
                weights[average.path] = sum(weights[path] for path in average.over)
        for metric, said in others.items():
            change = shares[metric] - shares[first]
            low, high = change.min(), change.max()
            assert f"{change.mean():+.1f}" == said
            assert f"({low:+.1f} to {high:+.1f})" in docs
            orders[benchmark, metric] = kendalltau(shares[metric], shares[first])[0]
    assert f"by 7 subsets is {orders['sugarcrepe', 'all_items/accuracy']:.2f}" in docs
    assert f"by 11 pieces of VALSE {orders['valse', 'mean_of_7_phenomena/accuracy']:.2f}" in docs
    (clip,) = [row for row in rows if (row["arch"], row["pretrained"]) == ("ViT-B-32", "openai")]
    for name, key, clips in (("CIFAR-100", "cifar100", 64.23), ("CIFAR-10", "cifar10", 89.83), ("DTD", "dtd", 44.36)):
        assert f"{name} {float(clip[f'elevator::{key}']) - clips:+.2f}" in docs


def _theirs(benchmark: str, name: str) -> str:
    return name.replace("_", "-") if benchmark == "valse" else name


def test_every_convention_is_a_metric_of_a_card() -> None:
    assert set(CONVENTIONS) <= set(card_names())
    for benchmark, conventions in CONVENTIONS.items():
        own = BY_DEFINITION.get(load_card(benchmark).reader)
        for convention in conventions:
            assert own is None or convention.metric in {average.path for average in own}
        assert len({convention.metric for convention in conventions}) == len(conventions) > 1


def test_outcomes_without_known_conventions_are_said() -> None:
    with pytest.raises(DataError, match=r"no benchmark of the outcomes \(own\) has several conventions; known are: sugarcrepe"):
        crosswalk.crosswalk([Outcome("mine", "own", outcome().items)])
