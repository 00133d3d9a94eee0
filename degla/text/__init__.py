"""Text: what is known of captions as language: tokens, part-of-speech tags, a lexicon, inflection and edits.

Knows nothing of files, stages or engines.
"""
