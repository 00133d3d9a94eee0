"""Trade-off curves: of one run in the scorecard, of several on one plot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_report import finished

from degla.artifacts import Artifact
from degla.errors import ConfigError, MissingInputError
from degla.files import write_text_atomic
from degla.report.tradeoff.__main__ import main
from degla.report.tradeoff.plot import plot_tradeoff
from degla.report.tradeoff.runs import Run, check_comparable
from degla.report.tradeoff.text import comparison, tradeoff_section
from degla.tradeoff import Interval, TradeOffPoint, write_points


def evaluation(folder: Path, changes: Sequence[tuple[float, float]], chosen: int, retention: str = "zero_shot") -> Artifact:
    """A finished evaluation whose candidates change composition and retention by so many points."""
    folder.mkdir()
    points = []
    for number, (gain, kept) in enumerate(changes):
        made = {"composition": 60 + gain, "composition_change": gain, "retention": 80 + kept, "retention_change": kept}
        estimates = {
            name: Interval(value=value / 100, low=value / 100 - 0.01, high=value / 100 + 0.01) for name, value in made.items()
        }
        alpha = number / (len(changes) - 1)
        points.append(
            TradeOffPoint(run="x", candidate=f"c{number}", alpha=alpha, step=None, chosen=number == chosen, **estimates)
        )
    write_points(folder / "tradeoff.json", points)
    selection = f'{{"composition": ["a"], "retention": ["{retention}"], "validation": 0.5, "budget": 2, "reason": "c1 is best"}}'
    write_text_atomic(folder / "selection.json", selection)
    return finished(folder, "evaluate", {}, ["tradeoff.json", "selection.json"])


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    first = evaluation(tmp_path / "first", [(0, 0), (6, -1), (8, -4)], chosen=1)
    second = evaluation(tmp_path / "second", [(0, 0), (2, -1), (9, -2)], chosen=1)
    return [Run.of(first, "first"), Run.of(second, "second")]


def test_one_run_is_a_section_with_what_was_chosen_and_the_mean_gain(runs: list[Run]) -> None:
    text = tradeoff_section(runs[0])
    assert "Chosen: c1 is best. That was on 50 % of the images" in text
    assert "Mean gain over budgets up to 4.0 points: 4.5." in text  # 6 over three of four points of loss
    assert "| **c1** (chosen) | 66.0 | +6.0 (+5.0 to +7.0) | 79.0 | -1.0 (-2.0 to +0.0) | yes |" in text


def test_several_runs_have_their_areas_over_the_largest_loss_of_any(runs: list[Run]) -> None:
    check_comparable(runs)
    text = comparison(runs, 4.0)
    assert "| first | 4.50 | 18.0 | +0.00 |" in text
    assert "| second | 5.00 | 20.0 | +0.50 |" in text  # 2 over one point, 9 over two


def test_the_picture_names_its_points_and_has_equal_bytes_for_equal_runs(runs: list[Run], tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plot_tradeoff(runs, tmp_path / name, limit=4.0, budget=2)
    picture = (tmp_path / "a.svg").read_text()
    assert picture == (tmp_path / "b.svg").read_text()
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", picture)
    assert {"first: mean gain 4.5 over budgets up to 4.0", "budget 2", "0.5"} <= set(texts)


def test_runs_that_cannot_be_compared_are_refused(runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Run.of(evaluation(tmp_path / "other", [(0, 0), (1, 0)], 0, retention="retrieval"), "other")
    with pytest.raises(ConfigError, match=r"different evaluate.interpolate.retention \(\['zero_shot'\] and \['retrieval'\]\)"):
        check_comparable([*runs, other])
    with pytest.raises(ConfigError, match="two runs are called 'first'"):
        check_comparable([runs[0], runs[0]])
    (tmp_path / "plain").mkdir()
    with pytest.raises(MissingInputError, match="has no tradeoff.json: run evaluate with evaluate.interpolate"):
        Run.of(finished(tmp_path / "plain", "evaluate", {}, []))
    assert main([f"a={tmp_path / 'first'}", "--up-to", "0"]) == 2
    assert "--up-to must be above 0 points" in capsys.readouterr().err
    assert main([f"a={tmp_path / 'first'}", str(tmp_path / "nothing")]) == 2
    assert "holds no finished artifact" in capsys.readouterr().err
