"""Released files of negatives, read row by row. Read `rows`, then `degla` and `negclip`."""
