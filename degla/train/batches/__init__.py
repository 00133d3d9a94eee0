"""What a rank trains on at a step. Read `data`, then `order`, `negatives`, `pixels` and `trees`; `streams` is the randomness."""
