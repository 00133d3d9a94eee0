"""The loss curves are drawn from a metrics file as a run leaves it at any moment."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from degla.plots import _trailing_mean, plot_losses


def blue(path: Path) -> int:
    """Pixels in the colour of the curves."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - [0x1F, 0x6F, 0xEB]).sum(-1) < 30).sum())


@pytest.mark.parametrize("end", ["", '\n{"step": 41, "train/lo'], ids=["finished", "in the middle of a line"])
def test_every_part_is_a_panel_with_its_curve(tmp_path, end):
    lines = [{"step": s, "train/loss/total": 1 / s, "train/loss/distill": s / 40, "train/lr": 1.0} for s in range(1, 41)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + end)
    plot_losses(tmp_path / "metrics.jsonl", tmp_path / "losses.png")
    assert Image.open(tmp_path / "losses.png").size == (885, 517)  # as wide as the dashboard shows it
    assert blue(tmp_path / "losses.png") > 200
    assert (tmp_path / "losses.png").stat().st_size < 60_000


def test_the_bold_curve_is_the_mean_of_the_last_values():
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    for width in (1, 3, 10):
        expected = [np.mean(values[max(0, end - width) : end]) for end in range(1, len(values) + 1)]
        assert _trailing_mean(values, width) == pytest.approx(expected)


def test_before_the_first_line_nothing_is_drawn(tmp_path):
    plot_losses(tmp_path / "metrics.jsonl", tmp_path / "losses.png")
    assert not (tmp_path / "losses.png").exists()
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "train/loss/total": 2.0}\n')
    plot_losses(tmp_path / "metrics.jsonl", tmp_path / "losses.png")
    assert (tmp_path / "losses.png").exists()
