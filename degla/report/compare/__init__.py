"""Compare runs, models and published scores: `python -m degla.report compare RUN RUN ...`. Loads no model.

Read `runs` (what a run is), `published` (rows of the catalog's table), `comparison` (all of it side by side), `settings` (what
differs between the runs), `latest` (the last runs, and what stands first), `layouts` (the tables of the papers), `files`
(`markdown`, `records`, `latex`) and `command`.
"""
