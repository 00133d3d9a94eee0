"""Tables in Markdown, for reports and cards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], text: Collection[str] | None = None) -> str:
    """A table; the columns named in `text` (None: the first) are aligned left, the others, of numbers, right."""
    left = header[:1] if text is None else text
    lines = [header, ["---" if name in left else "---:" for name in header], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
