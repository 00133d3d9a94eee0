"""Work pools and the limit of stages on GPUs: created, and that no deployment is both served and in a pool."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from degla.errors import ConfigError
from flows.local.serving import names
from tasks.gpu import LIMIT

CPU, GPU = "cpu", "gpu"
"""The work pools."""


def refuse_served() -> None:
    """The build step of `prefect.yaml`: ends `prefect deploy` if a process serves the deployments of this server."""
    with get_client(sync_client=True) as client:
        served = [each for each in _ours(client) if each.work_pool_name is None and each.status == "READY"]
    if served:
        raise SystemExit(  # of any other exception Prefect prints sixty lines
            f"error: {len(served)} deployments of this server are served by `make up`; in a work pool too, each run would be"
            " started twice. `make down` ends that (a serving process that was killed counts for a minute more); then `python -m"
            " flows.local up --workers` starts the server without it. Nothing was deployed."
        )


def pools_in_use(client: SyncPrefectClient) -> list[str]:
    """The work pools that `prefect deploy` put deployments of this server in."""
    return sorted({each.work_pool_name for each in _ours(client) if each.work_pool_name is not None})


def refuse_pooled(client: SyncPrefectClient) -> None:
    """Raises ConfigError if deployments of this server are in a work pool."""
    if pools := pools_in_use(client):
        raise ConfigError(
            f"the deployments of this server are in the work pools {', '.join(pools)}; served here too, each run would be started"
            " twice. To serve them here, delete them first: prefect deployment delete --all"
        )


def require_workers(client: SyncPrefectClient, pools: Sequence[str]) -> str:
    """Which pools have a worker, in words. Raises ConfigError if none has one."""
    idle = [pool for pool in pools if not any(each.status == "ONLINE" for each in client.read_workers_for_work_pool(pool))]
    if idle == pools:
        raise ConfigError(
            f"the deployments of this server are in the work pools {', '.join(pools)}, and no worker runs their runs. Start one:"
            f" DEGLA_CHECKOUT=$PWD prefect worker start --pool {pools[0]}. Or, to serve them here, delete them first: prefect"
            " deployment delete --all"
        )
    return f"in the work pools {', '.join(pools)}" + (f"; no worker for {', '.join(idle)}" if idle else "")


def create_pools(client: SyncPrefectClient) -> None:
    """Create the work pools that are not there; of the pool `gpu`, one run at a time."""
    from prefect.workers.process import ProcessWorker  # takes a second to import

    present = {pool.name for pool in client.read_work_pools()}
    template = ProcessWorker.get_default_base_job_template()
    for pool in (CPU, GPU):
        if pool not in present:
            limit = 1 if pool == GPU else None
            client.create_work_pool(
                WorkPoolCreate(name=pool, type="process", base_job_template=template, concurrency_limit=limit)
            )


def create_limit(client: SyncPrefectClient) -> None:
    """Create the limit of one stage on a GPU at a time, if it is not there."""
    try:
        client.read_global_concurrency_limit_by_name(LIMIT)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1))


def _ours(client: SyncPrefectClient) -> list[DeploymentResponse]:
    own = {name.rpartition("/")[2] for name in names()}
    return [each for each in client.read_deployments() if each.name in own]
