"""The study of COCO: what it chooses by is no test benchmark, its grid fits a day of one GPU, and a few photos go through it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from degla.benchmark.make import MakeOptions, make
from degla.errors import InputError
from degla.outcomes.suites import SUITES
from degla.study.config import Study, load_study
from degla.study.cost import train_flop
from degla.study.desk import Desk
from degla.study.one import run_one
from degla.study.preflight import plan_lines
from degla.study.runs import Run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
A100_DAY = 0.4 * 312e12 * 24 * 3600  # at 40 % of its peak


def benchmarks(run: Run) -> set[str]:
    return {ref.title for ref in run.experiment.evaluate.benchmarks}


def test_nothing_that_the_table_is_made_of_chooses_settings() -> None:
    desk = Desk(load_study("coco"))
    trials, finals = desk.trials(), desk.foreseen()
    assert {run.method for run in trials} == {"clip", "negclip", "ce_clip", "fsc_clip", "degla"}
    assert {run.experiment.train.objective for run in trials} == {run.method for run in trials}
    assert {run.experiment.train.model.weights for run in [*trials, *finals]} == {"openai"}
    scored = set[str]().union(*map(benchmarks, finals))
    assert not any(scored & benchmarks(run) for run in trials)
    by = desk.study.chosen_by
    assert {metric.split("/")[0] for metric in (by.composition, by.retention)} == benchmarks(trials[0])
    averages = {f"{suite.name}/{each.path}" for suite in SUITES for each in suite.averages}
    assert all(metric in averages or metric.split("/")[0] in scored for metric in desk.study.metrics)


@pytest.mark.slow
def test_its_grid_fits_a_day_of_one_gpu() -> None:
    """docs/reproduce.md has 154 GFLOP a caption of DeGLA's, 0.32 EFLOP in all."""
    desk = Desk(load_study("coco"))
    work = {run.name: train_flop(run.experiment) or 0 for run in [*desk.trials(), *desk.foreseen()]}
    of_degla = next(value for name, value in work.items() if "/degla/" in name)
    assert of_degla / (5 * 414_113) == pytest.approx(154e9, rel=0.005)
    assert sum(work.values()) < 0.7 * A100_DAY  # the rest is for negatives and scores


def few_photos(folder: Path) -> Study:
    """The study of COCO with one trial and one final run of a small CLIP on 100 photos."""
    validation, photos = folder / "coco_validation", DATA / "coco_mini"
    sets = f"{{name: image_folder, label: imagenet_v2, paths: {{images: {DATA / 'dtd5'}}}}}"
    data = yaml.safe_load((Path(__file__).resolve().parents[2] / "flows/studies/coco.yaml").read_text())
    data["overrides"] += [
        f"root={folder / 'artifacts'}",
        f"prepare.captions={photos / 'captions_train2017.json'}",
        f"prepare.images={photos / 'train2017'}",
        "prepare.limit=100",
        "generate.attempts=[rules]",
        "train.model={architecture: small-photo-clip, weights: random}",
        "train.precision=fp32",
        "train.steps=2",
        "train.batch_size=16",
    ]
    data["validation"] = [f"evaluate.benchmarks=[{{name: {validation / 'coco_validation.yaml'}}}, {sets}]"]
    sugarcrepe = f"{{name: sugarcrepe, paths: {{annotations: {photos / 'sugarcrepe'}, images: {photos / 'val2017'}}}}}"
    data["test"] = [f"evaluate.benchmarks=[{sugarcrepe}, {sets.replace('imagenet_v2', 'imagenet')}]"]
    data["retention"] = "imagenet/classes/accuracy"
    data["methods"] = {"degla": {"trials": [["train.lr=1e-4"]]}}
    data["questions"]["methods"] |= {"methods": ["degla"], "seeds": [10], "line": [0, 0.5, 1]}
    file = folder / "coco_few.yaml"
    file.write_text(yaml.safe_dump(data))
    return load_study(str(file))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the photos in {DATA}")
def test_its_path_on_a_few_photos(tmp_path: Path) -> None:
    study = few_photos(tmp_path)
    with pytest.raises(InputError, match="no card"):
        list(plan_lines(Desk(study)))
    held_out = tmp_path / "held_out.txt"
    names = sorted(path.name for path in (DATA / "coco_mini/train2017").iterdir())
    held_out.write_text("\n".join(names[:100]))
    source, images = DATA / "coco_mini/captions_train2017.json", DATA / "coco_mini/train2017"
    make(MakeOptions(source, tmp_path / "coco_validation", images, items=20, exclude=[held_out], target=0.9))
    desk = Desk(study)
    assert "train       2 artifacts, 0 of them finished" in list(plan_lines(desk))
    run_one(desk.trials()[0].save(tmp_path / "runs"))
    assert desk.choose().of("openai_b32", "degla") == ("train.lr=1e-4",)
    lines = list(plan_lines(desk))
    assert "runs        1 trials, then 1 final ones; settings: chosen" in lines
    assert "train       2 artifacts, 1 of them finished" in lines
    assert "**Unfinished: 0 of 1 runs.**" in desk.write()
