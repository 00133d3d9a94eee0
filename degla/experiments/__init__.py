"""What knows all stages: an experiment, its plan and the command line. Read `experiment`, then `cli`."""
