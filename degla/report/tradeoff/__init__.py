"""What composition costs: the candidates of `evaluate.interpolate` as a curve, of one run or of several.

Read `runs` (what is compared), `plot`, then `text`; `python -m degla.report.tradeoff` draws several runs on one plot.
"""
