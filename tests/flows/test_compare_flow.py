"""The comparison as a flow, on a real Prefect server, with the real command in a child process."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.compare import compare
from tasks.narrow import narrow

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def outcomes(path: Path, **models: list[int]) -> str:
    rows = [
        {"benchmark": "own", "subset": "all", "item": str(number), "model": model, "right": bool(right)}
        for model, answers in models.items()
        for number, right in enumerate(answers)
    ]
    path.write_text(json.dumps(rows))
    return str(path)


def test_the_flow_writes_the_files_and_shows_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEGLA_HOME", str(tmp_path))
    monkeypatch.setenv("DEGLA_RETRY_SECONDS", "0")
    first = outcomes(tmp_path / "first.json", ours=[1] * 30 + [0] * 10)
    second = outcomes(tmp_path / "second.json", theirs=[1] * 10 + [0] * 30)
    state = compare([first, f"other={second}"], baseline="theirs", formats=["csv"], return_state=True)
    assert state.is_completed(), state.message
    files = {Path(path).name: Path(path) for path in state.result()}
    assert set(files) == {"comparison.md", "scores.csv"}
    assert files["scores.csv"].parent.parent == tmp_path / "compare"
    with files["scores.csv"].open() as file:
        (row,) = [each for each in csv.DictReader(file) if each["model"] == "ours"]
    assert (row["metric"], row["difference"], row["fixed"], row["broken"]) == ("own/all/accuracy", "50.0", "20", "0")
    run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (shown,) = client.read_artifacts(flow_run_filter=run_filter)
        named = client.read_flow_run(state.state_details.flow_run_id).name
    assert (shown.key, shown.data) == ("comparison", narrow(files["comparison.md"].read_text()))
    assert named == "compare | first.json | second.json"

    refused = compare([first], return_state=True)
    assert refused.is_failed()
    assert "there is one model, ours: name another run or a published row" in refused.message

    lacking = compare(return_state=True)
    assert f"no finished evaluation below {tmp_path}. Make one with" in lacking.message
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(lacking.state_details.flow_run_id).name == "compare | last 5"
