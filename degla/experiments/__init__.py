"""All stages together: an experiment, its plan and the command line. Read `experiment`, `plan`, then `cli`."""
