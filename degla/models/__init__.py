"""CLIP models: named, loaded strictly, guarded against activation and preprocessing mismatches, exported.

This module is light (no torch): `ModelRef` names a model in a config. `degla.models.loading` builds it.
"""

from degla.models.ref import ModelRef

__all__ = ["ModelRef"]
