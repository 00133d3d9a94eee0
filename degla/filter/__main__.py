"""`python -m degla.filter EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options.

`python -m degla.filter export ARTIFACT_OR_EXPERIMENT --format degla|hf --out PATH`: write what it kept for others.
"""

import sys

from degla.cli import main, run_command
from degla.filter import export

COMMANDS = {"export": export.command}

if __name__ == "__main__":
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in COMMANDS:
        sys.exit(run_command(f"filter {name}", lambda: COMMANDS[name](arguments)))
    sys.exit(main("filter"))
