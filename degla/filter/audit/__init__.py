"""The artefact audit: `accuracy` (the measure), `text_classifier` (the model), `plausibility`, `balance`, `step`, `command`."""
