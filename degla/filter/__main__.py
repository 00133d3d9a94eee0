"""`python -m degla.filter EXPERIMENT`: run this stage alone, without Prefect. `--help` lists the options.

`python -m degla.filter export ARTIFACT_OR_EXPERIMENT --format degla|hf --out PATH`: write what it kept for others.
`python -m degla.filter explain FILE [--out FILE]`: say of each row of a file which rule rejects it.
`python -m degla.filter audit FILE... [--corpus FILE] [--out DIR]`: the report card of any negatives.
"""

import sys

from degla.experiments.cli import main, run_command
from degla.filter import explain, export
from degla.filter.audit import command as audit_command

COMMANDS = {"audit": audit_command.command, "explain": explain.command, "export": export.command}

if __name__ == "__main__":
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in COMMANDS:
        sys.exit(run_command(f"filter {name}", lambda: COMMANDS[name](arguments)))
    sys.exit(main("filter"))
