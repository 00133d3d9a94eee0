"""Imports: negatives that others made become rows like our own, for the same filter.

Read it as a file goes: `rows` reads them with `degla.sources`, `matching` finds their captions, `reading` writes the parts.
"""

from degla.generate.imports.reading import ImportSummary, read_imports

__all__ = ["ImportSummary", "read_imports"]
