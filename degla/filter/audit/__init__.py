"""The artefact audit: how well the texts alone tell captions and negatives apart, and what is left out until they tell less.

Read `accuracy` (the measure) with `text_classifier`, `word_pairs` and `plausibility` (the models), then `balance` (what is left
out) and `step` (in the stage). The report card of anyone's negatives is `command`, `report_card` and `card_text`, with `targets`
and `pair_tables` (what is read), `judging` (the judge's verdicts) and `overlap` (benchmark items among them).
"""
