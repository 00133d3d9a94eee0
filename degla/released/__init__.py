"""Files of negatives that others released, read row by row.

Called by `degla.generate.imports` (rows like our own) and `degla.filter.audit_command` (what a model tells without the image).
"""
