"""Small files in the forms that people bring."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image

from degla.sources.options import SourceOptions
from degla.sources.records import Record
from degla.sources.source import open_source


def written(path: Path, content: str | bytes | dict | list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict | list):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jpeg(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, shade, shade)).save(buffer, "jpeg")
    return buffer.getvalue()


def tar(path: Path, members: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def read(path: Any, **options: Any) -> list[Record]:
    return list(open_source(path, SourceOptions(**options)))


def pairs(path: Any, **options: Any) -> list[tuple[str, str]]:
    """Image and caption of each."""
    return [(record.image, caption) for record in read(path, **options) for caption in record.captions]


def negatives(path: Any, **options: Any) -> list[tuple[str, str | None]]:
    return [(each.text, each.type) for record in read(path, **options) for each in record.negatives if each.text]
