"""`python -m degla.generate EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options."""

import sys

if __name__ == "__main__":  # every worker imports this module too, and has no use for the command line
    from degla.experiments.cli import main

    sys.exit(main("generate"))
