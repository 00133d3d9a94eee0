"""`python -m degla.prepare EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options.

`python -m degla.prepare sniff PATH...`: say what is recognised in files, and print the settings that read them.
"""

import sys

from degla.experiments.cli import main, run_command
from degla.prepare import sniff

if __name__ == "__main__":
    if sys.argv[1:2] == ["sniff"]:
        sys.exit(run_command("prepare sniff", lambda: sniff.command(sys.argv[2:])))
    sys.exit(main("prepare"))
