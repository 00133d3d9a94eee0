"""Automatic reruns end at their limit; the automations look only at runs of this project."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from launched import tasks_of
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Crashed, Pending, Running

from flows import recovery
from flows.recovery import CrashLimitError, automations, check_reruns, on_crashed
from tasks.orders import TAG

AGAIN = automations(2)[-1].actions[0].message


def crashed_and_run_again(times: int) -> list[State]:
    asked = AwaitingRetry(message=AGAIN)
    return [Running(), *[Crashed(), asked, asked, Pending(), Running()] * times]  # asked for twice, as seen on a busy server


def test_a_run_is_run_again_by_itself_as_often_as_asked_for_and_by_hand_ever_after() -> None:
    check_reruns(crashed_and_run_again(2))
    with pytest.raises(CrashLimitError, match="crashed after 2 automatic reruns"):
        check_reruns(crashed_and_run_again(3))
    check_reruns([*crashed_and_run_again(3), Crashed(), AwaitingRetry(), Running()])


def test_runs_of_others_are_left_alone_and_nothing_is_rerun_unless_asked_for() -> None:
    assert {each.actions[0].name for each in automations(0)} == {"Crashed"}
    for each in automations(0):
        assert each.trigger.match_related.root == {"prefect.resource.id": f"prefect.tag.{TAG}"}


@flow
def killed() -> None:
    """A run whose process goes."""


@task
def begun() -> None:
    """A task that it left Running."""


@pytest.mark.parametrize("retried", [False, True])
def test_a_task_that_a_busy_server_records_late_is_closed_unless_a_new_attempt_began(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch, retried: bool
) -> None:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(killed, state=Running())
        client.create_task_run(begun, run.id, "0", state=Running())
        client.set_flow_run_state(run.id, crashed := Crashed(), force=True)

        def late(_: float) -> None:
            client.create_task_run(begun, run.id, "1", state=Running())
            if retried:
                client.set_flow_run_state(run.id, Running(), force=True)

        monkeypatch.setattr(recovery, "time", SimpleNamespace(sleep=late))
        on_crashed(killed, client.read_flow_run(run.id), crashed)
        assert tasks_of(client, run.id) == ["Crashed", "Running" if retried else "Crashed"]
