"""Benchmark: a SugarCrepe of your own photos, from held-out captions, checked by people.

Stands above the stages, like `degla.experiments`: it runs prepare, generate and filter, and no stage knows it. Read `make` with
`excluded` and `draw` (how the items come about), `folder` (what is on disk) with `decisions` (who said what of which item),
`server` with `check.html` (where people look at them), and `precision` (how many items one needs).
"""
