"""`python -m degla.train EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options."""

import sys

from degla.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main("train"))
