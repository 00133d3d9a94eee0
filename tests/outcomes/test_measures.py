"""Every average by hand and by a slow version: macro and micro, means of means, tie rules, and what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from degla.evaluate.readers.sugarcrepe import SUBSETS
from degla.evaluate.readers.valse import PIECES
from degla.outcomes import intervals, suites
from degla.outcomes.averages import BY_DEFINITION, Average
from degla.outcomes.items import ITEMS
from degla.outcomes.measures import Measure, means, measures

COUNTS = dict(zip(SUBSETS, (1652, 788, 1406, 245, 666, 2062, 692), strict=True))
VALID = dict(zip(PIECES, (505, 851, 900, 868, 691, 535, 648, 949, 708, 104, 943), strict=True))


def row(name: str, number: int, right: bool | None, **more: Any) -> dict[str, Any]:
    blank = {field.name: None for field in ITEMS} | {"targets": 1, "candidates": 2, "truncated": False, "indistinct": False}
    status = "missing" if right is None else "ok"
    return blank | {"set": name, "kind": "choice", "item": str(number), "image": "i", "status": status, "correct": right} | more


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ITEMS)


def drawn(counts: dict[str, int], seed: int) -> tuple[pa.Table, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    right = {name: rng.random(count) < rng.uniform(0.4, 0.95) for name, count in counts.items()}
    return table([row(name, n, bool(value)) for name, values in right.items() for n, value in enumerate(values)]), right


def values(found: list[Measure]) -> dict[str, float]:
    return {measure.path: measure.value for measure in found}


def test_sugarcrepes_averages_are_those_of_the_papers() -> None:
    items, right = drawn(COUNTS, 0)
    found = values(measures(items, BY_DEFINITION["sugarcrepe"]))
    share = {name: own.mean() for name, own in right.items()}
    pooled = lambda names: np.concatenate([right[name] for name in names]).mean()  # noqa: E731
    categories = {c: [name for name in SUBSETS if name.startswith(c)] for c in ("replace", "swap", "add")}
    for category, names in categories.items():
        assert found[f"{category}/accuracy_macro"] == pytest.approx(np.mean([share[name] for name in names]))
        assert found[f"{category}/accuracy_micro"] == pytest.approx(pooled(names))
    assert found["mean_of_7/accuracy"] == pytest.approx(np.mean(list(share.values())))
    assert found["mean_of_categories/accuracy"] == pytest.approx(np.mean([pooled(names) for names in categories.values()]))
    assert found["all_items/accuracy"] == pytest.approx(pooled(SUBSETS))


def test_valses_averages_are_over_pieces_and_over_phenomena() -> None:
    items, right = drawn(VALID, 1)
    found = values(measures(items, BY_DEFINITION["valse"]))
    share = {name: own.mean() for name, own in right.items()}
    counting = np.mean([share[f"counting_{kind}"] for kind in ("small_quant", "hard", "adversarial")])
    actions = np.mean([share["action_replacement"], share["actant_swap"]])
    coreference = np.mean([share["coreference_standard"], share["coreference_hard"]])
    alone = [share[name] for name in ("existence", "plurals", "relations", "foil_it")]
    assert found["counting/accuracy_macro"] == pytest.approx(counting)
    assert found["mean_of_11/accuracy"] == pytest.approx(np.mean(list(share.values())))
    assert found["mean_of_7_phenomena/accuracy"] == pytest.approx(np.mean([*alone, counting, actions, coreference]))
    assert found["mean_of_7_phenomena/accuracy"] != pytest.approx(found["mean_of_11/accuracy"])


def test_published_valse_pieces_give_the_published_means() -> None:
    """CLIP's pieces in vl_compo's table, to 3 digits; the means it prints are 65.8 and 67.534."""
    pieces = (69.31, 57.58, 61.89, 64.52, 58.18, 65.98, 77.78, 71.76, 54.94, 51.92, 90.14)
    found = {
        f"{name}/accuracy": Measure(f"{name}/accuracy", (np.array([value / 100]),), 0.5, 0, images=(np.array([0]),))
        for name, value in zip(PIECES, pieces, strict=True)
    }
    made = values(means(BY_DEFINITION["valse"], found))
    assert 100 * made["mean_of_11/accuracy"] == pytest.approx(65.8, abs=0.05)
    assert 100 * made["mean_of_7_phenomena/accuracy"] == pytest.approx(67.534, abs=0.005)


def test_a_mean_of_macro_means_weighs_each_of_them_alike() -> None:
    items, right = drawn({"a": 4, "b": 8, "c": 16}, 2)
    averages = (Average("ab/accuracy", ("a/accuracy", "b/accuracy")), Average("abc/accuracy", ("ab/accuracy", "c/accuracy")))
    found = {measure.path: measure for measure in measures(items, averages)}
    expected = ((right["a"].mean() + right["b"].mean()) / 2 + right["c"].mean()) / 2
    assert found["abc/accuracy"].value == pytest.approx(expected)
    assert found["abc/accuracy"].weights == pytest.approx([0.25, 0.25, 0.5])
    whole = intervals.accuracy(found["abc/accuracy"].parts, (0.25, 0.25, 0.5), found["abc/accuracy"].images)
    assert whole.value == pytest.approx(expected)
    assert whole.low < expected < whole.high


def test_items_of_one_image_are_known_in_every_part_and_average() -> None:
    rows = [row(name, n, True, image=f"im{n // 2}", label=f"g{n % 2}") for name in ("a", "b") for n in range(6)]
    averages = (Average("all", ("a/accuracy", "b/accuracy"), pooled=True), Average("each", ("a/accuracy", "b/macro_accuracy")))
    found = {measure.path: measure for measure in measures(table(rows), averages)}
    numbers = found["a/accuracy"].images[0]
    assert (numbers[::2] == numbers[1::2]).all()
    assert len(set(numbers)) == 3
    assert [part.tolist() for part in found["a/macro_accuracy"].images] == [numbers[::2].tolist(), numbers[1::2].tolist()]
    assert found["all"].images[0].tolist() == [*numbers, *numbers]
    assert [len(part) for part in found["each"].images] == [len(part) for part in found["each"].parts] == [6, 3, 3]


def test_macro_accuracy_leaves_out_the_items_without_a_group() -> None:
    rows = [row("s", 0, True, label="on"), row("s", 1, False, label="on"), row("s", 2, True, label="in"), row("s", 3, False)]
    found = values(measures(table(rows)))
    assert found == {"s/accuracy": 0.5, "s/macro_accuracy": 0.75}


def test_both_tie_rules_stand_side_by_side_where_both_are_in_use() -> None:
    rows = [row("s", 0, True, correct_ties_right=True), row("s", 1, False, correct_ties_right=True), row("s", 2, None)]
    found = {measure.path: measure for measure in measures(table(rows))}
    assert {path: (measure.value, measure.missing) for path, measure in found.items()} == {
        "s/accuracy": (0.5, 1),
        "s/accuracy_ties_right": (1.0, 1),
    }
    assert "s/accuracy_ties_wrong" not in found


def test_items_that_the_files_do_not_hold_count_as_missing() -> None:
    items, _ = drawn({"a": 4, "b": 8}, 3)
    averages = (Average("both/accuracy", ("a/accuracy", "b/accuracy"), pooled=True),)
    found = {measure.path: measure.missing for measure in measures(items, averages, {"b": 5})}
    assert found == {"a/accuracy": 0, "b/accuracy": 5, "both/accuracy": 5}


def test_an_average_is_not_made_where_a_part_is_lacking() -> None:
    items, _ = drawn({"swap_obj": 5}, 4)
    assert {measure.path for measure in measures(items, BY_DEFINITION["sugarcrepe"])} == {"swap_obj/accuracy"}


def test_averages_over_benchmarks_are_made_where_every_part_was_scored() -> None:
    (aro, *_) = suites.SUITES
    (mean,) = aro.averages
    macro = tuple(np.array(part) for part in ([True, False], [True, True, True], [False]))  # 0.5, 1, 0
    found = {path: Measure(path, macro if "macro" in path else (np.array([True]),), 0.2, 0) for path in mean.over}
    (made,) = means(aro.averages, found)
    assert made.value == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    del found[mean.over[0]]
    assert means(aro.averages, found) == []
    assert len(suites.ZERO_SHOT_METRICS) == 11
