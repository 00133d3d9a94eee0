"""The shortcut meter: the four real models of BiVLC, each verdict on made outcomes, and how seldom nothing becomes something."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from test_outcomes import BIVLC, MODELS, SUGARCREPE

from degla.artifacts import Artifact
from degla.evaluate import EvaluateConfig, run
from degla.outcomes.intervals import Z95, difference
from degla.outcomes.outcome import Outcome, outcomes_of
from degla.outcomes.shortcut import Verdict, as_markdown, read_verdicts, verdicts
from degla.outcomes.table import OUTCOMES, to_items

SharedData = Callable[[str], Path]

HALVES = {"text_original": ["{model}:text_score_i0"], "text_rewritten": ["{model}:text_score_i1"]}
NUMBER = 400


def outcomes(model: str, shares: Mapping[str, float], seed: int = 0) -> list[Outcome]:
    """Outcomes with a share of right items for each `benchmark:kind`; the same items are right first in every model."""
    order = np.random.default_rng(seed).permutation(NUMBER)
    found = []
    for benchmark in dict.fromkeys(name.split(":")[0] for name in shares):
        rows = [
            {"benchmark": benchmark, "subset": "all", "item": str(n), "model": model, "right": bool(place < share * NUMBER)}
            | {"kind": name.split(":")[1], "image": str(n), "targets": 1, "candidates": 2}
            for name, share in shares.items()
            if name.split(":")[0] == benchmark
            for n, place in enumerate(order)
        ]
        table = pa.Table.from_pylist([dict.fromkeys(OUTCOMES.names) | each for each in rows], schema=OUTCOMES)
        found.append(Outcome(model, benchmark, to_items(table)))
    return found


def verdict(before: Mapping[str, float], after: Mapping[str, float]) -> Verdict:
    (found,) = verdicts([*outcomes("before", before), *outcomes("after", after)])
    return found


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Artifact]:
    made: dict[Path, Artifact] = {}

    def make(folder: Path) -> Artifact:
        if folder not in made:
            bivlc = BIVLC | {"path": str(folder / "bivlc_outcomes.csv"), "right": BIVLC["right"] | HALVES}
            refs = [bivlc, {"path": str(folder / "sugarcrepe_outcomes.csv"), **SUGARCREPE}]
            out_dir = tmp_path_factory.mktemp("four") / "out"
            made[folder] = run(EvaluateConfig(outcomes=refs, trained=False, benchmarks=[]), {}, out_dir)
        return made[folder]

    return make


def test_the_four_real_models_are_judged_as_the_paper_of_bivlc_does(
    four: Callable[[Path], Artifact], shared_data: SharedData
) -> None:
    found = {each.model: each for each in read_verdicts(four(shared_data("bivlc")))}
    assert list(found) == MODELS[1:]
    assert {model: each.verdict for model, each in found.items()} == {
        "CLIP_COCO": "holds",
        "CLIP_TROHN-Text": "shortcut",
        "CLIP_TROHN-Img": "holds",
    }
    text = found["CLIP_TROHN-Text"]
    against = {(each.against, each.test): each for each in text.evidence}
    group = against["CLIP_COCO", "BiVLC, both directions"]
    assert (100 * group.value, 100 * group.against_value) == (pytest.approx(57.48, abs=0.01), pytest.approx(60.96, abs=0.01))
    assert group.loses
    choices = against["CLIP_COCO", "SugarCrepe"]
    assert (100 * choices.value, choices.gains) == (pytest.approx(93.40, abs=0.01), True)
    assert "over CLIP_COCO SugarCrepe +8.7" in text.sentence
    assert "BiVLC, both directions -3.5" in text.sentence
    # its preference for captions shows against its own start too: given the image of the rewrite it takes the caption
    assert against["ViT-B-32", "BiVLC, given the image of the rewrite"].loses
    assert against["ViT-B-32", "BiVLC, given the image of the caption"].gains
    assert "over ViT-B-32 SugarCrepe +16.8" in found["CLIP_TROHN-Text"].sentence
    assert "BiVLC, both directions +11.9" in found["CLIP_COCO"].sentence
    assert "BiVLC, both directions +20.2" in found["CLIP_TROHN-Img"].sentence
    assert all("text alone: 86.7 % of SugarCrepe" in each.sentence for each in found.values())


def test_the_published_three_scores_are_enough_for_the_same_verdicts(
    four: Callable[[Path], Artifact], shared_data: SharedData
) -> None:
    artifact = four(shared_data("bivlc"))
    halves = pa.array(list(HALVES))
    made = [
        Outcome(each.model, each.benchmark, each.items.filter(pc.invert(pc.is_in(each.items["kind"], halves))))
        for each in outcomes_of(artifact.path)
    ]
    made.sort(key=lambda each: MODELS.index(each.model))
    found = verdicts(made)
    assert [each.verdict for each in found] == ["holds", "shortcut", "holds"]
    assert found[1].sentence.startswith("CLIP_TROHN-Text learned a shortcut: over CLIP_COCO SugarCrepe +8.7")
    assert "## Shortcut or understanding\n\n- CLIP_COCO: the gain holds" in artifact.file("comparison.md").read_text()


def test_the_evidence_is_the_paired_difference_at_the_level_of_all_comparisons(
    four: Callable[[Path], Artifact], shared_data: SharedData
) -> None:
    artifact = four(shared_data("bivlc"))
    (text,) = [each for each in read_verdicts(artifact) if each.model == "CLIP_TROHN-Text"]
    assert text.comparisons == 3 * 3  # SugarCrepe, group and the rewrite's image, against three models
    parts = []
    for model in ("CLIP_COCO", "CLIP_TROHN-Text"):
        rows = pq.read_table(artifact.path / f"items/{model}/bivlc.parquet").to_pylist()
        parts.append(np.array([row["correct"] for row in rows if row["kind"] == "group"]))
    slow = sum(int(new) - int(old) for old, new in zip(*parts, strict=True)) / len(parts[0])
    (found,) = [each for each in text.evidence if (each.against, each.test) == ("CLIP_COCO", "BiVLC, both directions")]
    assert (found.change, found.items) == (pytest.approx(slow), 2933)
    plain = difference([parts[0]], [parts[1]])
    assert (found.high - found.low) / (plain.high - plain.low) == pytest.approx(2.7729 / Z95, rel=1e-3)  # at 1 - 0.05 / 9
    raw = json.loads(artifact.file("shortcut.json").read_text())
    assert {"model", "verdict", "sentence", "evidence", "comparisons", "text_only", "would_tell", "rule"} == set(raw[0])


@pytest.mark.parametrize(
    ("after", "expected", "said"),
    [
        ({"sugarcrepe:choice": 0.9, "bivlc:group": 0.3}, "shortcut", "learned a shortcut: over before SugarCrepe +20.0"),
        ({"sugarcrepe:choice": 0.9, "bivlc:group": 0.7}, "holds", "the gain holds where text alone cannot win"),
        ({"sugarcrepe:choice": 0.9, "bivlc:group": 0.505}, "open", "not shown that the gain carries over"),
        ({"sugarcrepe:choice": 0.705, "bivlc:group": 0.7}, "no_gain", "has no gain to explain: over before SugarCrepe +0.5"),
        ({"sugarcrepe:choice": 0.5, "bivlc:group": 0.3}, "no_gain", "has no gain to explain"),
        ({"sugarcrepe:choice": 0.9, "cola:image": 0.3}, "shortcut", "but cola, text to image -20.0"),
        ({"sugarcrepe:choice": 0.9}, "untested", "may be a shortcut: over before SugarCrepe +20.0"),
        (
            {"bivlc:group": 0.7},
            "untested",
            "too little to tell a shortcut; SugarCrepe or other captions with rewrites would tell",
        ),
        ({"sugarcrepe:choice": 0.9, "sugarcrepe_pp:tot": 0.2, "bivlc:group": 0.7}, "shortcut", "paraphrases by text -30.0"),
        ({"sugarcrepe:choice": 0.9, "sugarcrepe_pp:tot": 0.5, "bivlc:group": 0.7}, "holds", "(not shown in SugarCrepe++, para"),
        ({"sugarcrepe:choice": 0.9, "cifar10:classification": 0.6, "bivlc:group": 0.7}, "holds", "; zero-shot -30.0 (-"),
    ],
)
def test_the_rule(after: dict[str, float], expected: str, said: str) -> None:
    start = {
        "sugarcrepe:choice": 0.7,
        "bivlc:group": 0.5,
        "sugarcrepe_pp:tot": 0.5,
        "cola:image": 0.5,
        "cifar10:classification": 0.9,
    }
    found = verdict({name: start[name] for name in after}, after)
    assert found.verdict == expected, found.sentence
    assert said in found.sentence
    assert found.sentence.count(". ") == 0
    assert found.sentence.endswith(".")


def test_text_alone_wins_word_order_and_halves_of_a_pair_decide_nothing() -> None:
    before = {"coco_word_order:choice": 0.5, "bivlc:text_original": 0.5, "sugarcrepe:choice": 0.7}
    made = outcomes("before", before) + outcomes(
        "after", {"coco_word_order:choice": 0.9, "bivlc:text_original": 0.1, "sugarcrepe:choice": 0.9}
    )
    found = verdicts([_named_as_order(each) if "order" in each.benchmark else each for each in made])[0]
    assert found.verdict == "untested"
    assert {each.asks for each in found.evidence} == {"texts", "word_order", "direction"}
    assert found.comparisons == 1


def _named_as_order(outcome: Outcome) -> Outcome:
    items = outcome.items
    renamed = pa.array(["word_order"] * items.num_rows)
    return Outcome(outcome.model, outcome.benchmark, items.set_column(0, items.schema.field(0), renamed))


def test_several_zero_shot_sets_are_one_mean() -> None:
    names = ("sugarcrepe:choice", "cifar10:classification", "imagenet:classification")
    found = verdict(dict.fromkeys(names, 0.8), dict(zip(names, (0.9, 0.7, 0.5), strict=True)))
    (zero_shot,) = [each for each in found.evidence if each.asks == "zero_shot"]
    assert (zero_shot.test, zero_shot.change) == ("zero-shot, mean of 2 sets", pytest.approx(-0.2))
    assert "zero-shot, mean of 2 sets -20.0" in found.sentence


def test_models_of_another_size_are_no_base() -> None:
    made = [
        outcomes(name, {"sugarcrepe:choice": share, "bivlc:group": 0.5})
        for name, share in (("large", 0.6), ("small", 0.7), ("tuned", 0.9))
    ]
    flat = [each for own in made for each in own]
    found = verdicts(flat, {"large": "L", "small": "B", "tuned": "B"})
    assert [each.model for each in found] == ["tuned"]
    assert {each.against for each in found[0].evidence} == {"small"}
    assert [each.model for each in verdicts(flat)] == ["small", "tuned"]
    assert verdicts(made[0]) == []
    assert as_markdown([]) == ""


def test_many_models_are_compared_with_the_base_alone() -> None:
    made = [each for n in range(12) for each in outcomes(f"m{n}", {"sugarcrepe:choice": 0.5 + n / 50})]
    found = verdicts(made)
    assert len(found) == 11
    assert {each.against for one in found for each in one.evidence} == {"m0"}
    few = verdicts(made[:10])
    assert {each.against for each in few[-1].evidence} == {f"m{n}" for n in range(9)}


def test_models_without_common_items_are_not_compared() -> None:
    first, (second,) = outcomes("before", {"sugarcrepe:choice": 0.7}), outcomes("after", {"sugarcrepe:choice": 0.9})
    items = second.items.set_column(2, second.items.schema.field(2), pa.array([f"x{n}" for n in range(NUMBER)]))
    found = verdicts([*first, Outcome("after", "sugarcrepe", items)])[0]
    assert (found.verdict, found.evidence) == ("untested", [])
    assert found.would_tell[1].startswith("BiVLC, SugarCrepe++")
    assert all(each in found.sentence for each in found.would_tell)


def test_equal_models_are_seldom_called_shortcuts_however_many_are_compared() -> None:
    rng, blamed = np.random.default_rng(0), 0
    made = [each for model in "abcd" for each in outcomes(model, {"sugarcrepe:choice": 0.7, "bivlc:group": 0.5})]
    for _ in range(12):
        drawn = []
        for each in made:
            right = pa.array(rng.random(NUMBER) < (0.7 if each.benchmark == "sugarcrepe" else 0.5))
            place = each.items.schema.get_field_index("correct")
            items = each.items.set_column(place, each.items.schema.field(place), right)
            drawn.append(Outcome(each.model, each.benchmark, items))
        blamed += any(each.verdict == "shortcut" for each in verdicts(drawn))
    assert blamed == 0
