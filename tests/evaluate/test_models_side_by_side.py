"""Several models in one run, missing benchmarks, what is published of base models, and models that are not what they say."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from encoded import TINY, read_scores
from PIL import Image
from safetensors.torch import save_file

from degla.artifacts import Artifact
from degla.errors import ConfigError, DataError, InputError, MissingInputError, ModelError
from degla.evaluate import EvaluateConfig, references, run, scored_models
from degla.evaluate.config import EvaluatedModel
from degla.evaluate.features.store import StoredFeatures
from degla.evaluate.readers import read_benchmark
from degla.experiments.cli import dry_run_sections
from degla.experiments.experiment import load_experiment
from degla.home import artifact_root
from degla.models import ModelRef
from degla.models.export import export
from degla.models.loading import LoadedClip, load
from degla.outcomes.measures import Measure
from degla.outcomes.scores import ScoreRecord

MakeTrain = Callable[..., Artifact]
SharedData = Callable[[str], Path]

ORDER = {"name": "miniworld_order", "options": {"size": 12}}
COMPOSITION = {"name": "miniworld_composition", "options": {"size": 12}}


def scores(artifact: Artifact) -> dict[tuple[str, str], ScoreRecord]:
    return {(record.model, record.metric): record for record in read_scores(artifact.file("scores.json"))}


@pytest.fixture
def tiny_pt(tiny_clip: LoadedClip, tmp_path: Path) -> Path:
    """The small CLIP as training codes save it: a state dict in a container, with torch's prefix."""
    path = tmp_path / "tiny.pt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in tiny_clip.model.state_dict().items()}}, path)
    return path


def test_several_models_are_scored_side_by_side_without_training(
    tiny_json: Path, tiny_pt: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "degla")
    further = {
        "random": {"architecture": str(tiny_json), "weights": "random"},
        "theirs": {"architecture": str(tiny_json), "weights": str(tiny_pt)},
        "same": {"architecture": str(tiny_json), "weights": str(tiny_pt)},
    }
    config = EvaluateConfig(benchmarks=[ORDER], models=further, trained=False)
    artifact = run(config, {}, tmp_path / "out")
    found = scores(artifact)
    assert {model for model, _ in found} == set(further)
    metric = "miniworld_order/aro_order/accuracy"
    assert found["theirs", metric].value == found["same", metric].value
    first, second = (json.loads((artifact.path / f"models/{name}.json").read_text()) for name in ("theirs", "same"))
    assert first["features"] == second["features"]
    assert "same: encoded 0 images and 0 texts that were new" in caplog.messages  # equal weights share their features
    page = artifact.file("comparison.md").read_text()
    assert "| metric | items | chance | random | theirs | same |" in page
    assert f"| `{metric}` | 12 | 20.0 |" in page
    assert artifact.manifest.inputs == {}


def test_further_models_stand_beside_before_and_after(make_train: MakeTrain, tiny_json: Path, tmp_path: Path) -> None:
    further = {"other": {"architecture": str(tiny_json), "weights": "random"}}
    artifact = run(EvaluateConfig(benchmarks=[ORDER], models=further), {"train": make_train()}, tmp_path / "out")
    found = scores(artifact)
    assert {model for model, _ in found} == {"before", "after", "difference", "other"}
    metric = "miniworld_order/aro_order/accuracy"
    assert found["other", metric].value == found["before", metric].value  # both random with seed 0
    alone = scores(run(EvaluateConfig(benchmarks=[ORDER]), {"train": make_train()}, tmp_path / "alone"))
    assert alone == {key: record for key, record in found.items() if key[0] != "other"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trained": False}, "there is nothing to score"),
        ({"models": {"before": {}}}, "'before' is the name of a result of the train stage"),
        ({"models": {"a b": {}}}, "String should match pattern"),
    ],
)
def test_models_need_names_of_their_own(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**settings)


# Missing benchmarks


def test_a_missing_benchmark_is_left_out_with_what_to_do_and_the_others_go_on(make_train: MakeTrain, tmp_path: Path) -> None:
    missing = {"name": "winoground", "paths": {"annotations": str(tmp_path / "none.jsonl")}}
    config = EvaluateConfig(benchmarks=[missing, ORDER])
    artifact = run(config, {"train": make_train()}, tmp_path / "out")
    assert {record.benchmark for record in scores(artifact).values()} == {"miniworld_order"}
    assert (artifact.counts["benchmarks"], artifact.counts["benchmarks_not_scored"]) == (1, 1)
    page = artifact.file("comparison.md").read_text()
    assert "## Not scored" in page
    assert "winoground: annotations not found at" in page
    assert "accept the licence at" in page
    there = tmp_path / "none.jsonl"
    there.write_text('{"id": 1, "image_0": "a", "image_1": "b", "caption_0": "a b", "caption_1": "b a"}\n')
    assert config.raw_inputs()["winoground"] != artifact.manifest.raw["winoground"]


def test_a_dry_run_lists_the_benchmarks_that_would_be_left_out(tmp_path: Path) -> None:
    missing = {"name": "pairs", "label": "mine", "paths": {"annotations": str(tmp_path / "none.jsonl")}}
    experiment = load_experiment("demo", []).model_copy(update={"evaluate": EvaluateConfig(benchmarks=[ORDER, missing])})
    before = "\n".join(dry_run_sections(experiment, {}, [], ["prepare", "train"]))
    said = next(part for part in dry_run_sections(experiment, {}, [], ["evaluate"]) if part.startswith("benchmarks that"))
    assert "leave out" not in before
    assert said.count("\n") == 1
    assert f"annotations not found at {tmp_path / 'none.jsonl'}" in said


def test_images_that_are_all_missing_leave_a_benchmark_out(make_train: MakeTrain, tmp_path: Path) -> None:
    rows = [{"image": "gone.jpg", "caption": "a", "negative": "b"}]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    (tmp_path / "images").mkdir()
    pairs = {"name": "pairs", "paths": {"annotations": str(tmp_path / "p.json"), "images": str(tmp_path / "images")}}
    artifact = run(EvaluateConfig(benchmarks=[ORDER, pairs]), {"train": make_train()}, tmp_path / "out")
    assert "no item can be scored" in artifact.file("comparison.md").read_text()
    again = run(EvaluateConfig(benchmarks=[ORDER, pairs]), {"train": make_train()}, tmp_path / "out")
    assert again.manifest == artifact.manifest


def test_a_set_without_a_single_image_is_left_out_and_the_other_sets_are_scored(tiny_json: Path, tmp_path: Path) -> None:
    rows = [{"image": f"{name}.png", "caption": "a", "negative": "b", "set": name} for name in ("here", "gone")]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    Image.new("RGB", (8, 8)).save(tmp_path / "here.png")
    paths = {"annotations": str(tmp_path / "p.json"), "images": str(tmp_path)}
    pairs = {"name": "pairs", "paths": paths, "options": {"subset": "set"}}
    model = {"only": {"architecture": str(tiny_json), "weights": "random"}}
    artifact = run(EvaluateConfig(benchmarks=[pairs], models=model, trained=False), {}, tmp_path / "out")
    assert {metric for _, metric in scores(artifact)} == {"pairs/here/accuracy"}  # and no average over both
    page = artifact.file("comparison.md").read_text()
    assert "- pairs: not scored: gone: no item can be scored; the first unreadable image: " in page
    assert artifact.counts["benchmarks"] == 1


def test_half_pairs_and_texts_without_images_leave_the_rest_of_the_run_as_it_is(make_train: MakeTrain, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    pair = {"id": 1, "image_0": "a", "image_1": "gone", "caption_0": "a b", "caption_1": "b a"}
    (tmp_path / "w.jsonl").write_text(json.dumps(pair))
    (tmp_path / "plus").mkdir()
    plus = {"id": 1, "filename": "1.jpg", "caption": "a dog", "caption2": "one dog", "negative_caption": "a cat"}
    (tmp_path / "plus" / "swap_obj.json").write_text(json.dumps([plus]))
    winoground = {"name": "winoground", "paths": {"annotations": str(tmp_path / "w.jsonl"), "images": str(tmp_path)}}
    texts = {
        "name": "sugarcrepe_pp",
        "paths": {"annotations": str(tmp_path / "plus"), "images": str(tmp_path / "no folder")},
        "options": {"subsets": ["swap_obj", "swap_att"]},
    }
    artifact = run(EvaluateConfig(benchmarks=[winoground, texts, ORDER]), {"train": make_train()}, tmp_path / "out")
    found = scores(artifact)
    assert {record.benchmark for record in found.values()} == {"sugarcrepe_pp", "miniworld_order"}
    assert {metric for _, metric in found if metric.startswith("sugarcrepe_pp")} == {"sugarcrepe_pp/swap_obj/tot_accuracy"}
    assert found["difference", "sugarcrepe_pp/swap_obj/tot_accuracy"].items == 1
    assert (artifact.counts["benchmarks_not_scored"], artifact.counts["items_missing"]) == (1, 1)
    page = artifact.file("comparison.md").read_text()
    assert f"- **winoground**: winoground: no item can be scored; the first unreadable image: {tmp_path / 'gone'}" in page
    assert "incomplete: 1 items lack their image (1 images: 1.jpg)" in page
    assert "swap_att is not scored: " in page


def test_a_note_that_holds_for_one_model_names_it(tiny_json: Path, tmp_path: Path) -> None:
    short = json.loads(tiny_json.read_text())
    short["model_cfg"]["text_cfg"]["context_length"] = 8
    (tmp_path / "short.json").write_text(json.dumps(short))
    rows = [{"image": "1.png", "caption": "a red ball", "negative": "a red ball on the very big green house"}]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    pairs = {"name": "pairs", "paths": {"annotations": str(tmp_path / "p.json"), "images": str(tmp_path)}}
    further = {
        name: {"architecture": str(path), "weights": "random"}
        for name, path in (("short", tmp_path / "short.json"), ("whole", tiny_json))
    }
    artifact = run(EvaluateConfig(benchmarks=[pairs], models=further, trained=False), {}, tmp_path / "out")
    page = artifact.file("comparison.md").read_text()
    assert "- pairs, short: 1 of 1 items have a text that was truncated to the model's context" in page
    assert "whole: 1 of 1" not in page


def test_a_run_without_a_single_benchmark_stops_before_it_starts(tmp_path: Path) -> None:
    config = EvaluateConfig(benchmarks=["winoground", "aro_vg_relation"])
    with pytest.raises(MissingInputError, match="winoground: annotations not found"):
        config.raw_inputs()


def test_a_wrong_benchmark_ends_the_run_after_the_others_were_scored(make_train: MakeTrain, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('[{"image": "a.jpg"}]')
    pairs = {"name": "pairs", "paths": {"annotations": str(tmp_path / "p.json"), "images": str(tmp_path)}}
    with pytest.raises(DataError, match=r"p\.json: no column of captions among 'image'"):
        run(EvaluateConfig(benchmarks=[pairs, ORDER]), {"train": make_train()}, tmp_path / "out")
    assert sorted(path.stem for path in (tmp_path / "out" / "results").rglob("*.json")) == ["miniworld_order", "miniworld_order"]


# New kinds of sets, end to end


def test_two_captions_and_two_images_are_scored_as_a_slow_loop_does(
    make_train: MakeTrain, shared_data: SharedData, tiny_clip: LoadedClip, tmp_path: Path
) -> None:
    folder = shared_data("coco_mini/val2017")
    photos = sorted(path.name for path in folder.glob("*.jpg"))[:6]
    plus = [
        {"id": n, "filename": name, "caption": "a dog", "caption2": f"one dog {n}", "negative_caption": f"a cat {n}"}
        for n, name in enumerate(photos)
    ]
    (tmp_path / "plus").mkdir()
    (tmp_path / "plus" / "swap_obj.json").write_text(json.dumps(plus))
    pairs = [
        {"id": n, "image_0": photos[n], "image_1": photos[n + 1], "caption_0": f"a dog {n}", "caption_1": f"a cat {n}"}
        for n in range(5)
    ]
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    benchmarks = [
        {
            "name": "sugarcrepe_pp",
            "paths": {"annotations": str(tmp_path / "plus"), "images": str(folder)},
            "options": {"subsets": ["swap_obj"]},
        },
        {"name": "winoground", "paths": {"annotations": str(tmp_path / "w.jsonl"), "images": str(folder)}},
    ]
    found = scores(run(EvaluateConfig(benchmarks=benchmarks), {"train": make_train()}, tmp_path / "out"))

    @torch.inference_mode()
    def image(name: str) -> np.ndarray:
        return tiny_clip.model.encode_image(tiny_clip.preprocess(Image.open(folder / name))[None], normalize=True)[0].numpy()

    @torch.inference_mode()
    def text(caption: str) -> np.ndarray:
        return tiny_clip.model.encode_text(tiny_clip.tokenizer([caption]), normalize=True)[0].numpy()

    itt, tot = [], []
    for item in plus:
        i, p, q, n = image(item["filename"]), text(item["caption"]), text(item["caption2"]), text(item["negative_caption"])
        itt.append(i @ p > i @ n and i @ q > i @ n)
        tot.append(p @ q > p @ n and p @ q > q @ n)
    assert found["after", "sugarcrepe_pp/swap_obj/itt_accuracy"].value == pytest.approx(np.mean(itt))
    assert found["after", "sugarcrepe_pp/swap_obj/tot_accuracy"].value == pytest.approx(np.mean(tot))
    assert found["after", "sugarcrepe_pp/swap_obj/itt_accuracy"].chance == pytest.approx(1 / 3)
    assert found["after", "sugarcrepe_pp/swap_obj/itt_accuracy"].items_missing == 245 - 6
    assert found["after", "sugarcrepe_pp/swap_obj/itt_accuracy"].incomplete
    right: dict[str, list[bool]] = {"text": [], "image": [], "group": []}
    for item in pairs:
        s = {(c, i): text(item[f"caption_{c}"]) @ image(item[f"image_{i}"]) for c in (0, 1) for i in (0, 1)}
        right["text"].append(s[0, 0] > s[1, 0] and s[1, 1] > s[0, 1])
        right["image"].append(s[0, 0] > s[0, 1] and s[1, 1] > s[1, 0])
        right["group"].append(right["text"][-1] and right["image"][-1])
    for kind, values in right.items():
        assert found["after", f"winoground/winoground/{kind}_accuracy"].value == pytest.approx(np.mean(values))
    assert found["after", "winoground/winoground/group_accuracy"].chance == pytest.approx(1 / 6)


def test_an_item_that_lacks_one_of_its_images_is_missing(make_train: MakeTrain, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), (10, 200, 90)).save(tmp_path / name)
    captions = {"caption_0": "a b", "caption_1": "b a"}
    rows = [{"id": 1, "image_0": "a", "image_1": "b"} | captions, {"id": 2, "image_0": "a", "image_1": "gone"} | captions]
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, rows)))
    paths = {"annotations": str(tmp_path / "w.jsonl"), "images": str(tmp_path)}
    artifact = run(EvaluateConfig(benchmarks=[{"name": "winoground", "paths": paths}]), {"train": make_train()}, tmp_path / "out")
    record = scores(artifact)["after", "winoground/winoground/group_accuracy"]
    assert (record.items, record.items_missing, record.value) == (1, 399, 0.0)
    assert "(1 images: gone)" in record.note


def test_real_pictures_by_words_and_by_a_linear_probe(make_train: MakeTrain, shared_data: SharedData, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    cifar, dtd = shared_data("cifar10_jpg"), shared_data("dtd5")
    benchmarks = [
        {"name": "image_folder", "label": "cifar", "paths": {"images": str(cifar / "test")}},
        {"name": "image_folder", "label": "textures", "paths": {"images": str(dtd)}},
        {"name": "image_folder_probe", "paths": {"training": str(cifar / "train"), "images": str(cifar / "test")}},
    ]
    artifact = run(EvaluateConfig(benchmarks=benchmarks), {"train": make_train()}, tmp_path / "out")
    found = scores(artifact)
    probed = found["before", "image_folder_probe/probe/linear_probe_accuracy"]
    assert (probed.items, probed.chance) == (1000, pytest.approx(0.1))
    assert probed.low > 0.12  # even random features tell some colours apart
    assert found["before", "image_folder_probe/probe/linear_probe_mean_per_class"].value == pytest.approx(probed.value)
    assert found["before", "cifar/classes/accuracy"].items == 1000
    assert found["before", "textures/classes/accuracy"].items == 100


def test_drawn_candidates_are_kept_in_the_artifact(make_train: MakeTrain, shared_data: SharedData, tmp_path: Path) -> None:
    (photo, *_) = sorted(shared_data("coco_mini/val2017").glob("*.jpg"))
    captions = ["A red dog sits near two old cats", "A dog and the cats"]
    (tmp_path / "k.json").write_text(json.dumps([{"image": photo.name, "caption": captions}]))
    paths = {"annotations": str(tmp_path / "k.json"), "images": str(photo.parent)}
    artifact = run(
        EvaluateConfig(benchmarks=[{"name": "coco_word_order", "paths": paths}]), {"train": make_train()}, tmp_path / "out"
    )
    rows = [json.loads(line) for line in artifact.file("candidates/coco_word_order.jsonl").read_text().splitlines()]
    assert [row["candidates"][0] for row in rows] == [caption.lower() for caption in captions]
    record = scores(artifact)["after", "coco_word_order/word_order/accuracy"]
    assert (record.items, record.items_missing) == (2, 25008)
    mark = artifact.manifest.files["candidates/coco_word_order.jsonl"].sha256[:16]
    assert f"candidates {mark}" in record.note


# Published scores


def measure(path: str, right: int, total: int, missing: int = 0) -> Measure:
    return Measure(path, (np.arange(total) < right,), 0.5, missing)


def test_a_score_beside_the_published_one_agrees_within_the_tolerance() -> None:
    found = [measure("swap_obj/accuracy", 6152, 10000), measure("swap_att/accuracy", 6427, 10000)]  # published: 61.22, 63.96
    checks = {check.published.metric: check for check in references.checks("mine", "clip_vit_b_32", "sugarcrepe", found)}
    assert checks["sugarcrepe/swap_obj/accuracy"].agrees
    assert not checks["sugarcrepe/swap_att/accuracy"].agrees
    sentence = checks["sugarcrepe/swap_att/accuracy"].sentence()
    assert sentence.startswith(
        "mine: sugarcrepe/swap_att/accuracy is 64.27, published 63.96 (https://github.com/ytaek-oh/vl_compo, "
    )
    assert sentence.endswith("individual_results.csv, 2024-06): +0.31")
    incomplete = [measure("swap_obj/accuracy", 6152, 10000, missing=1)]
    assert references.checks("mine", "clip_vit_b_32", "sugarcrepe", incomplete) == []
    assert references.checks("mine", "", "sugarcrepe", found) == []


def winoground(folder: Path, images: int = 2) -> dict[str, Any]:
    """400 items of two equal images, which every model gets wrong: a full set; or without one of the images."""
    folder.mkdir()
    for name in ("a.png", "b.png")[:images]:
        Image.new("RGB", (8, 8), (10, 200, 90)).save(folder / name)
    rows = [{"id": n, "image_0": "a", "image_1": "ab"[n < 399], "caption_0": "a b", "caption_1": "b a"} for n in range(400)]
    (folder / "w.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"name": "winoground", "paths": {"annotations": str(folder / "w.jsonl"), "images": str(folder)}}


def test_a_model_that_is_said_to_be_a_published_one_is_checked(
    tiny_json: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"clip": {"architecture": str(tiny_json), "weights": "random", "reference": "clip_vit_b_32"}}
    config = EvaluateConfig(benchmarks=[winoground(tmp_path / "w")], models=wrong, trained=False)
    artifact = run(config, {}, tmp_path / "out")
    assert "clip: winoground/winoground/group_accuracy is 0.00, published 8.75" in caplog.text
    page = artifact.file("comparison.md").read_text()
    assert "| clip | `winoground/winoground/group_accuracy` | 8.75 | 0.00 | **differs by -8.8** |" in page
    assert "`evaluate.reference=require` stops the run" in page
    unknown = {"clip": {"architecture": str(tiny_json), "weights": "random", "reference": "clip_vit_b_3"}}
    with pytest.raises(ConfigError, match=r"no reference 'clip_vit_b_3' in .*published.yaml; did you mean 'clip_vit_b_32'"):
        run(EvaluateConfig(benchmarks=[ORDER], models=unknown, trained=False), {}, tmp_path / "unknown")


def test_a_base_model_without_its_published_scores_stops_a_run_that_requires_them(tiny_json: Path, tmp_path: Path) -> None:
    wrong = {"clip": {"architecture": str(tiny_json), "weights": "random", "reference": "clip_vit_b_32"}}
    asked: dict[str, Any] = {"models": wrong, "trained": False, "reference": "require"}
    config = EvaluateConfig(benchmarks=[winoground(tmp_path / "w")], **asked)
    for _ in range(2):  # nor does the second run take the units of the first for a result
        with pytest.raises(ModelError) as error:
            run(config, {}, tmp_path / "out")
        text = str(error.value)
        assert text.startswith("evaluate.reference=require: 3 of 3 scores of a base model are more than 0.3 points from")
        assert "clip: winoground/winoground/text_accuracy is 0.00, published 31.25 (https://github.com/" in text
        assert "vl_compo, individual_results.csv" in text
        assert all(cause in text for cause in ("quickgelu", "template", "resize", "images that are missing"))
    assert not (tmp_path / "out" / "manifest.json").exists()
    incomplete = EvaluateConfig(benchmarks=[winoground(tmp_path / "one", images=1)], **asked)
    page = run(incomplete, {}, tmp_path / "incomplete").file("comparison.md").read_text()
    assert "no score could be compared" in page


# Models that are not what they say


def further(**model: Any) -> scored_models.ScoredModel:
    config = EvaluateConfig(models={"theirs": EvaluatedModel(**model)}, trained=False)
    return scored_models.scored_models(config, {})[0]


def test_weights_that_leave_their_activation_open_are_refused_and_a_stated_one_is_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "negclip.pt"
    torch.save({}, path)
    with pytest.raises(ModelError, match=r"evaluate\.models\.theirs\.activation=quickgelu, or gelu"):
        further(architecture="ViT-B-32", weights=str(path))
    repaired = further(architecture="ViT-B-32", weights=str(path), activation="quickgelu")
    assert repaired.ref.architecture == "ViT-B-32-quickgelu"
    assert repaired.note == "ViT-B-32 was replaced by ViT-B-32-quickgelu, as its weights were trained with quickgelu"
    assert repaired.note in caplog.text
    assert further(architecture="ViT-B-32", weights=str(path), activation="gelu").ref.architecture == "ViT-B-32"
    back = further(architecture="ViT-B-32-quickgelu", weights=str(path), activation="gelu")
    assert back.ref.architecture == "ViT-B-32"
    named = further(architecture="ViT-B-32-quickgelu", weights=str(path))
    assert (named.ref.architecture, named.note) == ("ViT-B-32-quickgelu", "")
    with pytest.raises(MissingInputError, match="gone.pt does not exist"):
        further(architecture="ViT-B-32", weights=str(tmp_path / "gone.pt"))


def test_weights_that_say_another_activation_or_preprocessing_are_refused(
    tiny_clip: LoadedClip, tiny_json: Path, tmp_path: Path
) -> None:
    for changed, what in (
        (replace(tiny_clip, architecture=tiny_clip.architecture | {"quick_gelu": False}), "activation gelu"),
        (replace(tiny_clip, preprocessing=replace(tiny_clip.preprocessing, mean=(0.5, 0.5, 0.5))), "preprocess_cfg"),
    ):
        export(tmp_path / "m", changed, changed.model.state_dict(), {})
        model = {"architecture": str(tiny_json), "weights": str(tmp_path / "m/open_clip_model.safetensors")}
        model |= {"preprocessing": {key: value for key, value in tiny_clip.preprocessing.as_config().items() if key != "size"}}
        config = EvaluateConfig(benchmarks=[ORDER], models={"theirs": model}, trained=False)
        with pytest.raises(ModelError, match=f"model theirs: .*{what}"):
            run(config, {}, tmp_path / f"out-{what.split()[0]}")
        shutil.rmtree(tmp_path / "m")


def test_a_model_without_a_text_tower_is_named(tiny_clip: LoadedClip, tiny_json: Path, tmp_path: Path) -> None:
    state = {key: value.contiguous() for key, value in tiny_clip.model.visual.state_dict().items()}
    save_file({f"visual.{key}": value for key, value in state.items()}, tmp_path / "image_only.safetensors")
    model = {"half": {"architecture": str(tiny_json), "weights": str(tmp_path / "image_only.safetensors")}}
    with pytest.raises(ModelError, match=r"model half: .*image_only\.safetensors does not match .*token_embedding|missing"):
        run(EvaluateConfig(benchmarks=[ORDER], models=model, trained=False), {}, tmp_path / "out")
    no_text = tmp_path / "no_text.json"
    no_text.write_text(json.dumps({"embed_dim": 24, "vision_cfg": {"image_size": 32}}))
    model = {"half": {"architecture": str(no_text), "weights": "random"}}
    with pytest.raises(ModelError, match="model half: .*text_cfg missing"):
        run(EvaluateConfig(benchmarks=[ORDER], models=model, trained=False), {}, tmp_path / "out2")


def test_an_architecture_that_open_clip_has_in_one_activation_only_is_not_repaired() -> None:
    known = open_clip.list_models()
    name = next(name for name in known if not name.endswith("quickgelu") and f"{name}-quickgelu" not in known and "ViT" in name)
    if open_clip.get_model_config(name).get("quick_gelu", False):
        pytest.skip(f"{name} computes quickgelu")
    with pytest.raises(InputError, match=f"open_clip has no {name}-quickgelu"):
        further(architecture=name, weights="random", activation="quickgelu")


@pytest.mark.parametrize("kind", ["custom text tower", "CoCa"])
def test_models_with_another_text_tower_are_scored_as_open_clip_encodes(kind: str, tmp_path: Path) -> None:
    config = json.loads(json.dumps(TINY["model_cfg"]))
    if kind == "CoCa":
        config["text_cfg"] |= {"embed_cls": True, "output_tokens": True, "context_length": 76}
        config["vision_cfg"] |= {"attentional_pool": True, "output_tokens": True, "attn_pooler_heads": 2}
        config["multimodal_cfg"] = {"width": 32, "context_length": 76, "heads": 2, "layers": 1}
    else:
        config["custom_text"] = True
    (tmp_path / "other.json").write_text(json.dumps(config))
    ref = ModelRef(architecture=str(tmp_path / "other.json"), weights="random")
    artifact = run(EvaluateConfig(benchmarks=[ORDER], models={"other": ref.model_dump()}, trained=False), {}, tmp_path / "out")
    clip = load(ref, any_tower=True)
    name = json.loads((artifact.path / "models/other.json").read_text())["features"]
    features = StoredFeatures(artifact_root() / "features" / name)
    benchmark = read_benchmark(EvaluateConfig(benchmarks=[ORDER]).benchmarks[0].card())
    texts = [text for item in benchmark.sets[0].items[:3] for text in item.candidates]
    images = benchmark.sets[0].images[:5]
    with torch.inference_mode():
        text = torch.nn.functional.normalize(clip.model.encode_text(clip.tokenizer(texts)), dim=-1).numpy()
        pixels = torch.stack([clip.preprocess(image.open()) for image in images])
        image = torch.nn.functional.normalize(clip.model.encode_image(pixels), dim=-1).numpy()
    assert np.abs(features.texts(texts).features - text).max() < 1e-5
    assert np.abs(features.images(images).features - image).max() < 1e-5
