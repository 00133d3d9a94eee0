"""Rewrites by rules, from part-of-speech tags and the lexicon: on the CPU, without weights.

Read it as a caption goes: `phrases` reads it, `reshuffle`, `noun_swaps`, `adjective_swaps` and `replacements` offer ways to
rewrite it (the last with the words of `vocabulary`); `exchanges` and `kinds` say which parts may change places, `plausibility`
how well that reads. `options` puts the ways in order, `rewording` writes the text, and `rules_backend` answers requests.
"""
