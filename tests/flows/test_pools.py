"""No deployment is both served and in a work pool, by a real Prefect server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.schedules import CronSchedule

from degla.errors import ConfigError
from flows.deployments import deployments
from flows.local.pools import create_pools, pools_in_use, refuse_pooled, refuse_served, require_workers
from flows.serve import served

pytestmark = pytest.mark.slow


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client
        for pool in ("cpu", "gpu"):
            client.delete_work_pool(pool)


def test_deployments_are_served_or_in_a_pool_but_not_both(client: SyncPrefectClient) -> None:
    own = next(each for each in deployments() if each.tags == ["degla", "demo", "cpu"])
    made = served(own)
    deployment = made.apply()
    refuse_served()  # known, but no process serves it
    refuse_pooled(client)
    client.get_scheduled_flow_runs_for_deployments([deployment])  # as a serving process asks
    with pytest.raises(SystemExit, match="served by `make up`"):
        refuse_served()

    client.create_deployment_schedules(deployment, [(CronSchedule(cron="0 2 * * 6"), True)])
    served(own).apply()
    assert [each.schedule.cron for each in client.read_deployment_schedules(deployment)] == ["0 2 * * 6"]

    create_pools(client)
    create_pools(client)
    assert {pool.name: pool.concurrency_limit for pool in client.read_work_pools()} == {"cpu": None, "gpu": 1}
    made.work_pool_name = "cpu"
    made.apply(work_pool_name="cpu")
    assert pools_in_use(client) == ["cpu"]
    refuse_served()
    with pytest.raises(ConfigError, match="in the work pools cpu; served here too"):
        refuse_pooled(client)
    with pytest.raises(ConfigError, match="no worker runs their runs"):
        require_workers(client, ["cpu"])
