"""The answers of a study in one file: what is read is what was written, and a study that has it needs no artifacts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
import yaml

from degla.errors import DataError
from degla.outcomes.measures import Measure
from degla.study.answers import Answered, read_answers, write_answers
from degla.study.config import load_study
from degla.study.desk import Desk
from degla.study.preflight import plan_lines
from degla.study.results import Measured

RNG = np.random.default_rng(0)


def measured(*models: str, images: np.ndarray) -> Measured:
    def metrics() -> dict[str, Measure]:
        right, share = RNG.random(30) < 0.7, RNG.random(20)
        return {
            "a/accuracy": Measure("accuracy", (right,), 0.5, 0, images=(images,)),
            "a/mean": Measure("mean", (right, share), 0.5, 0, (0.25, 0.75)),
        }

    return {model: metrics() for model in models}


def hashes(items: int) -> np.ndarray:
    """Images as evaluate numbers them: five, each by all 64 bits, of which a float keeps 53."""
    return RNG.choice(RNG.integers(-(2**63), 2**63 - 1, 5), items)


def same(found: Measured, wanted: Measured) -> None:
    assert {model: set(metrics) for model, metrics in found.items()} == {model: set(metrics) for model, metrics in wanted.items()}
    for model, metrics in wanted.items():
        for name, measure in metrics.items():
            own = found[model][name]
            assert own.weights == measure.weights
            for column in ("parts", "images"):
                for one, other in zip(getattr(own, column), getattr(measure, column), strict=True):
                    np.testing.assert_array_equal(one, other)


def test_what_is_read_is_what_was_written_and_any_tool_can_average_it(tmp_path: Path) -> None:
    images = hashes(30)
    first = measured("before", "after", images=images)
    after = {"a/accuracy": Measure("accuracy", (np.ones(30, bool),), 0.5, 0, images=(images,))}
    second = {"before": first["before"], "after": after}
    path = tmp_path / "answers.parquet"
    write_answers(path, [Answered(("q/one", "p/one"), "11", first, 61.5), Answered(("q/two",), "22", second)])

    found = read_answers(path)
    assert {mark: (each.names, each.blind) for mark, each in found.items()} == {
        "11": (("q/one", "p/one"), 61.5),
        "22": (("q/two",), None),
    }
    same(found["11"].measured, first)
    same(found["22"].measured, second)

    columns = [name for name, *_ in duckdb.sql(f"describe select * from '{path}'").fetchall()]
    assert columns == ["metric", "part", "weight", "image", "q/one:before", "q/one:after", "q/two:after"]  # two starts are one
    averages = duckdb.sql(
        f"select avg(\"q/one:after\"), any_value(weight) from '{path}' where metric = 'a/mean' group by part order by part"
    )
    assert sum(value * weight for value, weight in averages.fetchall()) == pytest.approx(first["after"]["a/mean"].value)


def test_a_new_run_of_the_same_items_stands_beside_those_that_were_read(tmp_path: Path) -> None:
    path, images = tmp_path / "answers.parquet", hashes(30)
    first, second = (Answered((f"q/{name}",), name, measured("after", images=images)) for name in ("one", "two"))
    write_answers(path, [first])
    write_answers(path, [second, *read_answers(path).values()])
    found = read_answers(path)
    for each in (first, second):
        same(found[each.mark].measured, each.measured)


def test_runs_of_other_items_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    runs = [Answered((f"q/{name}",), name, measured("after", images=hashes(30))) for name in ("one", "two")]
    with pytest.raises(DataError, match="q/two was scored on other items of a/accuracy"):
        write_answers(path, runs)
    assert not path.exists()
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="holds no answers of a study"):
        read_answers(path)


SMALL = {
    "name": "small",
    "preset": "demo",
    "overrides": ["train.ranks=1", "train.zero_stage=0", "evaluate.pictures=0", "prepare.limit=60", "train.steps=2"],
    "checkpoints": {"start": []},
    "validation": [
        "evaluate.benchmarks=[{name: miniworld_composition, options: {split: validation, size: 12}},"
        " {name: miniworld_zeroshot, options: {split: validation, size: 12}}]"
    ],
    "test": [
        "evaluate.benchmarks=[{name: miniworld_composition, options: {size: 12}},"
        " {name: miniworld_zeroshot, options: {size: 12}}]"
    ],
    "composition": "miniworld_composition/mean_of_5/accuracy",
    "retention": "miniworld_zeroshot/mean_of_6/accuracy",
    "budget": 8,
    "tuning_seed": 9,
    "methods": {"negclip": {"overrides": ["train.objective=negclip"], "trials": [["train.lr=1e-4"]]}},
    "questions": {
        "q": {
            "title": "Q",
            "methods": ["negclip"],
            "seeds": [10],
            "axis": "false negatives, %",
            "variants": [{"name": "0"}, {"name": "20", "planted": {"holds": 0.2}}],
        }
    },
}


def saved(folder: Path, **changes: object) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return path


def run(study: Path, home: Path) -> Path:
    """The study's folder."""
    command = [sys.executable, "-m", "degla.study", "run", str(study), "--at-once", "2"]
    subprocess.run(command, check=True, env={**os.environ, "DEGLA_HOME": str(home)})
    return home / "studies" / "small"


@pytest.mark.slow
def test_a_study_goes_on_from_its_answers_where_no_artifact_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = saved(tmp_path)
    first = run(study, tmp_path / "first")
    assert "Unfinished" not in (first / "study.md").read_text()

    elsewhere = tmp_path / "second"
    second = elsewhere / "studies/small"
    second.mkdir(parents=True)
    for name in ("choices.json", "answers.parquet"):
        (second / name).write_bytes((first / name).read_bytes())
    assert run(study, elsewhere) == second
    assert not (elsewhere / "train").exists()
    for name in ("study.md", "results.json", "choices.json"):
        assert (second / name).read_bytes() == (first / name).read_bytes()

    monkeypatch.setenv("DEGLA_HOME", str(elsewhere))
    more = {**SMALL["questions"]["q"], "seeds": [10, 11]}  # type: ignore[index]
    assert "            q: 4 runs, 2 finished" in list(plan_lines(Desk(load_study(str(saved(tmp_path, questions={"q": more}))))))

    shorter = [*SMALL["overrides"], "train.steps=1"]  # type: ignore[misc]
    other = Desk(load_study(str(saved(tmp_path, overrides=shorter))))
    assert "            q: 2 runs, 0 finished" in list(plan_lines(other))
    assert "**Unfinished: 0 of 2 runs.**" in other.write()
    assert len(list(second.glob("answers-*.parquet"))) == 1
