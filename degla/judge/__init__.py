"""Judge: whether a rewrite is a valid negative of its caption, by the two texts alone.

Read `rules` (what a rewrite must satisfy), then `judge` (who asks), then the SQL in the order in which it runs: `macros.sql` and
`patterns` (English, as far as it is needed), `edits.sql` (what was changed), `meanings.sql` (what that says). `senses` knows
what words have to do with each other; `wordnet` adds to it.
"""
