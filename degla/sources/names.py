"""How images are named."""

from __future__ import annotations

import re
import unicodedata

_NUMBERED = re.compile(r"(?:COCO_\w+_)?0*(\d+)")


def image_key(image_id: str) -> str:
    """What is the same in all ways to name an image: `coco/val2014/COCO_val2014_000000184613.jpg` is `184613`."""
    name = unicodedata.normalize("NFC", image_id).replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    number = _NUMBERED.fullmatch(stem)
    return number[1] if number else stem.casefold()
