"""What a run's process does when the server says that it is suspended, cancelled, ended or dead."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.exceptions import Abort, Pause
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Paused, Running, Scheduled, Suspended

from tasks import orders


class FakeServer:
    """Says one state, and keeps what it is told."""

    def __init__(self, state: State | None) -> None:
        self.state, self.told = state, []

    def read_flow_run(self, _run: object) -> SimpleNamespace:
        if self.state is None:
            raise httpx.ConnectError("away")
        return SimpleNamespace(state=self.state)

    def set_flow_run_state(self, _run: object, state: State, force: bool) -> None:
        self.told.append(state.type)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch):
    """A function: what the server is told when the process looks at this state now and again some seconds later."""

    def run(state: State | None, seconds: float = 0.0) -> list[StateType]:
        server = FakeServer(state)
        monkeypatch.setattr(orders, "get_client", lambda sync_client: server)
        monkeypatch.setattr(orders, "get_run_logger", lambda: SimpleNamespace(warning=lambda *_: None))
        monkeypatch.setattr(orders, "INTERVAL", 0.0)
        monkeypatch.setattr(orders, "runtime", SimpleNamespace(flow_run=SimpleNamespace(id=str(uuid4()))))
        monkeypatch.setattr(orders, "PATIENCE", -1.0 if seconds > 10 else 1e9)
        orders.Orders()()
        return server.told

    return run


def test_heartbeats_are_sent_oftener_than_prefects_also_while_the_server_is_away(look, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(orders, "emit_event", lambda event, resource, related: sent.append(f"{event} {resource} {related}"))
    look(None)
    assert sent == []  # it began just now
    monkeypatch.setattr(orders, "BEAT_INTERVAL", 0.0)
    look(None)
    assert len(sent) == 1
    assert sent[0].startswith("prefect.flow-run.heartbeat {'prefect.resource.id': 'prefect.flow-run.")
    assert "prefect.tag.degla" in sent[0]


@pytest.mark.parametrize("state", [Running(), None, Cancelling(), Paused()])
def test_the_stage_goes_on(look, state: State | None) -> None:
    assert look(state) == []


@pytest.mark.parametrize("state", [Crashed(), Scheduled()])
def test_a_run_that_was_taken_for_dead_says_that_it_lives(look, state: State) -> None:
    assert look(state) == [StateType.RUNNING]


def test_a_suspended_run_ends_its_process_and_stays_suspended(look) -> None:
    with pytest.raises(Pause):
        look(Suspended(state_details=StateDetails(pause_reschedule=True)))


@pytest.mark.parametrize("state", [Cancelled(), Completed()])
def test_a_run_that_somebody_ended_ends_its_process(look, state: State) -> None:
    with pytest.raises(Abort):
        look(state)


def test_a_cancel_that_nobody_else_hears_ends_the_process(look) -> None:
    with pytest.raises(Abort):
        look(Cancelling(), seconds=11)
