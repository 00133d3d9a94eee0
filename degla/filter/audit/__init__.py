"""How well text alone tells captions from their negatives. Read `accuracy`, then `refinement`, then `step` and `command`."""
