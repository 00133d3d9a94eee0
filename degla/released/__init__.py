"""Files of negatives that others released, read row by row."""
