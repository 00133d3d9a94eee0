"""The artefact audit: how well the texts alone tell captions and negatives apart, and what is left out until they tell less.

Read `accuracy` (the measure) with `text_classifier`, `word_pairs` and `plausibility` (the models), then `balance` (what is left
out), `step` (in the stage) and `command`.
"""
