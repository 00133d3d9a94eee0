"""`prefect.yaml`, for work pools: `python -m flows.prefect_yaml > prefect.yaml`, anew after a preset was added."""

from __future__ import annotations

from typing import Any

import yaml

from flows.deployments import Deployment, deployments

HEADER = """\
# For workers, on one machine or many: the flows and presets that `make up` serves, in the work pools cpu and gpu.
# Written by `python -m flows.prefect_yaml > prefect.yaml`. In a checkout with PREFECT_API_URL set (see docs/operation.md):
#
#   prefect work-pool create cpu --type process                      once
#   prefect work-pool create gpu --type process
#   prefect work-pool set-concurrency-limit gpu 1                    one run of this pool at a time
#   prefect gcl create gpu --limit 1                                 one stage on a GPU at a time, whatever runs it
#   prefect --no-prompt deploy --all
#   DEGLA_CHECKOUT=$PWD prefect worker start --pool cpu              on each worker, in its checkout; --pool gpu where a GPU is
#
# Artifacts meet in DEGLA_HOME, which has to be a folder that every worker sees.
"""

COMMON: dict[str, Any] = {
    "name": "degla",
    "build": [{"flows.local.pools.refuse_served": {}}],
    "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $DEGLA_CHECKOUT }}"}}],
}


def prefect_yaml() -> str:
    """The text of `prefect.yaml`."""
    lines = [f"  - {yaml.safe_dump(_item(each), default_flow_style=True, sort_keys=False, width=1000)}" for each in deployments()]
    return f"{HEADER}\n{yaml.safe_dump(COMMON, sort_keys=False)}\ndeployments:\n{''.join(lines)}"


def _item(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "parameters": deployment.parameters,
        "work_pool": {"name": deployment.pool},
        "tags": deployment.tags,
    }


if __name__ == "__main__":
    print(prefect_yaml(), end="")
