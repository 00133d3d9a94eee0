"""Options of every task: which failures are retried, and after how long. The exit code of its child process gives the type of
error (`degla.errors`).
"""

from __future__ import annotations

import math
import os
import random
import signal
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from degla.errors import EXIT_INPUT, EXIT_PASSING_FAULT, ConfigError, DeglaError, InputError, PassingFault
from tasks.child import Ended

HOUR = 3600
RETRIES = 3
_KILLED = {128 + each: each.name for each in (signal.SIGKILL, signal.SIGTERM)}


def task_options(name: str, seconds: float, *tags: str) -> dict[str, Any]:
    """The options of a task with this name, time limit and tags. Prefect neither caches nor keeps its result."""
    return {
        "name": name,
        "task_run_name": name,
        "tags": tags,
        "timeout_seconds": seconds,
        "retries": RETRIES,
        "retry_delay_seconds": retry_delays(),
        "retry_condition_fn": is_passing,
        "cache_policy": NO_CACHE,
        "persist_result": False,
    }


def seconds_of(variable: str, default: float) -> float:
    """The seconds that an environment variable sets. Raises ConfigError if it holds no number above 0."""
    text = os.environ.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{variable}={text!r}: expected seconds, such as {default:g}")
    return seconds


def retry_delays(retries: int = RETRIES) -> list[float]:
    """Seconds before each retry: DEGLA_RETRY_SECONDS (10), doubled each time, times a random factor of 0.5 to 1.5.

    Prefect 3.7.7 ignores `retry_jitter_factor` for tasks (PrefectHQ/prefect#22203).
    """
    first = seconds_of("DEGLA_RETRY_SECONDS", 10)
    return [first * 2**attempt * random.uniform(0.5, 1.5) for attempt in range(retries)]


def is_passing(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Prefect's `retry_condition_fn`: whether the error may be gone at the next attempt."""
    try:
        state.result()
    except TimeoutError:
        return False  # the stage's time limit; as an OSError it would be retried
    except (PassingFault, OSError):
        return True
    except BaseException:
        return False
    return False


def error_of(stage: str, ended: Ended) -> Exception | None:
    """The exception for how a stage ended; None if it succeeded."""
    if ended.code == 0:
        return None
    message = _own_message(stage, ended) or "\n".join([f"{_how(stage, ended)}; last lines:", *ended.last_lines])
    if ended.code == EXIT_INPUT:
        return InputError(message)
    if ended.code == EXIT_PASSING_FAULT or ended.code in _KILLED:
        return PassingFault(message)
    return StageBug(message)


class StageBug(DeglaError):
    """A stage ended with an unexpected error: a bug. Not retried."""


def _how(stage: str, ended: Ended) -> str:
    if ended.code not in _KILLED:
        return f"{stage} ended with exit code {ended.code}"
    lacking = f" The kernel killed {ended.starved} processes meanwhile because memory ran out." if ended.starved else ""
    return f"{stage} was ended by {_KILLED[ended.code]}, from outside.{lacking} Its finished units are kept"


def _own_message(stage: str, ended: Ended) -> str | None:
    """The stage's last `<stage>: error: ...` and the lines after it."""
    mark = f"{stage}: error: "
    for number in range(len(ended.last_lines) - 1, -1, -1):
        if ended.last_lines[number].startswith(mark):
            return "\n".join([ended.last_lines[number].removeprefix(mark), *ended.last_lines[number + 1 :]])
    return None
