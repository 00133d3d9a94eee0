"""`python -m degla.train.lifeline ...` runs DeepSpeed's launcher so that it ends with the stage that started it."""

import os
import runpy
import signal

from degla.processes import die_with_parent

LAUNCHER = "DEGLA_LAUNCHER"
"""The environment variable that tells the ranks the launcher's process id."""

if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)  # as its ranks do, so that nothing disturbs the next attempt
    os.environ[LAUNCHER] = str(os.getpid())
    runpy.run_module("deepspeed.launcher.launch", run_name="__main__", alter_sys=True)
