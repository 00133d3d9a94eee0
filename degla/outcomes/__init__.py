"""Outcomes: whether each model was right on each item of a benchmark, and every figure that follows from it.

Read in this order:

    items      the rows that scoring writes            averages   what each benchmark is averaged over; suites  several of them
    measures   items to metrics; guessing  chance      intervals  95 % intervals of metrics and of paired differences
    scores     metrics as the records handed over      outcome    of a finished evaluation, or of a file
    table      the columns that people bring; ref, reading  a file to items; known  what the catalog knows of them
    shortcut   is a gain understanding; crosswalk  who uses which average and rule for ties
    export     for others to read                      compare    two models on the items that both were scored on

`python -m degla.outcomes` is the command. Loads no model.
"""
