"""Imports: negatives that others made, as rows like our own, for the same filter."""

from degla.generate.imports.reading import ImportSummary, read_imports

__all__ = ["ImportSummary", "read_imports"]
