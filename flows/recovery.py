"""Runs whose process is gone: found by the server, and continued.

A run's process sends a heartbeat every 10 s while a stage works, and every 30 s in between. Two automations on the server mark a
run Crashed whose heartbeats stopped, or whose process never began; a third one, if asked for, runs a dead run again. They are
created by `make up`, or for a team's server by

    python -m flows.recovery [--reruns N]

A retried run, by hand or by itself, continues from its finished stages and units.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import Flow, get_run_logger, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import emit_event
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import Abort, Pause
from prefect.states import AwaitingRetry, Cancelled, Crashed

from degla.errors import ConfigError, DeglaError
from tasks.orders import BEAT, RUN, TAG

RERUNS = "DEGLA_RERUNS"
"""Environment variable: how often `make up` lets a crashed run be run again by itself; 0 if it is not set."""
DEAD, AGAIN = "degla: no heartbeat", "degla: rerun"
SILENCE = timedelta(seconds=55)  # five heartbeats of a stage missed, or one of Prefect's own and 25 s for a busy machine
BEGIN = timedelta(minutes=10)  # from Pending to Running; seconds, but the machine may have other work
LEFT = "degla.flow-run.left"
ENDED = {f"{RUN}{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed", "Scheduled", "AwaitingRetry", "Cancelling")}
SUSPENDED = {f"{RUN}Paused", f"{RUN}Suspended", LEFT}
_RECORDED = 10.0  # seconds: a busy server records the tasks that a run began only that long after it was told of them
_AGAIN = "automatic rerun, at most "
_AUTOMATIC = re.compile(rf"{_AGAIN}(\d+)")


class CrashLimitError(DeglaError):
    """A run crashed more often than it may be run again by itself."""


def automations(reruns: int) -> list[AutomationCore]:
    """The automations for dead runs; `reruns` is how often one is run again by itself, 0 for never.

    They rest on heartbeats and on what an automation did: on SQLite the server loses events of states, and holds back what
    follows them. The server refuses to mark an ended run Crashed, so only a run that was in progress is run again.
    """
    dead = _automation(
        DEAD,
        "Marks a run Crashed whose process is gone: 55 s after its last heartbeat.",
        _trigger(SILENCE, {BEAT} | ENDED | SUSPENDED, after={BEAT}),
        _crashed("Its process is gone: no heartbeat for 55 s. Nothing finished is lost; Retry continues it."),
    )
    unborn = _automation(
        "degla: never began",
        "Marks a run Crashed whose process was to be started and did not begin within ten minutes.",
        _trigger(BEGIN, {f"{RUN}Running", BEAT} | ENDED | SUSPENDED, after={f"{RUN}Pending"}),
        _crashed("Its process did not begin within ten minutes; Retry starts it."),
    )
    again = _automation(
        AGAIN,
        f"Runs a run again that `{DEAD}` marked Crashed.",
        EventTrigger(
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(),
            expect={"prefect.automation.action.executed"},
            match={"prefect.resource.name": DEAD},
        ),
        ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message=f"{_AGAIN}{reruns}"),
    )
    return [dead, unborn, *([again] if reruns else [])]


def ensure_automations(client: SyncPrefectClient, reruns: int) -> None:
    """Create or change the automations where they are not as they should be; those that are keep what they have counted."""
    if not reruns:
        for each in client.read_automations_by_name(AGAIN):
            client.delete_automation(each.id)
    for wanted in automations(reruns):
        found = client.read_automations_by_name(wanted.name)
        right = [each for each in found if _content(each) == _content(wanted)][:1]
        for each in found:
            if each not in right:
                client.delete_automation(each.id)
        if not right:
            client.create_automation(wanted)


def reruns_asked_for() -> int:
    """DEGLA_RERUNS, or 0. Raises ConfigError if it is no number of reruns."""
    text = os.environ.get(RERUNS) or "0"
    if not text.isdecimal():
        raise ConfigError(f"{RERUNS}={text!r}: give how often a dead run may be run again by itself, such as 1; 0 is never")
    return int(text)


def begin_attempt() -> bool:
    """Call when a run begins: closes the tasks of an earlier, killed attempt. Returns whether there was one.

    Raises:
        CrashLimitError: the run was started by itself, once too often.
    """
    if runtime.flow_run.id is None:
        return False
    run, client = UUID(runtime.flow_run.id), get_client(sync_client=True)
    states = sorted(client.read_flow_run_states(run), key=lambda state: state.timestamp)
    if sum(state.is_running() for state in states) < 2:
        return False
    close_tasks(client, run, _gone())
    check_reruns(states)
    get_run_logger().info("the run was begun before; finished stages and units are reused")
    return True


def check_reruns(states: Sequence[State]) -> None:
    """Raises CrashLimitError if the last attempt began by itself, once too often; `states` in the order of time."""
    reruns, asked, automatic = 0, None, None
    for state in states:
        if state.is_scheduled():  # the server may set it several times for one crash
            asked = _AUTOMATIC.search(state.message or "")
        elif state.is_running():
            reruns, automatic, asked = reruns + bool(asked), asked, None
    if automatic and reruns > (limit := int(automatic[1])):
        raise CrashLimitError(
            f"the run crashed after {limit} automatic reruns and is not started by itself any more. Find out why its process"
            " goes (its log, the machine's memory), then press Retry: nothing finished is lost"
        )


def close_tasks(client: SyncPrefectClient, run: UUID, state: State) -> None:
    """Give this state to the tasks of a run that its process left Running."""
    for task in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run]))):
        if task.state is None or not task.state.is_final():
            client.set_task_run_state(task.id, state, force=True)


def on_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Prefect's hook, called by the process that started the run: closes its tasks, and runs it again if that was asked for."""
    client, reruns = get_client(sync_client=True), reruns_asked_for()
    close_tasks(client, flow_run.id, _gone())
    if reruns and flow_run.deployment_id:
        client.set_flow_run_state(flow_run.id, AwaitingRetry(message=f"{state.message} {_AGAIN}{reruns}"))
        return
    time.sleep(_RECORDED)
    if client.read_flow_run(flow_run.id).state_type is StateType.CRASHED:  # else an attempt began, and closed them itself
        close_tasks(client, flow_run.id, _gone())


@contextmanager
def leaving() -> Iterator[None]:
    """When the process of a suspended or ended run ends here: close its tasks, and tell the automations to expect no more
    heartbeats."""
    try:
        yield
    except (Abort, Pause) as signal:
        run, name = UUID(runtime.flow_run.id), "Suspended" if isinstance(signal, Pause) else "Cancelled"
        close_tasks(get_client(sync_client=True), run, Cancelled(name=name, message="with its run, which can be continued"))
        emit_event(LEFT, resource={"prefect.resource.id": f"{RUN}{run}"})
        raise


def _gone() -> State:
    return Crashed(message="the process that ran it is gone")


def _trigger(within: timedelta, expect: set[str], after: set[str]) -> EventTrigger:
    return EventTrigger(
        posture=Posture.Proactive,
        threshold=1,
        within=within,
        after=after,
        expect=expect,
        match={"prefect.resource.id": [f"{RUN}*"]},
        match_related={"prefect.resource.id": f"prefect.tag.{TAG}"},  # runs of others may beat less often
        for_each={"prefect.resource.id"},
    )


def _crashed(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message)


def _automation(name: str, description: str, trigger: EventTrigger, action: ChangeFlowRunState) -> AutomationCore:
    return AutomationCore(name=name, description=description, trigger=trigger, actions=[action])


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(include={"description", "trigger", "actions"})


def main() -> int:
    """Create the automations on the server of PREFECT_API_URL; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.recovery", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--reruns", type=int, default=0, help="of a crashed run, by itself; 0 for none")
    options = parser.parse_args()
    with get_client(sync_client=True) as client:
        ensure_automations(client, options.reruns)
        print(f"automations for dead runs are in place on {client.api_url}; automatic reruns: at most {options.reruns}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
