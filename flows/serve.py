"""Serve every deployment from one process: `python -m flows.serve`, started by `make up`."""

from __future__ import annotations

import sys
from typing import cast

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_SERVER_API_PORT
from prefect.types.entrypoint import EntrypointType

from degla.errors import DeglaError, exit_code
from flows.deployments import Deployment, deployments
from flows.local.pools import refuse_pooled
from flows.local.server import Server, prefect_home, wait_for_server
from flows.patience import outlast_the_server


def main() -> int:
    """Serve until the process is ended; returns the exit code."""
    prepared = [served(deployment) for deployment in deployments()]
    outlast_the_server()
    try:
        wait_for_server(Server(prefect_home(), PREFECT_SERVER_API_PORT.value()))  # it may have been started just before
        with get_client(sync_client=True) as client:
            refuse_pooled(client)
    except DeglaError as error:
        print(f"serve: error: {error}", file=sys.stderr)
        return exit_code(error)
    serve(*prepared, print_starting_message=False)
    return 0


def served(deployment: Deployment) -> RunnerDeployment:
    """The deployment as Prefect serves it."""
    made = deployment.flow.to_deployment(
        name=deployment.name,
        parameters=deployment.parameters,
        description=deployment.description,
        tags=deployment.tags,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    result = cast(RunnerDeployment, made)  # a coroutine only in asynchronous code
    result.entrypoint = deployment.entrypoint
    result.model_fields_set.discard("schedules")  # else Prefect would delete those that somebody set
    return result


if __name__ == "__main__":
    sys.exit(main())
