"""The stage end to end, with real models, real photos and the mini world: scores, pairing, resuming, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from encoded import read_scores
from PIL import Image

from degla.artifacts import Artifact
from degla.errors import ConfigError, InputError, MissingInputError, ModelError
from degla.evaluate import EvaluateConfig, run, units
from degla.evaluate.config import READER_VERSIONS
from degla.experiments.cli import main
from degla.experiments.experiment import load_experiment
from degla.miniworld.pretraining.scores import zero_shot
from degla.models import ModelRef
from degla.models.loading import LoadedClip, load
from degla.outcomes.items import ITEMS
from degla.outcomes.scores import ScoreRecord
from degla.schemas import SCORES

SharedData = Callable[[str], Path]
MakeTrain = Callable[..., Artifact]
Record = dict[str, Any]

ORDER = {"name": "miniworld_order", "options": {"size": 12}}
RETRIEVAL = {"name": "miniworld_retrieval", "options": {"size": 12}}


def evaluate(train: Artifact, out_dir: Path, benchmarks: list[Any], **settings: Any) -> Artifact:
    return run(EvaluateConfig(benchmarks=benchmarks, **settings), {"train": train}, out_dir)


def scores(artifact: Artifact) -> dict[tuple[str, str], ScoreRecord]:
    return {(record.model, record.metric): record for record in read_scores(artifact.file("scores.json"))}


def sugarcrepe_ref(shared_data: SharedData, images: Path | None = None) -> Record:
    folder = shared_data("coco_mini")
    return {
        "name": "sugarcrepe",
        "paths": {"annotations": str(folder / "sugarcrepe"), "images": str(images or folder / "val2017")},
    }


def slow_sugarcrepe(folder: Path, clip: LoadedClip) -> dict[str, list[bool]]:
    """One item after the other, nothing shared, as SugarCrepe's own main_eval.py goes about it."""
    right: dict[str, list[bool]] = {}
    pixels = cache(lambda name: clip.preprocess(Image.open(folder / "val2017" / name)))
    torch.set_num_threads(1)
    for path in sorted((folder / "sugarcrepe").glob("*.json")):
        for entry in json.loads(path.read_text()).values():
            with torch.inference_mode():
                image = clip.model.encode_image(pixels(entry["filename"])[None], normalize=True)
                texts = clip.tokenizer([entry["caption"], entry["negative_caption"]])
                true, false = (image @ clip.model.encode_text(texts, normalize=True).T)[0].tolist()
            right.setdefault(path.stem, []).append(true > false)
    torch.set_num_threads(2)
    return right


def test_sugarcrepe_on_real_photos_equals_a_slow_loop_over_its_definition(
    make_train: MakeTrain, shared_data: SharedData, tiny_clip: LoadedClip, tmp_path: Path
) -> None:
    artifact = evaluate(make_train(), tmp_path / "out", [sugarcrepe_ref(shared_data)])
    found = scores(artifact)
    assert artifact.counts["items"] == 351
    right = slow_sugarcrepe(shared_data("coco_mini"), tiny_clip)
    means = {name: np.mean(values) for name, values in right.items()}
    for name, value in means.items():
        assert found["after", f"sugarcrepe/{name}/accuracy"].value == pytest.approx(value)
    swap = right["swap_obj"] + right["swap_att"]
    expected = {
        "swap/accuracy_macro": (means["swap_obj"] + means["swap_att"]) / 2,
        "swap/accuracy_micro": np.mean(swap),
        "mean_of_7/accuracy": np.mean(list(means.values())),
        "all_items/accuracy": np.mean(sum(right.values(), [])),
    }
    for path, value in expected.items():
        record = found["after", f"sugarcrepe/{path}"]
        assert record.value == pytest.approx(value)
        assert record.low < record.value < record.high
        assert record.chance == pytest.approx(0.5)
    assert found["after", "sugarcrepe/swap/accuracy_micro"].items == len(swap)
    assert {record.note for record in found.values()} == {"351 of 7,511 official items"}


def test_classification_and_retrieval_of_real_photos(make_train: MakeTrain, shared_data: SharedData, tmp_path: Path) -> None:
    flickr = shared_data("flickr8k_224")
    photos = {"captions": str(flickr / "captions.tsv"), "images": str(flickr / "images")}
    benchmarks = [
        {"name": "image_folder", "label": "dtd5", "paths": {"images": str(shared_data("dtd5"))}},
        {"name": "retrieval_photos", "paths": photos, "options": {"max_images": 30}},
    ]
    found = scores(evaluate(make_train(), tmp_path / "out", benchmarks))
    assert found["before", "dtd5/classes/accuracy"].chance == pytest.approx(0.2)
    accuracy, per_class = (found["before", f"dtd5/classes/{name}"] for name in ("accuracy", "mean_per_class"))
    assert accuracy.value == pytest.approx(per_class.value)  # 20 images in every class
    recalls = [found["after", f"retrieval_photos/captions/text_retrieval_recall@{k}"] for k in (1, 5, 10)]
    assert recalls[0].value <= recalls[1].value <= recalls[2].value
    assert [record.items for record in recalls] == [30] * 3
    assert found["after", "retrieval_photos/captions/image_retrieval_recall@5"].items == 150
    assert found["after", "retrieval_photos/captions/image_retrieval_recall@5"].chance == pytest.approx(5 / 30)


def test_the_difference_is_after_minus_before_on_the_same_items(small_world: Artifact) -> None:
    found = scores(small_world)
    metrics = {metric for model, metric in found if model == "difference"}
    assert metrics == {metric for _, metric in found}
    assert len(metrics) == small_world.counts["metrics"] == 45
    for metric in metrics:
        before, after, difference = (found[model, metric] for model in ("before", "after", "difference"))
        assert difference.value == pytest.approx(after.value - before.value)
        assert difference.low <= difference.value <= difference.high
        assert before.low <= before.value <= before.high
        assert before.items == after.items == difference.items
        assert difference.chance is None


def test_averages_are_the_means_they_are_called(small_world: Artifact) -> None:
    found = scores(small_world)
    composition = [f"miniworld_composition/{kind}/accuracy" for kind in ("replace_obj", "replace_att", "replace_rel", "swap_obj")]
    composition.append("miniworld_composition/swap_att/accuracy")
    kinds = ("noun_photo", "noun_sketch", "noun_grainy", "colour", "place", "texture")
    zero_shot = [f"miniworld_zeroshot/{kind}/accuracy" for kind in kinds]
    directions = [f"miniworld_retrieval/retrieval/{way}_retrieval_recall@1" for way in ("text", "image")]
    for path, over in [
        ("miniworld_composition/mean_of_5/accuracy", composition),
        ("miniworld_composition/swaps/accuracy", composition[3:]),
        ("miniworld_zeroshot/mean_of_6/accuracy", zero_shot),
        ("miniworld_zeroshot/unseen_classes/accuracy", [f"{name}_unseen" for name in zero_shot[:5]]),
        ("miniworld_retrieval/both_directions/recall@1", directions),
    ]:
        assert found["after", path].value == pytest.approx(np.mean([found["after", name].value for name in over]))
    assert found["after", "miniworld_order/aro_order/accuracy"].chance == pytest.approx(0.2)


def test_every_score_can_be_recomputed_from_the_item_files(small_world: Artifact) -> None:
    found = scores(small_world)
    items = pq.read_table(small_world.file("items/after/miniworld_zeroshot.parquet")).to_pylist()
    nouns = [row for row in items if row["set"] == "noun_photo"]
    of_class: dict[str, list[bool]] = {}
    for row in nouns:
        of_class.setdefault(row["label"], []).append(row["label"] == row["predicted"])
    expected = {
        "accuracy": np.mean(sum(of_class.values(), [])),
        "mean_per_class": np.mean([np.mean(values) for values in of_class.values()]),
        "accuracy_seen": np.mean([row["correct"] for row in nouns if row["seen"]]),
        "accuracy_unseen": np.mean([row["correct"] for row in nouns if not row["seen"]]),
    }
    for name, value in expected.items():
        assert found["after", f"miniworld_zeroshot/noun_photo/{name}"].value == pytest.approx(value)
    pairs = pq.read_table(small_world.file("items/after/miniworld_composition.parquet"), schema=ITEMS)
    assert all(row["correct"] == (row["margin"] > 0) for row in pairs.to_pylist())
    table = pq.read_table(small_world.file("scores.parquet"), schema=SCORES).to_pylist()
    assert table == [record.model_dump() for record in read_scores(small_world.file("scores.json"))]


def test_a_model_compared_with_itself_has_no_difference(make_train: MakeTrain, tiny_clip: LoadedClip, tmp_path: Path) -> None:
    itself = make_train()
    same = make_train(base=ModelRef(architecture=f"local-dir:{shutil.copytree(itself.path / 'model', tmp_path / 'copy')}"))
    found = scores(evaluate(same, tmp_path / "out", [ORDER]))
    differences = [record for (model, _), record in found.items() if model == "difference"]
    assert all(record.value == 0 and record.low < 0 < record.high for record in differences)


def test_batch_size_changes_no_score(make_train: MakeTrain, tmp_path: Path) -> None:
    train = make_train()
    big, small = (evaluate(train, tmp_path / str(size), [ORDER, RETRIEVAL], batch_size=size) for size in (256, 7))
    assert big.fingerprint == small.fingerprint
    assert big.file("scores.json").read_text() == small.file("scores.json").read_text()


def test_a_stopped_run_goes_on_from_its_results(make_train: MakeTrain, tmp_path: Path) -> None:
    train, photos = make_train(), tmp_path / "photos"
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (90, 10, 200)).save(photos / name / "1.png")
    benchmarks = [ORDER, {"name": "image_folder", "paths": {"images": str(photos)}}, RETRIEVAL]
    whole = evaluate(train, tmp_path / "whole", benchmarks)
    out = tmp_path / "stopped"
    for name in ("items", "results"):  # what is there when the process dies in the second model's first benchmark
        (out / name / "before").mkdir(parents=True)
        shutil.copy(next((whole.path / name / "before").glob("miniworld_order.*")), out / name / "before")
    shutil.copy(whole.path / "items/before/image_folder.parquet", out / "items/before")  # items without results are made again
    kept, redone = out / "results/before/miniworld_order.json", out / "items/before/image_folder.parquet"
    times = kept.stat().st_mtime_ns, redone.stat().st_mtime_ns
    resumed = evaluate(train, out, benchmarks)
    assert kept.stat().st_mtime_ns == times[0]
    assert redone.stat().st_mtime_ns > times[1]
    assert resumed.manifest.files == whole.manifest.files  # checksums of every file


def test_a_readers_new_version_scores_its_benchmarks_alone(
    make_train: MakeTrain, shared_data: SharedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmarks = [{"name": "miniworld_composition", "options": {"size": 12}}, ORDER, sugarcrepe_ref(shared_data)]
    train, write = make_train(), units.write

    def made(name: str, **settings: Any) -> tuple[Artifact, set[str]]:
        """An artifact, and the benchmarks that were scored to make it."""
        scored: set[str] = set()
        monkeypatch.setattr(units, "write", lambda out, model, ref, *rest: (scored.add(ref.title), write(out, model, ref, *rest)))
        return evaluate(train, tmp_path / "evaluate" / name, benchmarks, **settings), scored

    first, scored = made("first")
    assert scored == {"miniworld_composition", "miniworld_order", "sugarcrepe"}
    monkeypatch.setitem(READER_VERSIONS, "sugarcrepe", 2)
    newer, scored = made("newer")
    assert scored == {"sugarcrepe"}
    assert newer.manifest.files == first.manifest.files
    benchmarks[0] = {"name": "miniworld_composition", "options": {"size": 13}}
    assert made("other")[1] == {"miniworld_composition"}
    del benchmarks[0]
    assert made("fewer")[1] == set()
    assert made("fresh", refresh=1)[1] == {"miniworld_order", "sugarcrepe"}


def test_images_that_went_missing_between_the_models_cannot_be_paired(make_train: MakeTrain, tmp_path: Path) -> None:
    train, photos = make_train(), tmp_path / "photos"
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (90, 10, 200)).save(photos / name / "1.png")
    benchmarks = [{"name": "image_folder", "paths": {"images": str(photos)}}]
    whole = evaluate(train, tmp_path / "out", benchmarks)
    (whole.path / "manifest.json").unlink()
    (whole.path / "results/after/image_folder.json").unlink()
    table = pq.read_table(whole.path / "items/before/image_folder.parquet", schema=ITEMS)
    statuses = pa.array(["missing", "ok"])
    pq.write_table(table.set_column(4, ITEMS.field("status"), statuses), whole.path / "items/before/image_folder.parquet")
    with pytest.raises(InputError, match="before and after were scored on different items"):
        evaluate(train, tmp_path / "out", benchmarks)


def test_missing_and_broken_images_make_a_result_incomplete_and_are_listed(
    make_train: MakeTrain, shared_data: SharedData, tmp_path: Path
) -> None:
    images = shutil.copytree(shared_data("coco_mini/val2017"), tmp_path / "val2017")
    entries = json.loads((shared_data("coco_mini") / "sugarcrepe/swap_att.json").read_text())
    names = sorted({entry["filename"] for entry in entries.values()})
    (images / names[0]).unlink()
    (images / names[1]).write_bytes((images / names[1]).read_bytes()[:900])
    lost = sum(entry["filename"] in names[:2] for entry in entries.values())
    ref = sugarcrepe_ref(shared_data, images) | {"options": {"subsets": ["swap_obj", "swap_att"]}}
    artifact = evaluate(make_train(), tmp_path / "out", [ref])
    record = scores(artifact)["difference", "sugarcrepe/swap_att/accuracy"]
    there = len(entries) - lost
    assert (record.items, record.items_missing, record.incomplete) == (there, 666 - there, True)  # of the official items
    assert "incomplete" in record.note
    assert names[0] in record.note
    average = scores(artifact)["after", "sugarcrepe/swap/accuracy_micro"]
    assert average.incomplete
    assert average.items + average.items_missing == 245 + 666
    assert artifact.counts["items_missing"] >= lost
    result = json.loads(artifact.file("results/after/sugarcrepe.json").read_text())
    listed = {(item["image"], item["status"]) for item in result["items_missing"]}
    assert listed == {(names[0], "missing"), (names[1], "undecodable")}


def test_retrieval_leaves_out_the_captions_of_missing_images(
    make_train: MakeTrain, shared_data: SharedData, tmp_path: Path
) -> None:
    flickr = shared_data("flickr8k_224")
    names = list(dict.fromkeys(line.split("\t")[0] for line in (flickr / "captions.tsv").read_text().split("\n")[1:101]))
    images = tmp_path / "images"
    images.mkdir()
    for name in names[1:]:
        shutil.copy(flickr / "images" / name, images)
    paths = {"captions": str(flickr / "captions.tsv"), "images": str(images)}
    ref = {"name": "retrieval_photos", "paths": paths, "options": {"max_images": len(names)}}
    found = scores(evaluate(make_train(), tmp_path / "out", [ref]))
    text, image = (found["after", f"retrieval_photos/captions/{way}_retrieval_recall@1"] for way in ("text", "image"))
    assert (text.items, text.items_missing) == (len(names) - 1, 1)
    assert (image.items, image.items_missing) == (5 * len(names) - 5, 5)
    assert image.chance == pytest.approx(1 / (len(names) - 1))
    paths["captions"] = str(tmp_path / "kept.tsv")
    lines = (flickr / "captions.tsv").read_text().split("\n")[:101]
    Path(paths["captions"]).write_text("\n".join(line for line in lines if not line.startswith(names[0])) + "\n")
    without = scores(evaluate(make_train(), tmp_path / "without", [{"name": "retrieval_photos", "paths": paths}]))
    assert without["after", image.metric].value == image.value


def test_a_benchmark_without_a_single_image_is_an_error(make_train: MakeTrain, shared_data: SharedData, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="replace_obj: no item can be scored"):
        evaluate(make_train(), tmp_path / "out", [sugarcrepe_ref(shared_data, tmp_path / "empty")])


def test_long_captions_are_cut_counted_and_stated(make_train: MakeTrain, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    long = "fish " * 90
    candidates = {"1": [long, f"cat {long}"], "2": ["a b", "b a"]}
    rows = [{"id": key, "image": "a.png", "candidates": texts} for key, texts in candidates.items()]
    path = tmp_path / "order.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    ref = {"name": "word_order", "paths": {"annotations": str(path), "images": str(tmp_path)}}
    artifact = evaluate(make_train(), tmp_path / "out", [ref])
    assert artifact.counts["items_truncated"] == 1
    assert {record.note for record in scores(artifact).values()} == {
        "1 of 2 items have a text that was truncated to the model's context"
    }


def test_an_unchanged_shuffle_is_right_and_is_no_choice(make_train: MakeTrain, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    path = tmp_path / "order.jsonl"
    path.write_text(json.dumps({"id": "1", "image": "a.png", "candidates": ["a cat"] * 5}))
    ref = {"name": "word_order", "paths": {"annotations": str(path), "images": str(tmp_path)}}
    record = scores(evaluate(make_train(), tmp_path / "out", [ref]))["before", "word_order/order/accuracy"]
    assert (record.value, record.chance) == (1.0, 1.0)


def test_a_pair_of_equal_captions_is_wrong_and_hopeless(make_train: MakeTrain, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    entry = {"filename": "a.png", "caption": "a cat", "negative_caption": "a cat"}
    (tmp_path / "swap_obj.json").write_text(json.dumps({"1": entry}))
    paths = {"annotations": str(tmp_path), "images": str(tmp_path)}
    ref = {"name": "sugarcrepe", "paths": paths, "options": {"subsets": ["swap_obj"]}}
    record = scores(evaluate(make_train(), tmp_path / "out", [ref]))["before", "sugarcrepe/swap_obj/accuracy"]
    assert (record.value, record.chance) == (0.0, 0.0)


def test_a_base_model_that_changed_since_training_is_refused(make_train: MakeTrain, tmp_path: Path) -> None:
    folder = shutil.copytree(make_train().path / "model", tmp_path / "base")
    train = make_train(base=ModelRef(architecture=f"local-dir:{folder}"))
    config = json.loads((folder / "open_clip_config.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps(config | {"note": "changed"}))
    with pytest.raises(ModelError, match="has changed since"):
        evaluate(train, tmp_path / "out", [ORDER])


def test_models_that_see_images_differently_are_not_compared(
    make_train: MakeTrain, tiny_clip: LoadedClip, tmp_path: Path
) -> None:
    other = replace(tiny_clip, preprocessing=replace(tiny_clip.preprocessing, mean=(0.5, 0.5, 0.5)))
    with pytest.raises(ModelError, match=r"has preprocessing .*mean=\(0\.5"):
        evaluate(make_train(after=other), tmp_path / "out", [ORDER])
    other = replace(tiny_clip, architecture=tiny_clip.architecture | {"quick_gelu": False})
    with pytest.raises(ModelError, match="has activation gelu, the one it was trained from has quickgelu"):
        evaluate(make_train(after=other), tmp_path / "out", [ORDER])


def test_a_checkpoint_whose_weights_say_another_activation_is_refused(make_train: MakeTrain, tmp_path: Path) -> None:
    train = make_train()
    path = train.path / "model" / "open_clip_config.json"
    text = path.read_text()
    path.write_text(text.replace('"quick_gelu": true', '"quick_gelu":false'))
    assert path.stat().st_size == len(text)  # the manifest's size still fits
    with pytest.raises(ModelError, match="trained with activation quickgelu"):
        evaluate(train, tmp_path / "out", [ORDER])


def test_a_train_artifact_without_a_model_is_refused(make_train: MakeTrain, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="open_clip_model.safetensors; run the train stage again"):
        evaluate(make_train(lacking=["open_clip_model.safetensors"]), tmp_path / "out", [ORDER])


def test_a_path_in_a_role_that_the_card_does_not_have_is_refused(tmp_path: Path) -> None:
    config = EvaluateConfig(benchmarks=[{"name": "sugarcrepe", "paths": {"image": str(tmp_path)}}])
    with pytest.raises(ConfigError, match="no files in the role 'image'; known roles: annotations, images"):
        config.raw_inputs()


def test_a_benchmark_named_twice_needs_labels() -> None:
    with pytest.raises(ValueError, match="image_folder more than once; give each its own label"):
        EvaluateConfig(benchmarks=["image_folder", "image_folder"])
    labelled = [{"name": "image_folder", "label": "a"}, {"name": "image_folder", "label": "b"}]
    assert [ref.title for ref in EvaluateConfig(benchmarks=labelled).benchmarks] == ["a", "b"]


def test_unknown_settings_of_a_benchmark_are_refused(tmp_path: Path) -> None:
    preset = tmp_path / "x.yaml"
    preset.write_text("evaluate: {benchmarks: [{name: sugarcrepe, path: {}}]}")
    with pytest.raises(ConfigError, match="unknown key 'evaluate.benchmarks.0.path'"):
        load_experiment(str(preset))


def test_the_shipped_clip_scores_as_its_own_probe_says(make_train: MakeTrain, tmp_path: Path) -> None:
    shipped = load(ModelRef())
    torch.set_num_threads(1)
    expected = zero_shot(shipped.model, "validation", 100)
    torch.set_num_threads(2)
    ref = {"name": "miniworld_zeroshot", "options": {"split": "validation", "size": 100}}
    found = scores(evaluate(make_train(base=ModelRef(), after=shipped), tmp_path / "out", [ref]))
    for kind, percent in expected.items():
        assert found["before", f"miniworld_zeroshot/{kind}/accuracy"].value == pytest.approx(percent / 100)
        assert found["difference", f"miniworld_zeroshot/{kind}/accuracy"].value == 0


@pytest.mark.slow
def test_a_killed_process_is_continued_to_the_same_artifact(make_train: MakeTrain, tmp_path: Path) -> None:
    preset = tmp_path / "tiny.yaml"
    preset.write_text(json.dumps({"evaluate": {"benchmarks": [ORDER, RETRIEVAL]}}))
    command = [sys.executable, "-m", "degla.evaluate", str(preset), "--input", f"train={make_train().path}"]
    killed = subprocess.Popen(command, env=os.environ | {"DEGLA_HOME": str(tmp_path / "killed")}, start_new_session=True)
    results = tmp_path / "killed" / "evaluate"
    while not (kept := sorted(results.glob("*/results/*/*.json"))):
        assert killed.poll() is None
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not list(results.glob("*/manifest.json"))
    written = kept[0].stat().st_mtime_ns
    for home in ("killed", "whole"):
        subprocess.run(command, env=os.environ | {"DEGLA_HOME": str(tmp_path / home)}, check=True, stdout=subprocess.PIPE)
    assert kept[0].stat().st_mtime_ns == written
    (resumed,), (whole,) = (list((tmp_path / home / "evaluate").glob("*/manifest.json")) for home in ("killed", "whole"))
    assert Artifact.load(resumed.parent).manifest.files == Artifact.load(whole.parent).manifest.files


def test_the_command_line_makes_the_artifact_and_reuses_it(
    make_train: MakeTrain, tmp_path: Path, own_artifact_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = tmp_path / "tiny.yaml"
    preset.write_text("evaluate:\n  benchmarks:\n  - name: miniworld_order\n    options: {size: 8}\n")
    arguments = [str(preset), "--input", f"train={make_train().path}"]
    assert main("evaluate", arguments) == 0
    assert main("evaluate", arguments) == 0
    (made,) = (own_artifact_root / "evaluate").glob("*/scores.json")
    assert len(read_scores(made)) == 3
    assert "evaluate: reused: benchmarks 1, metrics 1, items 8" in capsys.readouterr().out
