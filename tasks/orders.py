"""What the server says of a run, heeded by the run's own process while a stage works; and how to do without the server.

Prefect ends a run through the process that started it, which signals the run's process. Where that process is gone nobody else
would hear of a cancel; of a suspended run Prefect asks only between tasks; and a server that was away takes the runs whose
heartbeats it missed for dead. Prefect sends them every 30 s at most; here they are sent oftener, so that a run whose process is
gone is told from one that is late within a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import Abort, Pause
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Running
from rich.console import Console

TAG = "degla"
"""Every deployment's tag, which its runs and their events carry."""
RUN = "prefect.flow-run."
BEAT = f"{RUN}heartbeat"

INTERVAL = 5.0
BEAT_INTERVAL = 10.0
PATIENCE = 10.0  # seconds for the process that started the run, which hears of a cancel at once
AWAY_HOURS = 12


class Orders:
    """Looks at the state of the current run every five seconds, and sends its heartbeats; without a flow run it does nothing."""

    def __init__(self) -> None:
        # Prefect logs to a pipe that the process which started the run reads; when that is gone, rich would end this one
        Console.on_broken_pipe = _be_quiet  # type: ignore[assignment,method-assign]
        self._run = runtime.flow_run.id
        self._last = self._beaten = time.monotonic()
        self._cancelled_at: float | None = None

    def __call__(self) -> None:
        """Look, if it is time.

        Raises:
            Pause: the run was suspended. Its process ends, and Resume continues it.
            Abort: it was cancelled or ended by somebody. Its process ends.
        """
        now = time.monotonic()
        if self._run and now - self._beaten >= BEAT_INTERVAL:
            self._beaten = now
            tag = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
            emit_event(BEAT, resource={"prefect.resource.id": f"{RUN}{self._run}"}, related=[tag])
        if self._run and now - self._last >= INTERVAL:
            self._last = now
            try:
                with impatient():
                    state = get_client(sync_client=True).read_flow_run(UUID(self._run)).state
            except httpx.HTTPError:
                return  # it is away; what it said waits for it
            if state is not None:
                self._heed(state, now)

    def _heed(self, state: State, now: float) -> None:
        if state.is_paused() and state.state_details.pause_reschedule:
            raise Pause(state=state)
        if state.is_cancelling():
            self._cancelled_at = self._cancelled_at or now
            if now - self._cancelled_at > PATIENCE:
                self._set(Cancelled(message="cancelled; the process that started the run is gone, so the run ended itself"))
                raise Abort("cancelled")
        elif state.is_crashed() or state.is_scheduled():
            get_run_logger().warning("the run was taken for dead (%s); it goes on", state.message)
            self._set(Running(message="it was taken for dead, but its process works"))
        elif state.is_final():
            raise Abort(f"the run was set to {state.name}")

    def _set(self, state: State) -> None:
        get_client(sync_client=True).set_flow_run_state(UUID(self._run), state, force=True)


def _be_quiet(console: Console) -> None:
    console.quiet = True


@contextmanager
def impatient() -> Iterator[None]:
    """Ask the server once. Prefect's client would try for a minute, and a stage is watched meanwhile."""
    with temporary_settings(updates={PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


def await_server() -> None:
    """Wait until the server answers, at most 12 hours; what a run does next needs it."""
    end, client, told = time.monotonic() + AWAY_HOURS * 3600, get_client(sync_client=True), False
    with impatient():
        while (error := client.api_healthcheck()) and time.monotonic() < end:
            if not told:
                get_run_logger().warning("Prefect's server does not answer (%s); the run waits for it", error)
                told = True
            time.sleep(INTERVAL)
