"""CLIP models: named, loaded strictly, guarded against activation and preprocessing mismatches, exported.

Importing it loads no torch: `ref.ModelRef` names a model in a config. Read `loading`, which builds it (with `hub` and `weights`),
then `encoding`, `fast_modules`, `trees` and `tree_encoding` (the towers, faster), `features` (many inputs), and `export`.
"""

from degla.models.ref import ModelRef

__all__ = ["ModelRef"]
