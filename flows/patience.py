"""Two corrections of Prefect 3.7.7 for the process that starts runs.

- It gives up after three polls without an answer, and takes the runs with it that work. It should outlast a server that is away.
- Of a run's process that SIGKILL ended it says that memory was exceeded, whoever sent the signal.
"""

from __future__ import annotations

import signal
import sys
from functools import partial

from prefect._internal import infrastructure_exit_codes, observers
from prefect.runner import _scheduled_run_poller
from prefect.utilities.services import critical_service_loop


def outlast_the_server() -> None:
    """Poll for runs, and for those to be cancelled, for as long as this process lives. Call it before `serve`."""
    patient = partial(critical_service_loop, backoff=sys.maxsize, printer=lambda *_: None)
    for module in (_scheduled_run_poller, observers):
        vars(module)["critical_service_loop"] = patient
    infrastructure_exit_codes.INFRASTRUCTURE_EXIT_HINTS[-signal.SIGKILL] = infrastructure_exit_codes.InfrastructureExitInfo(
        explanation="The run's process was ended by SIGKILL, from outside. Nothing finished is lost; Retry continues it.",
        resolution="If memory ran out, the kernel's log says so: dmesg | grep -i oom",
    )
