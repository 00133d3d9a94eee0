"""Makes a process wait at an event until it is killed, so that tests that kill do not depend on how fast the code is.

The test starts a script with `environment(...)` around it; the script imports this module, in its workers too, and waits where it
is told: just before or after a process moved its n-th file of a name into place (`degla.files.atomic_path`).
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

_EVENT, _SIGNS = "HOLD_AT", "HOLD_SIGNS"


def environment(signs: Path, event: str) -> dict[str, str]:
    """The environment of a script that waits at `event`: `before part- 3`, `after asked 1`, or `` for never.

    Every process that waits leaves a file in the folder `signs`.
    """
    signs.mkdir(exist_ok=True)
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {_EVENT: event, _SIGNS: str(signs), "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def wait_until_held(signs: Path, child: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a process of the child's waits at its event."""
    deadline = time.monotonic() + seconds
    while not any(signs.iterdir()):
        assert child.poll() is None, "the run ended before its event: give it more to do"
        assert time.monotonic() < deadline, "the event did not come"
        time.sleep(0.01)


def _hold(place: str, name: str, number: int) -> None:
    replace, moved = os.replace, 0

    def replace_and_hold(source: Path, target: Path) -> None:
        nonlocal moved
        moved += Path(target).name.startswith(name)
        held = moved == number and Path(target).name.startswith(name)
        if held and place == "before":
            _wait()
        replace(source, target)
        if held:
            _wait()

    os.replace = replace_and_hold


def _wait() -> None:
    Path(os.environ[_SIGNS], str(os.getpid())).touch()
    time.sleep(600)


if os.environ.get(_EVENT):
    _place, _name, _number = os.environ[_EVENT].split()
    _hold(_place, _name, int(_number))
