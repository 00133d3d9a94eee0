"""The page: one self-contained HTML file with everything a run made, or with the outcomes of any models.

Read `page` (what is gathered, and the size), `verdict`, `scores`, `items`, `examples` and `sections`, then `document` and its
template. `command` is `python -m degla.report page`.
"""
