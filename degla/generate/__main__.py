"""`python -m degla.generate EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options."""

import atexit
import gc
import sys

if __name__ == "__main__":  # every worker imports this module too, and has no use for the command line
    from degla.experiments.cli import main

    atexit.register(gc.freeze)  # or the collector looks at a million objects three times while the process ends: 2 s
    sys.exit(main("generate"))
