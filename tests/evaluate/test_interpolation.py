"""WiSE-FT: the line between two models, the rule that chooses, and what an evaluation hands over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from encoded import read_scores

from degla.artifacts import Artifact
from degla.errors import ConfigError, DataError, MissingInputError, ModelError
from degla.evaluate import EvaluateConfig, run
from degla.evaluate.interpolation.choice import Judged, choose
from degla.evaluate.interpolation.results import in_validation
from degla.evaluate.interpolation.weights import interpolate
from degla.experiments.experiment import load_experiment
from degla.experiments.plan import plan
from degla.models import ModelRef
from degla.models.export import save_weights
from degla.models.loading import LoadedClip, load
from degla.tradeoff import Candidate, Interval, TradeOffPoint, mean_gain, pareto_front, read_points

MakeTrain = Callable[..., Artifact]

COMPOSITION, RETENTION = "miniworld_composition/swaps/accuracy", "miniworld_retrieval/both_directions/recall@1"
METRICS = {"composition": [COMPOSITION], "retention": [RETENTION]}
WORLD = [
    {"name": "miniworld_composition", "options": {"size": 15, "kinds": ["swap_obj", "swap_att"]}},
    {"name": "miniworld_retrieval", "options": {"size": 12}},
]


# The line


def states() -> list[dict[str, torch.Tensor]]:
    made = []
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        state = {"weight": torch.randn(5, 7, generator=generator), "logit_scale": torch.randn((), generator=generator)}
        made.append(state | {"half": state["weight"].half(), "buffer": torch.arange(3) + seed, "zero": torch.tensor([-0.0, 0.0])})
    return made


def bits(state: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for name, value in state.items()}


def test_0_is_the_start_and_1_the_end_to_the_last_bit() -> None:
    start, end = states()
    assert bits(interpolate(start, end, 0.0)) == bits(start)
    assert bits(interpolate(start, end, 1.0)) == bits(end)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.75])
def test_between_lies_what_numpy_computes_in_double_precision(alpha: float) -> None:
    start, end = states()
    found = interpolate(start, end, alpha)
    for name in ("weight", "logit_scale", "half"):
        expected = (1 - alpha) * start[name].double().numpy() + alpha * end[name].double().numpy()
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=0, atol=3e-7)
        assert found[name].dtype == torch.float32
    assert found["buffer"].tolist() == end["buffer"].tolist()


def test_models_of_two_architectures_have_no_line() -> None:
    start, end = states()
    with pytest.raises(ModelError, match=r"at its start: 1 shapes: weight is \(5, 6\), expected \(5, 7\)"):
        interpolate(start, end | {"weight": end["weight"][:, :6]}, 0.5)


# The rule


def judged(name: str, composition: float, retention: float, low: float) -> Judged:
    """A candidate that changes retention by `retention`, at worst by `low`; in points."""
    value = Interval(value=0.5 + composition / 100, low=0, high=1)
    change = Interval(value=retention / 100, low=low / 100, high=1)
    return Judged(Candidate(name=name), value, value, Interval(value=0.8 + retention / 100, low=0, high=1), change)


START = judged("before", 0, 0, 0)


@pytest.mark.parametrize(
    ("others", "chosen", "met"),
    [
        ([judged("a", 5, -0.2, -0.9), judged("b", 9, -0.9, -1.4)], "a", True),  # the lower limit counts, not the value
        ([judged("a", 5, -0.2, -1.0), judged("b", 4, 0, -0.5)], "a", True),  # at most
        ([judged("a", 5, -0.3, -0.9), judged("b", 5, -0.1, -0.8)], "b", True),  # a tie: the better retention
        ([judged("a", 5, -0.1, -0.9), judged("b", 5, -0.1, -0.8)], "a", True),  # a tie in both: the earlier
        ([judged("a", -1, 0, -0.5)], "before", True),  # none is better than the start
        ([judged("a", 5, -2, -3), judged("b", 9, -4, -5)], "before", False),
    ],
)
def test_the_best_composition_within_the_budget_is_chosen(others: list[Judged], chosen: str, met: bool) -> None:
    choice = choose([START, *others], budget=1.0)
    assert (choice.chosen.candidate.name, choice.met) == (chosen, met)


def test_a_budget_that_nobody_meets_is_said_with_the_nearest() -> None:
    reason = choose([START, judged("a", 5, -2, -3), judged("b", 9, -4, -5)], budget=1.0).reason
    assert (
        "no candidate but the start keeps retention within the budget of 1: the nearest, a, changes it by -2.0 points, -3.0"
        in reason
    )


# The front


def point(name: str, gain: float, loss: float) -> TradeOffPoint:
    zero = Interval(value=0, low=0, high=0)
    changes = [Interval(value=each / 100, low=-1, high=1) for each in (gain, -loss)]
    return TradeOffPoint(
        run="r",
        candidate=name,
        alpha=None,
        step=None,
        composition=zero,
        composition_change=changes[0],
        retention=zero,
        retention_change=changes[1],
        chosen=False,
    )


def test_the_front_has_no_point_that_another_beats_and_its_area_is_that_of_a_fine_sum() -> None:
    points = [point("start", 0, 0), point("a", 4, 1), point("worse", 3, 2), point("b", 6, 3), point("bad", 5, 8)]
    assert [each.candidate for each in pareto_front(points)] == ["start", "a", "b"]
    budgets = np.linspace(0, 5, 100_001)
    best = [max(each.gain for each in points if each.loss <= budget + 1e-9) for budget in budgets]
    assert mean_gain(points, 5) == pytest.approx(np.mean(best), abs=1e-3)
    assert mean_gain(points, 0.5) == 0
    assert mean_gain([point("start", 0, 0), point("free", 2, -1)], 5) == pytest.approx(2)  # it even gained retention


# The halves


def test_items_of_an_image_are_in_one_half_and_the_halves_have_about_their_shares() -> None:
    images = pa.chunked_array([[f"image {number % 2000}" for number in range(6000)]])
    for share in (0.5, 0.2):
        half = in_validation(images, share)
        of_image: dict[str, set[bool]] = {}
        for image, inside in zip(images.to_pylist(), half.tolist(), strict=True):
            of_image.setdefault(image, set()).add(inside)
        assert all(len(sides) == 1 for sides in of_image.values())
        assert half.mean() == pytest.approx(share, abs=0.04)


# The whole


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"benchmarks": WORLD, "interpolate": {**METRICS, "alphas": [0.5], "budget": 100}}


def test_an_evaluation_hands_over_curve_choice_and_model(
    make_train: MakeTrain, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path / "home"))
    train = make_train()
    artifact = run(EvaluateConfig(**settings), {"train": train}, tmp_path / "out")
    points = read_points(artifact.file("tradeoff.json"))
    assert [(each.candidate, each.alpha) for each in points] == [("before", 0), ("interpolated_0.5", 0.5), ("after", 1)]
    selection = json.loads(artifact.file("selection.json").read_text())
    by_composition = {each["name"]: each["composition"]["value"] for each in selection["candidates"]}
    assert by_composition[selection["chosen"]["name"]] == max(by_composition.values())
    assert [each.candidate for each in points if each.chosen] == [selection["chosen"]["name"]]
    whole = {each.model: each for each in read_scores(artifact.file("scores.json")) if each.metric == COMPOSITION}
    assert set(whole) == {"before", "after", "difference"}  # what is chosen by half of the items has no score on all of them
    counted = whole["after"].items
    halves = [_swaps(artifact, "after", half) for half in (True, False)]
    assert (halves[0][0], halves[1][0]) == pytest.approx((by_composition["after"], points[-1].composition.value))
    assert halves[0][1] + halves[1][1] == counted
    assert halves[0][0] != halves[1][0]  # else a figure of the wrong half would pass
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{artifact.path / 'model'}")
    alpha = selection["chosen"]["alpha"]
    ends = [
        load(ModelRef.model_validate(train.manifest.config["model"])),
        load(ModelRef(architecture=f"local-dir:{train.path}/model")),
    ]
    start, end = (each.model.state_dict() for each in ends)
    expected = interpolate(start, end, alpha)
    assert bits(dict(model.state_dict())) == bits({name: expected[name] for name in model.state_dict()})
    again = run(EvaluateConfig(**settings), {"train": train}, tmp_path / "again")
    assert {n: e.sha256 for n, e in again.manifest.files.items()} == {n: e.sha256 for n, e in artifact.manifest.files.items()}


def _swaps(artifact: Artifact, model: str, validation: bool) -> tuple[float, int]:
    """A slow mean over the two sets, and the number of items in it."""
    rows = pq.read_table(artifact.file(f"items/{model}/miniworld_composition.parquet")).to_pylist()
    kept = [row for row in rows if in_validation(pa.chunked_array([[row["image"]]]), 0.5)[0] == validation]
    right = [[row["correct"] for row in kept if row["set"] == name] for name in ("swap_obj", "swap_att")]
    return float(np.mean([np.mean(each) for each in right])), sum(map(len, right))


def test_no_interpolation_leaves_fingerprint_and_artifact_alone(small_world: Artifact) -> None:
    assert EvaluateConfig().unused() == {"interpolate"}
    assert not {"tradeoff.json", "selection.json"} & set(small_world.manifest.files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolate": {**METRICS, "alphas": [1.5]}}, "less than or equal to 1"),
        ({"interpolate": {"composition": [COMPOSITION]}}, "retention\n  Field required"),
        ({"interpolate": METRICS, "trained": False, "models": {"a": {}}}, "interpolate averages the models before and after"),
        (
            {"interpolate": {**METRICS, "retention": ["imagenet/classes/accuracy"]}},
            "nothing measures 'imagenet/classes/accuracy'",
        ),
        ({"interpolate": METRICS, "models": {"interpolated_0.5": {}}}, "'interpolated_0.5' is the name of a candidate"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**{"benchmarks": WORLD} | change)


def test_a_metric_that_was_not_measured_is_named_with_those_that_were(make_train: MakeTrain, tmp_path: Path) -> None:
    wrong = {**METRICS, "retention": ["miniworld_retrieval/recall@1"], "alphas": []}
    said = r"retention: 'miniworld_retrieval/recall@1' was not measured .*there are: miniworld_retrieval/"
    with pytest.raises(MissingInputError, match=said):
        run(EvaluateConfig(benchmarks=WORLD, interpolate=wrong), {"train": make_train()}, tmp_path / "out")


def test_candidates_that_training_did_not_keep_are_refused_first(make_train: MakeTrain, tmp_path: Path) -> None:
    for asked, name in (({"steps": [300]}, "step_300"), ({"teacher": True}, "teacher")):
        config = EvaluateConfig(benchmarks=WORLD, interpolate={**METRICS, **asked})
        with pytest.raises(MissingInputError, match=rf"asks for {name}, .* has none but start and end.*keep_weights_every"):
            run(config, {"train": make_train()}, tmp_path / name)


@pytest.mark.parametrize(
    ("train", "asked", "message"),
    [
        ([], "steps=[300]", "steps names 300, .* every train.keep_weights_every \\(0\\) steps"),
        (["train.keep_weights_every=200"], "steps=[200,300]", "steps names 300"),
        (["train.keep_weights_every=300"], "steps=[900]", "steps names 900, .* before the last"),
        ([], "teacher=true", "teacher: training would not keep"),
        (["train.keep_weights_every=300", "train.objective=clip"], "teacher=true", "train.objective=clip"),
    ],
)
def test_a_plan_that_trains_without_keeping_a_candidate_is_refused(
    train: list[str], asked: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path))
    metrics = [f"evaluate.interpolate.{name}=[{metric}]" for name, (metric,) in METRICS.items()]
    experiment = load_experiment("demo", [*metrics, f"evaluate.interpolate.{asked}", *train])
    with pytest.raises(ConfigError, match=message):
        plan(experiment, upto="train")


def test_what_training_kept_is_a_candidate_like_the_others(
    make_train: MakeTrain, tiny_clip: LoadedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path / "home"))
    train = make_train()
    start = load(ModelRef.model_validate(train.manifest.config["model"])).model.state_dict()
    kept = {"step_5": start, "teacher": tiny_clip.model.state_dict()}
    for name, state in kept.items():
        save_weights(train.path / "candidates" / f"{name}.safetensors", tiny_clip, state)
    manifest = json.loads((train.path / "manifest.json").read_text())
    for path in (train.path / "candidates").iterdir():
        manifest["files"][f"candidates/{path.name}"] = {"size": path.stat().st_size, "sha256": ""}
    (train.path / "manifest.json").write_text(json.dumps(manifest))
    settings = {**METRICS, "alphas": [], "steps": [5], "teacher": True, "budget": 0}
    config = EvaluateConfig(benchmarks=WORLD, interpolate=settings)
    artifact = run(config, {"train": Artifact.load(train.path)}, tmp_path / "out")
    found = {each.candidate: each for each in read_points(artifact.file("tradeoff.json"))}
    assert [(each.alpha, each.step) for each in found.values()] == [(0, None), (1, None), (None, 5), (None, None)]
    same = {"before": "step_5", "after": "teacher"}  # they were made of the same weights
    for one, other in same.items():
        assert found[one].composition == found[other].composition
        assert found[one].retention == found[other].retention


def test_a_damaged_curve_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tradeoff.json").write_text("[]")
    with pytest.raises(DataError, match="holds no points"):
        read_points(tmp_path / "tradeoff.json")
