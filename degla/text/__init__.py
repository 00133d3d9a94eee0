"""Text: captions as language. Read `tokens`, `tags`, `lexicon`, `inflection`, then `edits`. Knows no files, stages or engines."""
