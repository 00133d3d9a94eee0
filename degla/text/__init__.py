"""Text: captions as language. Knows no files, stages or engines.

Read `tokens`, `tags`, `lexicon`, `inflection`, then `edits` and `edit_types`.
"""
