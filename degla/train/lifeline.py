"""`python -m degla.train.lifeline ...` runs DeepSpeed's launcher so that it ends with the stage that started it."""

import runpy
import signal

from degla.processes import die_with_parent

if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)  # the launcher passes it on to its ranks
    runpy.run_module("deepspeed.launcher.launch", run_name="__main__", alter_sys=True)
