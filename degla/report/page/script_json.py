"""JSON that can stand in a script element."""

from __future__ import annotations

import json
from typing import Any

_IN_SCRIPT = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""What could end a script element, or a line of script."""


def as_json(value: Any) -> str:
    """The value as JSON, in which no text ends the element. Raises ValueError for numbers that are not finite."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)
