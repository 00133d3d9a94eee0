"""CLIP models: named, loaded strictly, guarded against activation and preprocessing mismatches, exported.

Importing it loads no torch: `ref.ModelRef` names a model in a config. Read `source`, which finds and checks what is named (with
`lookup`, `claims` and `architecture`), then `loading`, which builds it (with `hub`, `weights` and `hf_clip`), then `towers`,
`encoding`, `fast_modules`, `trees` and `tree_encoding` (the towers, faster), `features` (many inputs), and `export`. `support`
and `size` judge architectures by config.
"""

from degla.models.ref import ModelRef

__all__ = ["ModelRef"]
