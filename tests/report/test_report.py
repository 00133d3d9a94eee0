"""The scorecard of small hand-made artifacts: every number in it is recomputed here or was put in by hand."""

import json

import pyarrow as pa
import pytest
from caption_tables import LINEAGE

from degla.artifacts import CONFIG, MANIFEST, Artifact, FileEntry, Manifest, checksums
from degla.errors import DataError, MissingInputError
from degla.experiments.experiment import Experiment
from degla.miniworld.dataset import training_images
from degla.outcomes.items import ITEMS
from degla.outcomes.outcome import unit
from degla.report import ReportConfig, run
from degla.report.render import training_line
from degla.report.scorecard import Scorecard
from degla.report.truth import count_truth
from degla.schemas import CAPTIONS, REJECTED, SCENES, SCORES, TRAINING, write_table

WORLD = list(training_images(3, captions_per_scene=1, seed=5))


def finished(folder, stage, counts, files):
    """Turn a folder with these files into a finished artifact."""
    entries = {name: FileEntry(size=(folder / name).stat().st_size, sha256=checksums.read(folder / name)) for name in files}
    manifest = Manifest(
        stage=stage,
        stage_version=1,
        fingerprint=f"{stage}-mark",
        config=Experiment(name="x").stage_config(stage).model_dump(mode="json"),
        inputs={},
        raw={},
        counts=counts,
        files=entries,
        versions={"degla": "0"},
        started="",
        seconds=1.0,
        host="here",
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    (folder / CONFIG).write_text("{}")
    return Artifact.load(folder)


def table(folder, name, rows, schema):
    folder.mkdir(exist_ok=True, parents=True)
    write_table(folder / name, pa.Table.from_pylist(rows, schema), schema)


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / "prepare"
    captions = [
        {"caption_id": n, "image_id": item.image_id, "caption": item.captions[0], "tokens": [], "tags": [], "lemmas": []}
        for n, item in enumerate(WORLD)
    ]
    table(folder, "captions.parquet", captions, CAPTIONS)
    scenes = [{"image_id": item.image_id, "scene": json.dumps(item.scene.to_json())} for item in WORLD]
    table(folder, "scenes.parquet", scenes, SCENES)
    (folder / "card.json").write_text('{"licence": "MIT"}')
    return finished(folder, "prepare", {"captions": 3, "images": 3}, ["captions.parquet", "scenes.parquet", "card.json"])


@pytest.fixture
def generated(tmp_path):
    (tmp_path / "generate").mkdir()
    return finished(tmp_path / "generate", "generate", {"asked": 6}, [])


def negative(text, kind):
    return {"text": text, "type": kind, "generator": "rules", **LINEAGE}


def refused(caption_id, text, kind, rule):
    row = {
        "caption_id": caption_id,
        "type": kind,
        "candidate": 0,
        "status": "ok",
        "text": text,
        "attempt": 1,
        "seed": 0,
        "rule": rule,
    }
    return row | {"generator": "rules", "model_sha": "x"}


@pytest.fixture
def filtered(tmp_path):
    """Six rows asked: a true negative, a false one, an unreadable one, two refused (one of them false), one not generated."""
    folder = tmp_path / "filter"
    training = [
        [
            negative(
                f"{WORLD[0].captions[0]} by a brick wall" if WORLD[0].scene.place is None else "a purple ladder", "replace_nouns"
            )
        ],
        [negative(WORLD[1].captions[0], "replace_nouns")],
        [negative("it is what it is", "reshuffle")],
    ]
    rows = [
        {"caption_id": n, "image_id": item.image_id, "caption": item.captions[0], "negatives": training[n]}
        for n, item in enumerate(WORLD)
    ]
    table(folder, "training.parquet", rows, TRAINING)
    rejected = [
        refused(0, WORLD[0].captions[0], "swap_nouns", "same_as_caption"),
        refused(1, "a purple ladder", "swap_nouns", "length"),
    ]
    table(folder, "rejected.parquet", rejected, REJECTED)
    types = {
        "reshuffle": {"asked": 1, "kept": 1, "rejected": 0, "by_status": {"ok": 1}, "by_rule": {}},
        "swap_nouns": {
            "asked": 3,
            "kept": 0,
            "rejected": 2,
            "by_status": {"ok": 2, "inapplicable": 1},
            "by_rule": {"length": 1, "same_as_caption": 1},
        },
        "replace_nouns": {"asked": 2, "kept": 2, "rejected": 0, "by_status": {"ok": 2}, "by_rule": {}},
    }
    blind = [("all", "all", 0.55), ("reshuffle", "rules", 0.9), ("replace_nouns", "all", 0.7), ("replace_nouns", "rules", 0.8)]
    rows = [{"type": kind, "generator": generator, "blind_accuracy": value} for kind, generator, value in blind]
    (folder / "summary.json").write_text(json.dumps({"types": types, "audit": {"rows": rows}}))
    return finished(folder, "filter", {}, ["training.parquet", "rejected.parquet", "summary.json"])


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    lines = [{"step": step, "train/loss/total": 3.0 - step, "train/loss/base": 2.0 - step} for step in (1, 2)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "model").mkdir()
    (folder / "model" / "README.md").write_text("# A model\n\n## Scores\n\nNot measured yet.\n\n## Data\n\nThree captions.\n")
    return finished(folder, "train", {"steps": 2}, ["metrics.jsonl", "model/README.md"])


def score(metric, model, value, **settings):
    row = {"benchmark": metric.split("/")[0], "metric": metric, "model": model, "value": value, "low": value - 0.02}
    return (
        row | {"high": value + 0.02, "items": 100, "items_missing": 0, "incomplete": False, "chance": 0.5, "note": ""} | settings
    )


@pytest.fixture
def evaluated(tmp_path):
    rows = []
    for metric, before, after in (
        ("b/swap/accuracy", 0.5, 0.8),
        ("b/zero_shot/accuracy", 0.9, 0.7),
        ("b/other/accuracy", 0.5, 0.51),
    ):
        rows += [score(metric, "before", before), score(metric, "after", after, items_missing=7, note="93 of 100 items")]
        rows.append(score(metric, "difference", after - before, chance=None))
    return finished(tmp_path / "evaluate", "evaluate", {}, evaluation(tmp_path / "evaluate", rows))


def evaluation(folder, rows):
    """Files with these scores, and the items of both models on a benchmark; returns their names."""
    table(folder, "scores.parquet", rows, SCORES)
    (folder / "scores.json").write_text(json.dumps([{"benchmark": "b", "model": model} for model in ("before", "after")]))
    names = ["scores.parquet", "scores.json"]
    for model, right in (("before", "1001"), ("after", "1110")):
        items = [
            {"set": "swap", "kind": "choice", "item": str(n), "image": str(n), "status": "ok", "correct": each == "1"}
            | {"margin": 0.1, "targets": 1, "candidates": 2, "truncated": False, "indistinct": False}
            for n, each in enumerate(right)
        ]
        names += unit(model, "b")
        for name in unit(model, "b"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table(folder, names[-2], items, ITEMS)
        (folder / names[-1]).write_text(json.dumps({"benchmark": "b", "notes": [], "averages": [], "absent": {}}))
    return names


@pytest.fixture
def inputs(prepared, generated, filtered, trained, evaluated):
    return {"prepare": prepared, "generate": generated, "filter": filtered, "train": trained, "evaluate": evaluated}


def test_the_truth_of_kept_and_rejected_rewrites_is_counted(prepared, filtered):
    counts = {count.type: count for count in count_truth(prepared, filtered)}
    nouns, shuffle, swaps = counts["replace_nouns"], counts["reshuffle"], counts["swap_nouns"]
    assert (nouns.kept_false, nouns.kept_true, nouns.kept_unreadable) == (1, 1, 0)
    assert nouns.false_negative_rate == 0.5
    assert (shuffle.kept_false, shuffle.kept_true, shuffle.kept_unreadable) == (0, 0, 1)
    assert shuffle.false_negative_rate is None
    assert (swaps.rejected_false, swaps.rejected_true) == (1, 1)


def test_a_dataset_without_scenes_has_no_truth(tmp_path, filtered):
    (tmp_path / "other").mkdir()
    assert count_truth(finished(tmp_path / "other", "prepare", {}, []), filtered) is None


def test_the_scorecard_holds_what_the_stages_made(inputs, tmp_path):
    config = ReportConfig(title="A title", headline={"b/zero_shot/accuracy": "zero-shot", "b/swap/accuracy": "swaps"})
    artifact = run(config, inputs, tmp_path / "out")
    card = Scorecard.model_validate_json(artifact.file("scorecard.json").read_text())
    assert (card.captions, card.captions_with_four) == (3, 0)
    assert {item.type: (item.asked, item.kept) for item in card.yields} == {
        "reshuffle": (1, 1),
        "swap_nouns": (3, 0),
        "replace_nouns": (2, 2),
    }
    assert [score.name for score in card.headline_scores()] == ["zero-shot", "swaps"]
    text = artifact.file("scorecard.md").read_text()
    assert "| swaps | 100 of 107 | 50.0 | 50.0 | 80.0 | +30.0 (+28.0 to +32.0) |" in text
    assert "**Better, beyond the 95 % interval:** swaps." in text
    assert "**Worse, beyond the 95 % interval:** zero-shot." in text
    assert "length 1, same_as_caption 1" in text
    assert "objective degla, igc 0.1, tgc 0.1, distill 1.28, tgc negatives paper; own negatives" in text
    assert "| replace_nouns | 1 | 1 | 0 | 50.00 % | 0 | 0 |" in text
    assert "- b: 93 of 100 items" in text
    assert "<" not in text.replace("<=", ""), "no raw HTML: one of Prefect's dashboards shows it as text"
    console = artifact.file("scores.txt").read_text()
    assert "swaps" in console
    assert "b/other" not in console
    for name in ("scores.png", "losses.png", "yields.png"):
        assert artifact.file(name).read_bytes().startswith(b"\x89PNG")


def test_published_scores_nearest_to_the_model_stand_beside_it(inputs, tmp_path):
    scored = {
        "sugarcrepe/mean_of_7/accuracy": {},
        "winoground/winoground/group_accuracy": {"items_missing": 1, "incomplete": True},
    }
    rows = []
    for metric, more in scored.items():
        rows += [
            score(metric, "before", 0.73),
            score(metric, "after", 0.892, **more),
            score(metric, "difference", 0.16, chance=None),
        ]
    (tmp_path / "evaluate" / MANIFEST).unlink()
    inputs["evaluate"] = finished(tmp_path / "evaluate", "evaluate", {}, evaluation(tmp_path / "evaluate", rows))
    artifact = run(ReportConfig(), inputs, tmp_path / "out")
    found = json.loads(artifact.file("scorecard.json").read_text())["published"]
    assert {each["metric"] for each in found} == {"sugarcrepe/mean_of_7/accuracy"}, "what is incomplete is not compared"
    assert len(found) == 3
    distances = [abs(each["per_cent"] - 89.2) for each in found if each["architecture"] == found[0]["architecture"]]
    assert distances == sorted(distances)
    text = artifact.file("scorecard.md").read_text()
    assert "Published by others, not measured here" in text
    assert "| `sugarcrepe/mean_of_7/accuracy` | 89.2 | 89.2 | DeGLA (ViT-B-32, fine-tuned with text negatives) | https://" in text
    assert artifact.manifest.stage_version == ReportConfig.version


def test_the_scorecard_says_whether_the_gain_may_be_a_shortcut(inputs, tmp_path):
    assert "Shortcut or" not in run(ReportConfig(), inputs, tmp_path / "none").file("scorecard.md").read_text()
    gain = {"test": "SugarCrepe", "asks": "texts", "metric": "sugarcrepe/all_items/accuracy", "against": "before", "items": 9}
    gain |= {"value": 0.9, "against_value": 0.7, "change": 0.2, "low": 0.1, "high": 0.3}
    verdict = {"verdict": "untested", "evidence": [gain], "comparisons": 1, "text_only": {"sugarcrepe": 0.867}, "would_tell": []}
    verdicts = [{"model": model, "sentence": f"{model} may have learned one.", **verdict} for model in ("other", "after")]
    (tmp_path / "evaluate" / "shortcut.json").write_text(json.dumps(verdicts))
    (tmp_path / "evaluate" / MANIFEST).unlink()
    files = [*inputs["evaluate"].manifest.files, "shortcut.json"]
    inputs["evaluate"] = finished(tmp_path / "evaluate", "evaluate", {}, files)
    artifact = run(ReportConfig(), inputs, tmp_path / "out")
    assert "after may have learned one." in artifact.file("page.html").read_text()
    text = artifact.file("scorecard.md").read_text()
    assert "## Shortcut or understanding\n\n- after may have learned one.\n" in text
    assert "| after | SugarCrepe | 9 | 86.7 | before | 70.0 | 90.0 | +20.0 (+10.0 to +30.0) |" in text
    assert "other may" not in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": "negclip", "freeze": "image"}, "objective negclip, freeze: image; own"),
        ({"objective": "ce_clip"}, "objective ce_clip, cmr 0.4, imc 0.2; own"),
    ],
)
def test_the_scorecard_says_which_objective_trained(inputs, tmp_path, settings, said):
    artifact = run(ReportConfig(), inputs, tmp_path / "out")
    card = Scorecard.model_validate_json(artifact.file("scorecard.json").read_text())
    assert said in training_line(card.model_copy(update={"recipe": card.recipe | settings}))


def test_the_models_card_gets_its_scores_and_keeps_the_rest(inputs, tmp_path):
    text = run(ReportConfig(), inputs, tmp_path / "out").file("model_card.md").read_text()
    start, scores, rest = text.partition("## Scores\n")[0], text.partition("## Scores\n")[2], text.partition("\n## Data")[2]
    assert (start, rest) == ("# A model\n\n", "\n\nThree captions.\n")
    assert "| `b/swap/accuracy` | 100 of 107 | 50.0 | 50.0 | 80.0 | +30.0 (+28.0 to +32.0) |" in scores
    assert "- b: 93 of 100 items" in scores
    assert "Not measured" not in text


def test_a_model_without_a_card_is_refused(inputs, tmp_path):
    readme = tmp_path / "train" / "model" / "README.md"
    readme.write_text("x" * readme.stat().st_size)
    with pytest.raises(DataError, match="no section '## Scores'"):
        run(ReportConfig(), inputs, tmp_path / "out")


def test_the_scorecard_says_how_well_each_type_is_told_without_the_image(inputs, tmp_path):
    artifact = run(ReportConfig(), inputs, tmp_path / "report")
    card = json.loads(artifact.file("scorecard.json").read_text())
    found = {item["type"]: item["blind_accuracy"] for item in card["yields"]}
    assert found == {"reshuffle": 0.9, "swap_nouns": None, "replace_nouns": 0.7}


def test_without_a_headline_every_metric_is_shown_by_its_path(inputs, tmp_path):
    console = run(ReportConfig(), inputs, tmp_path / "out").file("scores.txt").read_text()
    assert [line.split()[0] for line in console.splitlines()[2:5]] == [
        "b/swap/accuracy",
        "b/zero_shot/accuracy",
        "b/other/accuracy",
    ]


def test_a_headline_that_was_not_scored_is_refused_with_what_was(inputs, tmp_path):
    with pytest.raises(MissingInputError, match=r"'b/swop' was not scored; there are: b/swap/accuracy"):
        run(ReportConfig(headline={"b/swop": "swaps"}), inputs, tmp_path / "out")


def test_a_lost_row_is_noticed(inputs, tmp_path):
    (tmp_path / "generate" / MANIFEST).unlink()
    inputs["generate"] = finished(tmp_path / "generate", "generate", {"asked": 7}, [])
    with pytest.raises(DataError, match="6 rows were filtered, but 7 were asked for"):
        run(ReportConfig(), inputs, tmp_path / "out")
