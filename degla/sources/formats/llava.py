"""Format `llava`: LLaVA's and ShareGPT4V's lists of `{image, conversations}`: what the model answers is the caption."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.sources.format import Format, Head, entries_of, with_encoding
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.text_files import shown

_TURNS = {"conversations": ("from", "value"), "messages": ("role", "content")}
_ANSWERS = ("gpt", "assistant")
_IMAGE_MARK = re.compile(r"<image>\n?")


def _claims(head: Head) -> bool:
    rows = [entry.value for entry in head.entries if isinstance(entry.value, dict)]
    return any(isinstance(row.get(name), list) for row in rows for name in _TURNS)


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        for number, entry in enumerate(entries_of(path, options), 1):
            image = entry.value.get("image") if isinstance(entry.value, dict) else None
            image = image[0] if isinstance(image, list) and len(image) == 1 else image
            if isinstance(image, str) and image:
                yield Record(entry.where, number, image, tuple(_answers(entry.value, entry.where)), file=image)
            else:
                yield Skipped(entry.where, "", "has no image, or several")


def _answers(row: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, (speaker, text) in _TURNS.items():
        for turn in row.get(name) or ():
            if not isinstance(turn, Mapping) or not isinstance(turn.get(text), str):
                raise DataError(f"{where}: {name} has {shown(turn)}, expected an object with {speaker} and {text}")
            if turn.get(speaker) in _ANSWERS:
                yield _IMAGE_MARK.sub("", turn[text])


LLAVA = Format("llava", "LLaVA's and ShareGPT's conversations about an image", _claims, with_encoding, _read)
