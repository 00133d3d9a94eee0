"""What a run prints fits the terminal, and progress is whole: its end says how fast it goes."""

from types import SimpleNamespace
from uuid import uuid4

import pytest

from flows.local.console import RunView

PROGRESS = (
    "training: 30/900 steps (3 %), 2.01/s, 7 min 13 s left, loss 1.005 (contrastive 0.737, igc 1.074, tgc"
    " 1.175, distill 0.033), 140 samples/s, lr 4.2e-04, 0.9 GiB"
)


class Client:
    """A server that knows the progress of the stage train."""

    def read_artifacts(self, **_):
        return [SimpleNamespace(key="train-progress", created=1, description=PROGRESS)]


@pytest.mark.parametrize("columns", [80, 140, 400])
def test_progress_is_wrapped_and_not_cut(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = []
    view = RunView(Client(), uuid4(), said.append)
    view._running, view._progress_at = "train", -1e9
    view._show_progress()
    (text,) = said
    assert all(len(line) <= columns and line.startswith(" " * 12) for line in text.split("\n"))
    assert " ".join(text.split()) == PROGRESS
    view._progress_at = -1e9
    view._show_progress()
    assert len(said) == 1, "the same progress is not said twice"
