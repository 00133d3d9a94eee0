"""Runs, models and published rows side by side: what is compared, what is said of it, and in which forms."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pacsv
import pytest
from scipy.stats import binomtest

from degla.artifacts import FileEntry, Manifest
from degla.errors import ConfigError, DataError, InputError, MissingInputError
from degla.outcomes.known import known_of
from degla.outcomes.outcome import Outcome, unit
from degla.outcomes.reading import read_outcomes
from degla.outcomes.ref import OutcomesRef
from degla.report.__main__ import main
from degla.report.compare.comparison import Comparison, compare
from degla.report.compare.files import FORMS, write
from degla.report.compare.layouts import tables
from degla.report.compare.published import published_rows
from degla.report.compare.runs import Model, Run, named, read_run
from degla.schemas import write_table

SharedData = Callable[[str], Path]
MODELS = ("ViT-B-32", "CLIP_COCO", "CLIP_TROHN-Text", "CLIP_TROHN-Img")


def outcomes(path: Path, benchmark: str = "own", first: int = 0, **models: list[int]) -> Path:
    rows = [
        {"benchmark": benchmark, "subset": "all", "item": str(number), "model": model, "right": bool(right)}
        for model, answers in models.items()
        for number, right in enumerate(answers, first)
    ]
    path.write_text(json.dumps(rows))
    return path


def scores(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def compared(*paths: Path, **options: Any) -> Comparison:
    return compare(named([read_run(path) for path in paths]), **options)


def artifact(folder: Path, stage: str, config: dict[str, Any], inputs: dict[str, str], version: int = 7, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    manifest = Manifest(
        stage=stage,
        stage_version=version,
        fingerprint=folder.name,
        config=config,
        inputs=inputs,
        raw={},
        counts={},
        files={name: FileEntry(size=(folder / name).stat().st_size, sha256="") for name in names},
        versions={"torch": "2"},
        started="",
        seconds=0,
        host="",
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def evaluation(root: Path, name: str, lr: float, right: list[int], version: int = 7) -> Path:
    """A finished evaluation of a training with this learning rate; `before` is the same in all."""
    train = artifact(root / "train" / f"{name}train", "train", {"lr": lr, "seed": 0}, {})
    folder = root / "evaluate" / name
    path = outcomes(root / f"{name}.json", before=[1, 0, 1, 0] * 10, after=right)
    for (model, title), items in read_outcomes(OutcomesRef(path=str(path))).items():
        items_name, result_name = unit(model, title)
        (folder / items_name).parent.mkdir(parents=True, exist_ok=True)
        (folder / result_name).parent.mkdir(parents=True, exist_ok=True)
        write_table(folder / items_name, items, items.schema)
        (folder / result_name).write_text(json.dumps({"benchmark": title, "averages": [], "absent": {}}))
    records = [{"benchmark": "own", "model": model} for model in ("before", "after")]
    benchmarks = [{"name": "own", "options": {}}]
    config = {"benchmarks": benchmarks, "trained": True}
    return artifact(folder, "evaluate", config, {"train": train.name}, version, scores=json.dumps(records))


@pytest.fixture
def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    better = [1] * 30 + [0] * 10
    return evaluation(tmp_path, "aaaaaaaaaa", 1e-5, better), evaluation(tmp_path, "bbbbbbbbbb", 1e-6, better[::-1], 6)


def test_two_trainings_are_compared_with_their_settings(two_runs: tuple[Path, Path]) -> None:
    found = compared(*two_runs)
    assert [model.label for model in found.models] == ["before", "aaaaaaaa:after", "bbbbbbbb:after"]  # one base model, told once
    assert found.baseline == "before"
    changed = {each.name: tuple(each.values.values()) for each in found.settings}
    assert changed == {"train.lr": ("1e-05", "1e-06"), "evaluate (version)": ("7", "6")}
    assert "bbbbbbbb: before has the same outcomes as the before of an earlier run, and is told once" in found.notes
    assert any("of different versions of evaluate (aaaaaaaa by version 7, bbbbbbbb by version 6)" in note for note in found.notes)
    page = FORMS["md"][1](found)
    assert "| `train.lr` | 1e-05 | 1e-06 |" in page
    assert "for the 2 comparisons of this page" in page


def test_main_scores_and_what_was_changed_stand_first(two_runs: tuple[Path, Path]) -> None:
    page = FORMS["md"][1](compared(*two_runs))
    main, changed, _ = re.split(r"## What was changed.*|## Models", page)
    assert re.findall(r"^\| (\S+) \| ([\d.]+) \|$", main, re.MULTILINE) == [
        (model.label, f"{100 * np.mean(right):.1f}")
        for model in compared(*two_runs).models
        for right in [model.outcomes[0].items["correct"].to_numpy()]
    ]
    assert changed.strip().splitlines() == [
        "- **aaaaaaaa** (): the first",
        "- **bbbbbbbb** (): `train.lr` 1e-05 → 1e-06; `evaluate (version)` 7 → 6",
    ]


def test_without_a_run_the_last_finished_ones_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path))
    assert main(["compare"]) == 2
    assert f"no finished evaluation below {tmp_path}. Make one with: python -m degla.evaluate demo" in capsys.readouterr().err
    for day, name in enumerate(("cccccccccc", "aaaaaaaaaa", "bbbbbbbbbb"), 1):
        manifest = evaluation(tmp_path, name, day * 1e-5, [day % 2] * 40) / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"started": f"2026-11-0{day}T10:00:00"}))
    assert main(["compare", "--last", "2"]) == 0
    printed = capsys.readouterr().out
    assert "- **aaaaaaaa** (2026-11-02 10:00): the first\n- **bbbbbbbb** (2026-11-03 10:00): `train.lr` 2e-05 → 3" in printed
    assert "cccccccc" not in printed
    assert main(["compare"]) == 0
    assert "- **cccccccc** (2026-11-01 10:00): the first" in capsys.readouterr().out
    assert main(["compare", "--last", "2", str(tmp_path / "evaluate" / "aaaaaaaaaa")]) == 2
    assert "--last is for a comparison without RUN" in capsys.readouterr().err


def test_a_report_stands_for_the_evaluation_that_it_was_made_of(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    report = artifact(tmp_path / "report" / "cccccccccc", "report", {"title": "x"}, {"evaluate": two_runs[0].name})
    run = read_run(report)
    assert [model.label for model in run.models] == ["before", "after"]
    assert set(run.lineage) == {"report", "evaluate", "train"}
    shutil.rmtree(tmp_path / "train" / "aaaaaaaaaatrain")
    assert read_run(report).lost == ("train aaaaaaaaaatrain",)
    shutil.rmtree(two_runs[0])
    with pytest.raises(MissingInputError, match="was made of the evaluation aaaaaaaaaa, which is not beside it"):
        read_run(report)


def test_only_shared_items_are_compared_and_the_page_says_how_many(tmp_path: Path) -> None:
    first = outcomes(tmp_path / "a.json", ours=[1] * 40)
    second = outcomes(tmp_path / "b.json", first=10, theirs=[0] * 40)
    found = compared(first, second)
    assert {figure.items for figure in found.scores["own/all/accuracy"].values()} == {30}
    assert found.notes == ("own: compared on the 30 outcomes that all models have (ours 40, theirs 40)",)


def test_a_table_of_scores_stands_beside_outcomes_without_a_test(tmp_path: Path) -> None:
    rows = [{"model": "theirs", "metric": "own/all/accuracy", "per_cent": 71.5}]
    (tmp_path / "t.csv").write_text("model,metric,per_cent\ntheirs,own/all/accuracy,71.5\ntheirs,other/x/accuracy,\n")
    for path in (scores(tmp_path / "t.json", rows), tmp_path / "t.csv"):
        found = compared(outcomes(tmp_path / "a.json", ours=[1, 1, 1, 0]), path)
        assert found.figure("own/all/accuracy", "theirs").value == pytest.approx(0.715)
        assert not found.changes
        record = json.loads(FORMS["json"][1](found))["scores"][1]
        assert (record["difference"], record["p"], record["low"]) == (-3.5, None, None)


def test_the_scores_of_an_evaluation_are_a_run_without_its_differences(tmp_path: Path) -> None:
    row = {"benchmark": "own", "metric": "own/all/accuracy", "value": 0.5, "low": 0.4, "high": 0.6, "items": 90}
    rows = [row | {"model": model} for model in ("before", "after", "difference")]
    (run,) = named([read_run(scores(tmp_path / "scores.json", rows))])
    assert [model.label for model in run.models] == ["before", "after"]
    assert run.models[0].scores["own/all/accuracy"].estimate is not None


def test_a_row_for_each_model_and_a_column_for_each_metric_is_a_table_of_scores_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arch,family,own::swap,own::add\nB-32,x,71.5,80\nL-14,x,,81\n")
    found = compared(tmp_path / "t.csv")
    assert found.figure("own/swap", "B-32 x").value == pytest.approx(0.715)
    assert (set(found.scores["own/swap"]), set(found.scores["own/add"])) == ({"B-32 x"}, {"B-32 x", "L-14 x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,metric,percent\na,b,1\n", "has the columns model, metric and per_cent"),
        ("model,metric,per_cent\na,b,101\n", "b of a: per_cent is 101, expected 0 to 100"),
        ("model,metric,per_cent\na,b,high\n", "b of a: per_cent is 'high', expected a number"),
        ("model,metric,per_cent\na,b,1\na,b,2\n", "a has b twice"),
        ("model,metric,per_cent\n,b,1\n", r"row 1: model or metric is empty"),
        ("model,metric,per_cent\na,b,\n", "holds no scores"),
        ("model,own/x\na,0.7\nb,0.6\n", "no score is above 1. A table with a column for each metric has per cent, not shares"),
        ("model,own/x\na,70\nb,170\n", "own/x of b: per_cent is 170, expected 0 to 100"),
        ("model,score\na,high\n", "holds neither outcomes .* nor scores .*; found model, score"),
    ],
)
def test_wrong_scores_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_run(tmp_path / "t.csv")


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    ours = outcomes(tmp_path / "a.json", ours=[1, 0])
    with pytest.raises(ConfigError, match="there is one model, ours: name another run or a published row"):
        compared(ours)
    with pytest.raises(ConfigError, match="is given twice"):
        compared(ours, ours)
    (tmp_path / "x").mkdir()
    other = outcomes(tmp_path / "x" / "a.json", theirs=[1, 0])
    with pytest.raises(ConfigError, match=f"two runs are named 'a'; name one of them: NAME={other}"):
        compared(ours, other)
    with pytest.raises(DataError, match="no two models have a metric in common: ours has own; theirs has elsewhere"):
        compared(ours, outcomes(tmp_path / "b.json", "elsewhere", theirs=[1, 0]))
    with pytest.raises(DataError, match="own: ours and theirs have no item in common"):
        compared(ours, outcomes(tmp_path / "c.json", first=5, theirs=[1, 0]))
    with pytest.raises(InputError, match="did you mean 'ours'"):
        compared(ours, outcomes(tmp_path / "d.json", theirs=[1, 0]), baseline="our")
    with pytest.raises(ConfigError, match="no run has a model 'after'; there are: ours"):
        named([read_run(ours)], ("after",))
    with pytest.raises(ConfigError, match="holds no finished artifact"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match="is an artifact of train; expected one of evaluate or report"):
        read_run(artifact(tmp_path / "train" / "t", "train", {}, {}))


def test_published_rows_are_marked_with_their_source(tmp_path: Path) -> None:
    rows = published_rows("clip_vit_b_32")
    assert {row.label for row in rows} >= {"clip_vit_b_32:vl_compo", "clip_vit_b_32:bivlc"}
    (row,) = published_rows("clip_vit_b_32:bivlc")
    ours = {"model": "ours", "metric": "sugarcrepe/mean_of_7/accuracy", "per_cent": 80}
    group = {"model": "ours", "metric": "bivlc/all_items/group_accuracy", "per_cent": 60}
    found = compared(scores(tmp_path / "t.json", [ours, group]), published=rows)
    assert set(found.scores) == {ours["metric"], group["metric"]}  # what only published rows have is not shown
    page = FORMS["md"][1](found)
    assert re.search(r"\| clip_vit_b_32:bivlc† \| 73.1 \|.* 49.1 \|", page)
    assert f"| clip_vit_b_32:bivlc | published | {row.source}" in page
    assert any("clip_vit_b_32:elevater is left out" in note for note in found.notes)
    same = [ours | {"per_cent": 73.0769}, group]  # published as 73.08: both are the best
    (table,) = tables(compared(scores(tmp_path / "same.json", same), published=[row]))
    assert [cells[0].best for _, cells in table.rows] == [True, True]
    with pytest.raises(InputError, match="did you mean 'negclip'"):
        published_rows("negclp")
    with pytest.raises(InputError, match="no 'vlcompo'"):
        published_rows("negclip:vlcompo")


@pytest.fixture(scope="module")
def published_outcomes(shared_data: SharedData) -> Run:
    """The four models of BiVLC's paper on BiVLC and SugarCrepe, item by item."""
    folder = shared_data("bivlc")
    sides = {"text": ("text_score_i0", "text_score_i1"), "image": ("image_score_c0", "image_score_c1")}
    right = {kind: tuple(f"{{model}}:{side}" for side in own) for kind, own in sides.items()}
    right["group"] = right["text"] + right["image"]
    refs = (
        OutcomesRef(
            path=str(folder / "bivlc_outcomes.csv"), benchmark="bivlc", columns={"subset": "type"}, models=MODELS, right=right
        ),
        OutcomesRef(
            path=str(folder / "sugarcrepe_outcomes.csv"),
            benchmark="sugarcrepe",
            columns={"subset": "{type}_{subtype}", "image": "filename"},
            models=MODELS,
            right={"choice": ("{model}",)},
            candidates=2,
        ),
    )
    found = [(*key, items) for ref in refs for key, items in read_outcomes(ref).items()]
    made = [Outcome(model, title, items, known_of(title, items).averages) for model, title, items in found]
    models = tuple(Model(model, tuple(each for each in made if each.model == model)) for model in MODELS)
    return Run("published", folder, models)


@pytest.fixture(scope="module")
def four(published_outcomes: Run) -> Comparison:
    return compare([published_outcomes], baseline="CLIP_COCO")


def test_the_four_models_differ_as_published(four: Comparison, shared_data: SharedData) -> None:
    text = (shared_data("bivlc") / "SOURCE.txt").read_text()
    published: dict[str, dict[str, list[float]]] = {}
    for key, pattern in (("bivlc", r"BiVLC text/image/group: (.*)"), ("sugarcrepe", r"SugarCrepe overall / mean of 7: (.*)")):
        pairs = re.findall(r"([\w-]+) ((?:\d+\.\d+/)+\d+\.\d+)", re.search(pattern, text)[1])
        published[key] = {name: [float(each) for each in values.split("/")] for name, values in pairs}
    paths = {
        "bivlc": [f"bivlc/all_items/{kind}_accuracy" for kind in ("text", "image", "group")],
        "sugarcrepe": ["sugarcrepe/all_items/accuracy", "sugarcrepe/mean_of_7/accuracy"],
    }
    for key, metrics in paths.items():
        for model in set(MODELS) - {"CLIP_COCO"}:
            for place, metric in enumerate(metrics):
                expected = published[key][model][place] - published[key]["CLIP_COCO"][place]
                assert 100 * four.changes[metric, model].change.value == pytest.approx(expected, abs=0.011)
    worse = four.changes["bivlc/all_items/group_accuracy", "CLIP_TROHN-Text"]
    assert (worse.change.high < 0, worse.stars) == (True, "***")  # what the paper of BiVLC found: more on SugarCrepe, less here


def test_mcnemars_counts_and_probability_are_those_of_the_files(four: Comparison, shared_data: SharedData) -> None:
    table = pacsv.read_csv(shared_data("bivlc") / "bivlc_outcomes.csv")
    names = ("text_score_i0", "text_score_i1", "image_score_c0", "image_score_c1")
    old, new = (
        np.all([table[f"{model}:{name}"].to_numpy() == 1 for name in names], axis=0) for model in ("CLIP_COCO", "CLIP_TROHN-Text")
    )
    fixed, broken = int((new & ~old).sum()), int((old & ~new).sum())
    found = four.changes["bivlc/all_items/group_accuracy", "CLIP_TROHN-Text"].test
    assert (found.fixed, found.broken) == (fixed, broken) == (152, 254)
    below = binomtest(min(fixed, broken), fixed + broken, 0.5, alternative="less").pvalue
    next_below = binomtest(min(fixed, broken) - 1, fixed + broken, 0.5, alternative="less").pvalue
    assert found.mcnemar == pytest.approx(below + next_below)
    assert found.probability == pytest.approx(found.mcnemar)  # the file does not name images


def test_photos_count_where_the_file_names_them(four: Comparison) -> None:
    shared = four.changes["sugarcrepe/swap_att/accuracy", "ViT-B-32"].test
    assert shared.mcnemar is not None
    assert shared.probability != pytest.approx(shared.mcnemar)
    assert four.changes["sugarcrepe/mean_of_7/accuracy", "ViT-B-32"].test.mcnemar is None


def test_the_papers_tables_have_the_papers_figures(four: Comparison) -> None:
    found = {table.name: table for table in tables(four)}
    assert set(found) == {"degla-sugarcrepe", "bivlc"}
    rows = {
        model.label: [f"{100 * cell.value:.1f}{'!' if cell.best else ''}" for cell in cells]
        for model, cells in found["bivlc"].rows
    }
    assert rows["CLIP_TROHN-Text"] == ["90.9!", "78.2", "62.2", "57.5"]
    assert rows["CLIP_TROHN-Img"] == ["85.5", "88.5!", "71.8!", "69.2!"]


def test_all_forms_say_the_same(four: Comparison, tmp_path: Path) -> None:
    names = {path.name for path in write(four, tmp_path, list(FORMS))}
    assert names == {"comparison.md", "scores.csv", "degla-sugarcrepe.csv", "bivlc.csv", "comparison.json", "tables.tex"}
    key = {"metric": "sugarcrepe/add_att/accuracy", "model": "CLIP_TROHN-Text"}
    content = json.loads((tmp_path / "comparison.json").read_text())
    (record,) = [each for each in content["scores"] if key.items() <= each.items()]
    assert (record["fixed"], record["broken"], record["stars"], content["comparisons"]) == (111, 6, "***", 93)
    (row,) = [each for each in csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text())) if key.items() <= each.items()]
    assert {name: float(row[name]) for name in ("difference", "p", "p_corrected")} == {
        name: record[name] for name in ("difference", "p", "p_corrected")
    }
    difference = f"{record['difference']:+.1f} ({record['difference_low']:+.1f} to {record['difference_high']:+.1f})"
    assert f"| {difference}\\*\\*\\* | 111 | 6 | < 0.001 |" in (tmp_path / "comparison.md").read_text()
    assert r"\textbf{97.0}$^{***}$" in (tmp_path / "tables.tex").read_text()


def test_latex_escapes_what_it_must(tmp_path: Path) -> None:
    rows = [{"model": f"{name}_50%&#{{}}", "metric": f"own/{n}/accuracy", "per_cent": 5} for name in "ab" for n in (1, 2)]
    text = FORMS["latex"][1](compared(scores(tmp_path / "t.json", rows)))
    assert r"a\_50\%\&\#\{\} & b\_50\%\&\#\{\} \\" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 1


@pytest.mark.slow
def test_latex_compiles(four: Comparison, tmp_path: Path) -> None:
    engine = next((name for name in ("tectonic", "pdflatex", "xelatex") if shutil.which(name)), None)
    if engine is None:
        pytest.skip("no TeX is installed")
    write(four, tmp_path, ["latex"])
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{tables}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    options = [] if engine == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([engine, *options, "page.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 1000


def test_many_models_stand_in_rows(shared_data: SharedData) -> None:
    with (shared_data("vl_compo") / "individual_results.csv").open() as file:
        checkpoints = list(csv.DictReader(file))
    found = compared(shared_data("vl_compo") / "individual_results.csv")
    assert len(found.models) == len(checkpoints) == 202
    page = FORMS["md"][1](found)
    (line,) = re.findall(
        r"^\| NegCLIP coco-ft StructuredCLIP \| .* \|$", page.split("### winoground")[1].split("###")[0], re.MULTILINE
    )
    assert line.split("|")[2:5] == [" 30.2 ", " 11.0 ", " 8.0 "]


def test_the_command_prints_or_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = outcomes(tmp_path / "a.json", m=[1, 0, 1]), outcomes(tmp_path / "b.json", m=[1, 1, 1])
    assert main(["compare", f"ours={ours}", str(theirs), "--format", "csv"]) == 0
    printed = capsys.readouterr().out
    assert [row["model"] for row in csv.DictReader(io.StringIO(printed))] == ["ours:m", "b:m"]
    assert main(["compare", str(ours), str(theirs), "--format", "md", "json"]) == 2
    assert "several formats need a folder: --out DIR" in capsys.readouterr().err
    assert main(["compare", "--out", str(tmp_path / "out"), "--format", "md", "json", "--", str(ours), str(theirs)]) == 0
    assert (tmp_path / "out" / "comparison.json").is_file()
    assert main(["compare", str(tmp_path / "no.json")]) == 2
    assert "no.json: expected an artifact of evaluate or report, or a file of outcomes or scores" in capsys.readouterr().err


def test_an_experiment_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path))
    assert main(["compare", "demo"]) == 2
    assert "the evaluation of demo is not finished" in capsys.readouterr().err
    assert main(["compare", "dmeo"]) == 2
    assert "no experiment 'dmeo'" in capsys.readouterr().err


def test_candidates_of_an_interpolation_are_compared_only_if_named(two_runs: tuple[Path, Path]) -> None:
    folder = two_runs[0]
    (folder / "scores.json").write_text(json.dumps([{"benchmark": "own", "model": "before"}]))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["scores.json"]["size"] = (folder / "scores.json").stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (run,) = named([read_run(folder)])
    assert [model.label for model in run.models] == ["before"]
    found = compare(named([read_run(folder)], ("before", "after")))
    assert [model.label for model in found.models] == ["before", "after"]
    assert any(note.startswith("after is a candidate of evaluate.interpolate") for note in found.notes)
