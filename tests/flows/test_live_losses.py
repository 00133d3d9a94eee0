"""The losses of a run that is still going, as the dashboard's server holds them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from degla.plots import plot_losses
from tasks.dashboard import ProgressReporter

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def shown() -> list[bytes]:
    """The pictures that the server has in the card of the run."""
    own = ArtifactFilterFlowRunId(any_=[UUID(runtime.flow_run.id)])
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["train"]), flow_run_id=own)
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return [base64.b64decode(item.data.removeprefix("![losses](data:image/png;base64,").removesuffix(")")) for item in found]


def draw(folder: Path, steps: int) -> bytes:
    lines = [json.dumps({"step": step, "train/loss/total": 1 / step}) for step in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    plot_losses(folder / "metrics.jsonl", folder / "losses.png")
    os.utime(folder / "losses.png", (steps, steps))
    return (folder / "losses.png").read_bytes()


@flow
def train_for_a_while(folder: Path) -> None:
    reporter = ProgressReporter("train", folder)
    reporter.look()
    assert shown() == []
    for steps in (3, 30):
        picture = draw(folder, steps)
        reporter.look()
        reporter.look()
        assert shown() == [picture]


def test_one_artifact_shows_the_losses_as_they_are_drawn_anew(tmp_path: Path) -> None:
    train_for_a_while(tmp_path)
