"""Outcomes that go out: one table, and the JSON of lm-evaluation-harness and CLIP_benchmark; and two models compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from degla.artifacts import Artifact
from degla.outcomes import intervals
from degla.outcomes.__main__ import main
from degla.outcomes.compare import changes, side_by_side
from degla.outcomes.export import export
from degla.outcomes.outcome import Outcome, outcomes_of
from degla.outcomes.reading import read_outcomes
from degla.outcomes.ref import OutcomesRef
from degla.outcomes.table import OUTCOMES, to_items

SharedData = Callable[[str], Path]


def items(rows: list[dict[str, Any]]) -> pa.Table:
    whole = {"benchmark": "b", "subset": "s", "model": "m", "kind": "choice", "targets": 1, "candidates": 2, "margin": None}
    full = [whole | {"item": str(n), "image": f"i{n}"} | row for n, row in enumerate(rows)]
    return to_items(pa.Table.from_pylist(full, schema=OUTCOMES))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_an_exported_evaluation_is_read_back_with_the_same_scores(form: str, small_world: Artifact, tmp_path: Path) -> None:
    exported = outcomes_of(small_world.path)
    assert {each.model for each in exported} == {"before", "after"}
    (path,) = export(exported, tmp_path, form, "2026-01-01")
    table = pq.read_table(path) if form == "parquet" else pacsv.read_csv(path)
    assert table.column_names == OUTCOMES.names
    assert table.num_rows == sum(each.items.num_rows for each in exported)
    again = read_outcomes(OutcomesRef(path=str(path)))
    for each in exported:
        ours = {measure.path: measure for measure in each.measures()}
        back = Outcome(each.model, each.benchmark, again[each.model, each.benchmark], each.averages)
        theirs = {measure.path: measure for measure in back.measures()}
        lost = {path for path in ours if path not in theirs}
        assert not {path for path in lost if "seen" not in path and "ties" not in path}  # these have columns of their own
        for name, measure in theirs.items():
            assert measure.value == pytest.approx(ours[name].value), name
            assert measure.chance == pytest.approx(ours[name].chance), name


def test_lm_evals_files_have_its_keys_and_numbers(tmp_path: Path) -> None:
    rows = [{"right": n < 3, "margin": 0.5 if n < 3 else -0.25, "label": "x"} for n in range(4)] + [{"right": None}]
    match = [{"item": "p", "kind": kind, "right": kind == "text"} for kind in ("text", "image", "group")]
    outcomes = [Outcome("my model", "own", items(rows)), Outcome("my model", "pairs", items(match))]
    paths = export(outcomes, tmp_path, "lm-eval", "2026-01-01T10:00:00")
    stamp = "2026-01-01T10-00-00"
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {
        f"my_model/results_{stamp}.json",
        f"my_model/samples_own_s_{stamp}.jsonl",
        *(f"my_model/samples_pairs_s_{kind}_{stamp}.jsonl" for kind in ("text", "image", "group")),
    }
    found = json.loads((tmp_path / f"my_model/results_{stamp}.json").read_text())
    own = found["results"]["own_s"]
    assert (own["acc,none"], own["sample_len"]) == (0.75, 4)
    assert own["acc_stderr,none"] == pytest.approx(np.std([1, 1, 1, 0], ddof=1) / 2)
    assert found["n-samples"]["own_s"] == {"original": 5, "effective": 4}
    assert found["results"]["pairs_s_image"]["acc,none"] == 0.0
    assert found["results"]["pairs_s_image"]["acc_stderr,none"] is None
    samples = [json.loads(line) for line in (tmp_path / f"my_model/samples_own_s_{stamp}.jsonl").read_text().splitlines()]
    assert [each["acc"] for each in samples] == [1.0, 1.0, 1.0, 0.0]
    keys = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash")
    assert set(keys) | {"target_hash", "acc", "margin"} == set(samples[0])


def test_clip_benchmarks_files_have_its_names(small_world: Artifact, tmp_path: Path) -> None:
    pairs = [
        {"item": str(n), "kind": kind, "right": n < more}
        for n in range(4)
        for kind, more in (("text", 3), ("image", 2), ("group", 1))
    ]
    choice = items([{"right": n < 3, "subset": "swap_obj"} for n in range(4)])
    more = items([{"right": n < 1, "subset": "add_obj"} for n in range(4)])
    ties = choice.set_column(choice.column_names.index("correct_ties_right"), "correct_ties_right", pa.array([True] * 4))
    made = [
        Outcome("m", "winoground", items(pairs)),
        Outcome("m", "sugarcrepe", pa.concat_tables([ties.cast(choice.schema), more])),
        *outcomes_of(small_world.path),
    ]
    paths = export(made, tmp_path, "clip-benchmark", "")
    found = {path.name: json.loads(path.read_text()) for path in paths}
    pair = found["winoground_degla_m_en_image_caption_selection.json"]
    assert pair["metrics"] == {"image_acc": 0.5, "text_acc": 0.75, "acc": 0.25}
    assert {key: pair[key] for key in ("dataset", "model", "task", "language")} == {
        "dataset": "winoground",
        "model": "m",
        "task": "image_caption_selection",
        "language": "en",
    }
    own = found["sugar_crepe_swap_obj_degla_m_en_image_caption_selection.json"]
    assert own["dataset"] == "sugar_crepe/swap_obj"
    assert own["metrics"] == {"image_acc": 1.0, "text_acc": 1.0, "acc": 1.0}  # ties are right there
    tasks = {each["task"]: each["metrics"] for each in found.values() if each["model"] == "after"}
    assert "mean_per_class_recall" in tasks["zeroshot_classification"]
    assert {"image_retrieval_recall@5", "text_retrieval_recall@5"} <= set(tasks["zeroshot_retrieval"])


# Compare


def test_two_models_are_compared_on_the_items_that_both_have(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.5, rng.random(60) < 0.7
    images = [f"i{n // 3}" for n in range(60)]
    of = [
        items([{"right": bool(right), "image": image} for right, image in zip(first, images, strict=True)]),
        items([{"right": bool(right), "item": str(n + 10)} for n, right in enumerate(second)]),  # 50 are shared; no images
    ]
    order = np.random.default_rng(1).permutation(60)
    found = side_by_side([Outcome("a", "b", of[0]), Outcome("z", "b", of[1].take(order))])
    (both,) = changes(found, "a", "z")
    assert (both.items, both.first.value, both.second.value) == (50, first[10:].mean(), second[:50].mean())
    slow = intervals.difference([first[10:]], [second[:50]], images=[np.array([int(image[1:]) for image in images[10:]])])
    assert (both.change.value, both.change.low, both.change.high) == pytest.approx((slow.value, slow.low, slow.high))
    assert found.notes == {"b": "compared on the 50 outcomes that all models have (a 60, z 60)"}


def test_published_models_are_compared_by_command(
    shared_data: SharedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (shared_data("bivlc") / "sugarcrepe_outcomes.csv").open("rb") as file:
        table = pacsv.read_csv(file)
    subset = pc.binary_join_element_wise(table["type"], table["subtype"], "_")
    number = pa.array([str(n) for n in range(table.num_rows)])
    parts = [
        pa.table(
            {
                "benchmark": pa.array(["sugarcrepe"] * table.num_rows),
                "subset": subset,
                "item": number,
                "image": table["filename"],
                "model": pa.array([model] * table.num_rows),
                "right": table[model],
            }
        )
        for model in ("CLIP_COCO", "CLIP_TROHN-Text")
    ]
    pq.write_table(parts[0], tmp_path / "a.parquet")
    pq.write_table(parts[1], tmp_path / "b.parquet")
    assert main(["compare", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "`sugarcrepe/all_items/accuracy`" in line)
    assert [cell.strip() for cell in line.split("|")[2:5]] == ["7,512", "84.7", "93.4"]
    assert "+8.7 (" in line
    assert main(["compare", str(tmp_path / "a.parquet")]) == 2
    assert "compare takes two models; name them" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"), "--models", "CLIP_COCO", "CLIP_TROHN"]) == 2
    assert "did you mean 'CLIP_TROHN-Text'" in capsys.readouterr().err


def test_models_without_a_shared_item_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"benchmark": "b", "subset": "s", "item": "1", "model": "a", "right": True}]
    rows += [{"benchmark": "b", "subset": "s", "item": "2", "model": "z", "right": True}]
    (tmp_path / "o.json").write_text(json.dumps(rows))
    assert main(["compare", str(tmp_path / "o.json")]) == 2
    assert "a and z have no item in common" in capsys.readouterr().err
    rows[1]["benchmark"] = "c"
    (tmp_path / "o.json").write_text(json.dumps(rows))
    assert main(["compare", str(tmp_path / "o.json")]) == 2
    assert "a and z have no benchmark in common" in capsys.readouterr().err


def test_an_evaluation_is_exported_by_command(small_world: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(small_world.path), "--to", str(tmp_path / "out"), "--as", "lm-eval"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert all(Path(line).is_file() for line in printed)
    stamp = small_world.manifest.started.replace(":", "-")
    assert (tmp_path / "out" / "after" / f"results_{stamp}.json").is_file()
    assert main(["export", str(tmp_path / "none.csv"), "--to", str(tmp_path)]) == 2
