"""Rewrites by rules, from part-of-speech tags and the lexicon: on the CPU, without weights.

Read it as a caption goes: `phrases` reads it, `reshuffle`, `swaps` and `replacements` offer ways to rewrite it (the last with the
words of `vocabulary`), `options` puts these in order, `rewording` writes the text, and `rules_backend` answers requests.
"""
