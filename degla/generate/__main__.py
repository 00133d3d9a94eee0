"""`python -m degla.generate EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options."""

import gc
import sys

if __name__ == "__main__":  # every worker imports this module too, and has no use for the command line
    gc.set_threshold(1_000_000)  # imports and the lexicon make as many objects that stay, and seven collections looked at them
    from degla.experiments.cli import main

    code = main("generate")
    gc.disable()  # what ends with the process need not be looked at once more
    sys.exit(code)
