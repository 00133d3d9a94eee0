"""The tables of a question, made of runs whose answers are known."""

from __future__ import annotations

import numpy as np

from degla.outcomes.measures import Measure
from degla.study.config import Question, Study
from degla.study.results import Group, Measured, Results
from degla.study.runs import END, START
from degla.study.tables import question_section

QUESTION = Question(title="Q", methods=("base", "both", "one", "opposite"), seeds=(1, 2), reference="base")
STUDY = Study.model_validate(
    {
        "name": "small",
        "preset": "demo",
        "checkpoints": {"first": (), "second": ()},
        "validation": (),
        "composition": "c",
        "retention": "r",
        "budget": 8,
        "tuning_seed": 9,
        "methods": {name: {"trials": [["train.lr=1e-4"]]} for name in QUESTION.methods},
        "questions": {"q": QUESTION},
    }
)
RIGHT = {
    "first": {"base": 100, "both": 150, "one": 150, "opposite": 150},
    "second": {"base": 100, "both": 140, "one": 101, "opposite": 50},
}
"""Items of 200 that a method has right after training."""


def run(right: int) -> Measured:
    def measure(count: int) -> Measure:
        return Measure("x/accuracy", (np.arange(200) < count,), 0.5, 0, ())

    return {START: {"c": measure(90), "r": measure(180)}, END: {"c": measure(right), "r": measure(170)}}


def test_a_difference_is_one_on_every_checkpoint_in_the_same_direction() -> None:
    groups = [
        Group(checkpoint, "", method, (run(right), run(right)))
        for checkpoint, methods in RIGHT.items()
        for method, right in methods.items()
    ]
    section = question_section(Results(STUDY, QUESTION, groups), 16, 16, {}).split("### Every checkpoint")[1]
    cells = {
        line.split("|")[1].strip(): [each.strip() for each in line.split("|")[2:4]]
        for line in section.splitlines()
        if "|" in line
    }
    assert "base" not in cells
    assert [each[:7] for each in cells["both"]] == ["**+25.0", "**+20.0"]
    assert [each[:5] for each in cells["one"]] == ["+25.0", "+0.5 "]
    assert [each[:5] for each in cells["opposite"]] == ["+25.0", "-25.0"]


def test_a_method_unfinished_on_a_checkpoint_has_no_row_over_all() -> None:
    groups = [Group("first", "", method, (run(right), run(right))) for method, right in RIGHT["first"].items()]
    section = question_section(Results(STUDY, QUESTION, groups), 8, 16, {})
    assert "**Unfinished: 8 of 16 runs.**" in section
    assert "Every checkpoint" not in section
