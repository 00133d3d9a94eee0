"""The artefact audit. Read `accuracy` (the measure), `text_classifier` (the model), `refinement`, then `step` and `command`."""
