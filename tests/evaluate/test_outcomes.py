"""Outcomes that people bring: the published ones of BiVLC and SugarCrepe, the documented table, and what is refused."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from encoded import read_scores
from hypothesis import given
from hypothesis import strategies as st

from degla.artifacts import Artifact
from degla.errors import ConfigError, DataError, MissingInputError
from degla.evaluate import EvaluateConfig, run
from degla.outcomes.known import known_of
from degla.outcomes.measures import measures
from degla.outcomes.reading import read_outcomes
from degla.outcomes.ref import OutcomesRef
from degla.outcomes.scores import model_records
from degla.outcomes.table import OUTCOMES, of_items, to_items

SharedData = Callable[[str], Path]
MODELS = ["ViT-B-32", "CLIP_COCO", "CLIP_TROHN-Text", "CLIP_TROHN-Img"]
BIVLC = {
    "benchmark": "bivlc",
    "columns": {"subset": "type"},
    "models": MODELS,
    "right": {
        "text": ["{model}:text_score_i0", "{model}:text_score_i1"],
        "image": ["{model}:image_score_c0", "{model}:image_score_c1"],
        "group": [f"{{model}}:{side}" for side in ("text_score_i0", "text_score_i1", "image_score_c0", "image_score_c1")],
    },
}
SUGARCREPE = {
    "benchmark": "sugarcrepe",
    "columns": {"subset": "{type}_{subtype}", "image": "filename"},
    "models": MODELS,
    "right": {"choice": ["{model}"]},
    "candidates": 2,
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for each in rows for name in each))
    pq.write_table(pa.table({name: [each.get(name) for each in rows] for name in names}), path)
    return path


def row(item: str = "1", **more: Any) -> dict[str, Any]:
    return {"benchmark": "own", "subset": "all", "item": item, "model": "theirs", "right": True} | more


def read(path: Path, **options: Any) -> dict[tuple[str, str], pa.Table]:
    return read_outcomes(OutcomesRef(path=str(path), **options))


def bring(out_dir: Path, *refs: dict[str, Any], **more: Any) -> Artifact:
    return run(EvaluateConfig(outcomes=refs, trained=False, **({"benchmarks": []} | more)), {}, out_dir)


def published(text: str, pattern: str) -> dict[str, list[float]]:
    """Model to the figures that SOURCE.txt gives for it."""
    line = next(line for line in text.splitlines() if re.search(pattern, line))
    return {
        name: [float(x) for x in values.split("/")] for name, values in re.findall(r"([\w-]+) ((?:\d+\.\d+/)+\d+\.\d+)", line)
    }


def test_the_published_outcomes_have_the_published_averages(shared_data: SharedData, tmp_path: Path) -> None:
    folder = shared_data("bivlc")
    bivlc = {"path": str(folder / "bivlc_outcomes.csv"), **BIVLC}
    sugarcrepe = {"path": str(folder / "sugarcrepe_outcomes.csv"), **SUGARCREPE}
    artifact = bring(tmp_path / "out", bivlc, sugarcrepe)
    found = {(each.model, each.metric): each for each in read_scores(artifact.file("scores.json"))}
    source = (folder / "SOURCE.txt").read_text()
    pairs = published(source, "BiVLC text/image/group")
    choices = published(source, "SugarCrepe overall / mean of 7")
    assert list(pairs) == list(choices) == MODELS
    for model in MODELS:
        for kind, value in zip(("text", "image", "group"), pairs[model], strict=True):
            assert 100 * found[model, f"bivlc/all_items/{kind}_accuracy"].value == pytest.approx(value, abs=0.01)
        overall, mean = choices[model]
        assert 100 * found[model, "sugarcrepe/all_items/accuracy"].value == pytest.approx(overall, abs=0.01)
        assert 100 * found[model, "sugarcrepe/mean_of_7/accuracy"].value == pytest.approx(mean, abs=0.01)
    one = found["ViT-B-32", "bivlc/all_items/group_accuracy"]
    assert (one.items, one.items_missing, one.incomplete, one.chance) == (2933, 0, False, pytest.approx(1 / 6))
    assert found["ViT-B-32", "sugarcrepe/all_items/accuracy"].chance == 0.5
    assert "7,512 of 7,511 official items" in found["ViT-B-32", "sugarcrepe/all_items/accuracy"].note
    assert artifact.counts["outcomes_brought"] == 4 * (3 * 2933 + 7512)
    page = artifact.file("comparison.md").read_text()
    line = next(line for line in page.splitlines() if "bivlc/all_items/group_accuracy" in line)
    assert [float(each) for each in re.findall(r"(\d+\.\d) \(", line)] == [49.1, 61.0, 57.5, 69.2]


def test_sugarcrepes_intervals_count_photos_and_not_only_items(shared_data: SharedData) -> None:
    path = shared_data("bivlc") / "sugarcrepe_outcomes.csv"
    (clustered, *_) = read(path, **SUGARCREPE).values()
    alone = SUGARCREPE | {"columns": {"subset": "{type}_{subtype}"}}
    (apart, *_) = read(path, **alone).values()
    assert len(clustered["image"].unique()) < 1600

    def width(items: pa.Table) -> float:
        averages = known_of("sugarcrepe", items).averages
        (record,) = [
            each
            for each in model_records("sugarcrepe", "m", measures(items, averages), "")
            if each.metric == "sugarcrepe/all_items/accuracy"
        ]
        return record.high - record.low

    assert width(clustered) > 1.02 * width(apart)


# The documented table


def test_the_least_table_is_read_and_what_it_leaves_out_is_not_known(tmp_path: Path) -> None:
    rows = [row("1"), row("2", right=False), row("3", right=None), row("1", model="other")]
    found = read(write(tmp_path / "o.parquet", rows))
    assert list(found) == [("theirs", "own"), ("other", "own")]
    items = found["theirs", "own"]
    assert items["status"].to_pylist() == ["ok", "ok", "unscored"]
    (accuracy,) = measures(items)
    assert (accuracy.path, accuracy.value, accuracy.items, accuracy.missing) == ("all/accuracy", 0.5, 2, 1)
    assert np.isnan(accuracy.chance)
    assert len(set(items["image"].to_pylist())) == 3


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "json", "jsonl"])
def test_one_table_in_every_form_gives_the_same_items(suffix: str, tmp_path: Path) -> None:
    rows = [row("007", margin=0.25, image="a, b.jpg"), row("x", right=False, margin=-0.5, image="c.jpg")]
    path = tmp_path / f"o.{suffix}"
    if suffix == "parquet":
        write(path, rows)
    elif suffix == "json":
        path.write_text(json.dumps(rows))
    elif suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if suffix == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    items = read(path)["theirs", "own"]
    assert items["item"].to_pylist() == ["007", "x"]
    assert items["margin"].to_pylist() == [0.25, -0.5]
    assert items["image"].to_pylist() == ["a, b.jpg", "c.jpg"]
    assert items["correct"].to_pylist() == [True, False]


def test_right_follows_from_a_margin_and_models_are_chosen_and_renamed(tmp_path: Path) -> None:
    rows = [
        {k: v for k, v in row(str(n), margin=m, model=f"org/m{n % 2}").items() if k != "right"}
        for n, m in enumerate((0.1, 0.0, -1.0))
    ]
    path = write(tmp_path / "o.parquet", rows)
    found = read(path, models={"first": "org/m0"})
    assert list(found) == [("first", "own")]
    assert found["first", "own"]["correct"].to_pylist() == [True, False]
    with pytest.raises(DataError, match=r"model 'org/m0' is no name .* Rename it: evaluate.outcomes.models=\{short: org/m0\}"):
        read(path)
    with pytest.raises(DataError, match="column model has no 'org/m2'; did you mean"):
        read(path, models={"first": "org/m2"})


def test_retrieval_classes_and_groups_keep_their_metrics(tmp_path: Path) -> None:
    rows = [
        *(row(str(n), subset="r", kind="text_retrieval", rank=n + 1, right=n == 0, candidates=50) for n in range(10)),
        *(row(str(n), subset="c", kind="classification", label="ab"[n % 2], right=n < 3, candidates=2) for n in range(4)),
        row("p", subset="w", kind="pair"),
    ]
    (items,) = read(write(tmp_path / "o.parquet", rows)).values()
    found = {each.path: each.value for each in measures(items)}
    assert (found["r/text_retrieval_recall@1"], found["r/text_retrieval_recall@5"]) == (0.1, 0.5)
    assert (found["c/accuracy"], found["c/mean_per_class"], found["w/pair_accuracy"]) == (0.75, 0.75, 1.0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("1"), row("1")], r"item '1' of 'all' \(choice\) comes twice for 'theirs'"),
        ([row("1", right="yes?")], "row 1: right is 'yes\\?', expected 1, 0, true or false"),
        ([row("1"), row("2", right=True, margin=float("nan"))], "item '2' of 'all' is right with the margin nan"),
        ([row("1", margin=-0.1)], "is right with the margin -0.1"),
        ([row("1", margin=float("inf"))], "is right with the margin inf"),
        ([row("1", margin="far")], "margin is not a number in every row"),
        ([row("1", subset=" ")], "row 1: subset is empty"),
        ([row() | {"item": None}], "row 1: item is empty"),
        ([{k: v for k, v in row().items() if k != "model"}], "no column 'model' among benchmark, subset, item, right. Name it"),
        ([{k: v for k, v in row().items() if k != "benchmark"}], "or set evaluate.outcomes.benchmark"),
        ([row("1", benchmark="a/b")], "benchmark 'a/b' is no name"),
        ([], "no column 'benchmark'|holds no outcomes"),
    ],
)
def test_wrong_outcomes_are_named(rows: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "o.parquet", rows))


def test_files_that_are_no_tables_are_named(tmp_path: Path) -> None:
    for name, content in (
        ("o.csv", "a,b\n1\n"),
        ("o.json", "{"),
        ("o.json", '{"a": 1}'),
        ("o.parquet", "PAR1xx"),
        ("o.jsonl", "3"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)
    with pytest.raises(MissingInputError, match=r"none\.csv does not exist"):
        read(tmp_path / "none.csv")


def test_wide_tables_need_the_names_of_their_models_and_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("kind,a:x,a:y\nswap,1,0\nadd,1,\n")
    right = {"choice": ["{model}:x", "{model}:y"]}
    (items,) = read(path, benchmark="own", columns={"subset": "kind"}, models=["a"], right=right).values()
    assert items["correct"].to_pylist() == [False, None]
    assert items["item"].to_pylist() == ["w.csv:1", "w.csv:2"]  # never taken for an item of another file
    with pytest.raises(DataError, match="has no 'b:x'; did you mean 'a:x'"):
        read(path, benchmark="own", columns={"subset": "kind"}, models=["b"], right=right)
    with pytest.raises(ValueError, match="name the models too"):
        OutcomesRef(path="x", right=right)


OUTCOME = st.fixed_dictionaries({"right": st.sampled_from([True, False, None]), "margin": st.none() | st.floats(0.01, 1)})


@given(st.lists(OUTCOME, min_size=1, max_size=20))
def test_a_table_and_its_items_are_the_same_in_both_directions(outcomes: list[dict[str, Any]]) -> None:
    rows = [
        row(str(n), right=each["right"], margin=each["margin"] if each["right"] else None, kind="choice", image=f"{n // 2}")
        | {"label": None, "rank": None, "targets": 1, "candidates": 4}
        for n, each in enumerate(outcomes)
    ]
    table = pa.Table.from_pylist(rows, schema=OUTCOMES)
    assert of_items(to_items(table), "own", "theirs").equals(table)


MARGIN = st.sampled_from([None, 0.0, 0.5, -0.5, float("nan"), float("inf"), float("-inf")])


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), MARGIN), min_size=1, max_size=6), st.booleans())
def test_no_answer_of_what_is_not_finite_is_right(outcomes: list[tuple[bool | None, float | None]], derived: bool) -> None:
    rows = [row(str(n), right=right, margin=margin) for n, (right, margin) in enumerate(outcomes)]
    for each in rows if derived else ():
        del each["right"]
    found = [(margin is not None and margin > 0 if derived else right, margin) for right, margin in outcomes]
    strange = any(right and margin is not None and not 0 <= margin < np.inf for right, margin in found)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "o.parquet", rows)
        if strange:
            with pytest.raises(DataError, match="is right with the margin"):
                read(path)
            return
        (items,) = read(path).values()
    for each in items.to_pylist():
        assert not each["correct"] or each["margin"] is None or 0 <= each["margin"] < np.inf


# In an evaluation


def test_brought_outcomes_stand_beside_the_models_of_a_run(tiny_json: Path, tmp_path: Path) -> None:
    small = {"name": "miniworld_order", "options": {"size": 8}}
    models = {"mine": {"architecture": str(tiny_json), "weights": "random"}}
    first = run(EvaluateConfig(benchmarks=[small], models=models, trained=False), {}, tmp_path / "first")
    items = pq.read_table(first.path / "items/mine/miniworld_order.parquet")
    theirs = of_items(items, "miniworld_order", "theirs")
    rows = [row | {"right": n < 7, "margin": None} for n, row in enumerate(theirs.to_pylist())]
    other = [row | {"benchmark": "other"} for row in rows]
    write(tmp_path / "t.parquet", [*rows, *other])
    config = EvaluateConfig(benchmarks=[small], models=models, trained=False, outcomes=[{"path": str(tmp_path / "t.parquet")}])
    artifact = run(config, {}, tmp_path / "out")
    found = {(each.model, each.metric): each for each in read_scores(artifact.file("scores.json"))}
    metrics = {metric for model, metric in found if model == "mine"}
    assert found["theirs", "miniworld_order/aro_order/accuracy"].value == 7 / 8
    assert found["theirs", "other/aro_order/accuracy"].value == 7 / 8
    assert "other/aro_order/accuracy" not in metrics
    assert (artifact.counts["benchmarks"], artifact.counts["outcomes_brought"]) == (2, 16)
    page = artifact.file("comparison.md").read_text()
    assert "| mine" in page
    assert "outcomes of t.parquet" in page
    assert artifact.has("items/theirs/other.parquet")
    write(tmp_path / "t.parquet", rows)
    assert config.raw_inputs()["outcomes 1"] != artifact.manifest.raw["outcomes 1"]


def test_the_notes_say_what_a_table_leaves_open(tmp_path: Path) -> None:
    path = write(tmp_path / "o.parquet", [row("1"), row("2", right=None)])
    (record,) = read_scores(bring(tmp_path / "out", {"path": str(path)}).file("scores.json"))
    assert (record.items, record.items_missing, record.incomplete, record.chance) == (1, 1, True, None)
    assert "incomplete: of 1 outcomes the file does not say whether the model was right" in record.note
    assert "images are not known, so that items count as independent" in record.note


def test_two_models_of_one_name_are_refused(tiny_json: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path / "o.parquet", [row()]))
    with pytest.raises(ConfigError, match="'theirs' has outcomes on own already; rename it"):
        bring(tmp_path / "a", {"path": path}, {"path": path})
    models = {"theirs": {"architecture": str(tiny_json), "weights": "random"}}
    small = {"name": "miniworld_order", "options": {"size": 4}}
    with pytest.raises(ConfigError, match="'theirs' is a name of this run's own"):
        bring(tmp_path / "b", {"path": path}, models=models, benchmarks=[small])


@pytest.mark.parametrize("setting", [{"models": {"../theirs": "x"}}, {"benchmark": "a/b"}, {"models": {"": "x"}}])
def test_names_that_cannot_name_files_are_refused_before_the_file_is_read(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        OutcomesRef(path="theirs.parquet", **setting)
