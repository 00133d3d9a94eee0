"""Outcomes: whether each model was right on each item of a benchmark, as a table that people bring, export and compare.

Read `table` (the documented columns), then `reading` (a file to items), `bringing` (into an evaluation), `export` and `compare`.
`python -m degla.evaluate.outcomes` is the command. Loads no model.
"""
