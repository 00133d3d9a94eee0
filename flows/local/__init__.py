"""Everything on one machine: `python -m flows.local`. Read `launch`, then `server`, `serving`, `runs` and `console`."""
