"""WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): the models between start and end of training, and a rule that chooses one.

Fine-tuning gains composition and forgets. Averages of the weights before and after may keep most of the gain and lose less.
Read in this order:

    config      the candidates, the metrics and the budget     weights    the line between two models
    candidates  from a train artifact to models to encode      choice     the rule, on a validation half
    results     from the candidates' items to `selection.json`, `tradeoff.json` and `model/`
"""
