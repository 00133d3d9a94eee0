"""Automatic reruns end at their limit; the automations look only at runs of this project."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Crashed, Pending, Running

from flows.recovery import CrashLimitError, automations, check_reruns
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
