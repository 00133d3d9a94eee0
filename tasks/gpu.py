"""One stage on a GPU at a time: a slot of Prefect's global concurrency limit `gpu`, held while a stage may use a GPU.

Without the limit (`prefect gcl create gpu --limit 1`; `make up` creates it) stages do not wait. The slot is a lease that is
renewed as long as its holder lives; of one that was killed, the server frees it within LEASE_SECONDS and 15 s more. Prefect's
own `concurrency` gives a slot up after three failed renewals, so a stage would lose it while the server restarts.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger, runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLeaseHolder

from degla.config import StageConfig
from degla.filter import FilterConfig
from degla.generate import GenerateConfig
from degla.generate.config import WITH_ENGINE
from degla.progress import duration
from tasks.orders import Orders

LIMIT = "gpu"
LEASE_SECONDS = 60  # the shortest that the server takes
RENEW_SECONDS = 15.0
POLL_SECONDS = 3.0
SHOW_SECONDS = 30.0


def may_use_gpu(config: StageConfig) -> bool:
    """Whether a stage with these settings uses a GPU where there is one."""
    if isinstance(config, GenerateConfig):
        return bool(WITH_ENGINE & set(config.attempts))
    if isinstance(config, FilterConfig):
        return config.veto is not None
    return config.stage in ("train", "evaluate")


def machine_has_gpu() -> bool:
    """Whether this machine has a GPU of NVIDIA and lets this process use it."""
    return Path("/dev/nvidiactl").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")


@contextmanager
def gpu_slot(config: StageConfig) -> Iterator[None]:
    """Hold a slot of the limit while a stage with these settings runs, if it may use a GPU of this machine.

    It waits for the slot, and says so in the log and as the artifact `gpu-progress`.
    """
    if not (may_use_gpu(config) and machine_has_gpu()):
        yield
        return
    lease = _Lease(UUID(runtime.flow_run.id))
    with get_client(sync_client=True) as client:
        if not lease.take(client):
            _wait(client, lease, config.stage)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with get_client(sync_client=True) as client:
            lease.release(client)


class _Lease:
    """A slot of the limit, or nothing if there is no such limit."""

    def __init__(self, run: UUID) -> None:
        self._holder = ConcurrencyLeaseHolder(type="flow_run", id=run)
        self._id: UUID | None = None

    def take(self, client: SyncPrefectClient) -> bool:
        """Whether a slot was free, or there is no limit. A server that does not answer has none."""
        try:
            answer = client.increment_concurrency_slots_with_lease([LIMIT], 1, "concurrency", LEASE_SECONDS, self._holder).json()
        except httpx.HTTPError:
            return False
        self._id = UUID(answer["lease_id"]) if answer["limits"] else None
        return True

    def renew(self, client: SyncPrefectClient) -> bool:
        """Whether the slot is still held; one that expired while the server was away is taken again if it is free."""
        if self._id is None:
            return True
        try:
            client.renew_concurrency_lease(self._id, LEASE_SECONDS)
        except httpx.HTTPStatusError as error:
            return error.response.status_code != httpx.codes.GONE or self.take(client)
        except httpx.HTTPError:
            return True  # the server is away; the lease may live
        return True

    def release(self, client: SyncPrefectClient) -> None:
        if self._id is not None:
            with suppress(httpx.HTTPError):  # the server frees it when it expires
                client.release_concurrency_slots_with_lease(self._id)


def _renew(lease: _Lease, ended: threading.Event) -> None:
    with get_client(sync_client=True) as client:
        while not ended.wait(RENEW_SECONDS):
            lease.renew(client)


def _wait(client: SyncPrefectClient, lease: _Lease, stage: str) -> None:
    begin, shown, orders = time.monotonic(), 0.0, Orders()
    get_run_logger().info("%s", text := f"{stage} waits for a GPU{_others(client)}")
    progress = cast(UUID, create_progress_artifact(0.0, "gpu-progress", text))
    while not lease.take(client):
        time.sleep(POLL_SECONDS)
        orders()
        waited = time.monotonic() - begin
        if waited - shown > SHOW_SECONDS:
            shown = waited
            with suppress(httpx.HTTPError):
                update_progress_artifact(progress, 0.0, f"{stage} waits for a GPU since {duration(waited)}{_others(client)}")
    text = f"{stage} has a GPU after {duration(time.monotonic() - begin)}"
    get_run_logger().info("%s", text)
    update_progress_artifact(progress, 100.0, text)


def _others(client: SyncPrefectClient) -> str:
    """The other runs in progress, one of which has it."""
    running = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}})
    with suppress(httpx.HTTPError):
        names = [run.name for run in client.read_flow_runs(flow_run_filter=running) if str(run.id) != runtime.flow_run.id]
        return f"; running: {', '.join(names)}" if names else ""
    return ""
