"""Five kept negatives of each type with their pictures, drawn by a hash of their content."""

from __future__ import annotations

import base64
import hashlib
import heapq
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from degla.artifacts import Artifact
from degla.images import IMAGES_FILE, open_image, read_images, thumbnail
from degla.negative_types import NEGATIVE_TYPES, TRAITS
from degla.schemas import TRAINING, read_table

OF_A_TYPE = 5


@dataclass(frozen=True)
class Example:
    """A kept negative."""

    caption: str
    text: str
    image_id: str
    picture: str
    """WebP in Base64; empty if prepare kept no images."""


@dataclass(frozen=True)
class TypeExamples:
    """Kept negatives of a type."""

    type: str
    summary: str
    examples: list[Example]


def draw_examples(prepared: Artifact, filtered: Artifact) -> list[TypeExamples]:
    """Up to `OF_A_TYPE` of each type that kept any, each of another image if there are enough."""
    table = read_table(filtered.file("training.parquet"), TRAINING, ["image_id", "caption", "negatives"])
    drawn: dict[str, list[tuple[bytes, str, str, str]]] = {kind: [] for kind in NEGATIVE_TYPES}
    parents = pc.list_parent_indices(table["negatives"].combine_chunks())
    flat = pc.list_flatten(table["negatives"].combine_chunks())
    kinds, texts = (pc.struct_field(flat, name).to_pylist() for name in ("type", "text"))
    rows = table.select(["image_id", "caption"]).to_pylist()
    smallest: dict[tuple[str, str], tuple[bytes, str, str, str]] = {}
    for parent, kind, text in zip(parents.to_pylist(), kinds, texts, strict=True):
        image, caption = rows[parent]["image_id"], rows[parent]["caption"]
        key = hashlib.blake2b(f"{image}\0{caption}\0{text}".encode(), digest_size=8).digest()
        found = (key, image, caption, text)
        smallest[kind, image] = min(found, smallest.get((kind, image), found))
    for (kind, _), found in smallest.items():
        drawn[kind].append(found)
    chosen = {kind: heapq.nsmallest(OF_A_TYPE, found) for kind, found in drawn.items()}
    pictures = _pictures(prepared, {image for own in chosen.values() for _, image, *_ in own})
    return [
        TypeExamples(kind, TRAITS[kind].summary, [Example(c, text, image, pictures.get(image, "")) for _, image, c, text in own])
        for kind, own in chosen.items()
        if own
    ]


def _pictures(prepared: Artifact, wanted: set[str]) -> dict[str, str]:
    if not prepared.has(IMAGES_FILE):
        return {}
    table = read_images(prepared.file(IMAGES_FILE), ["image_id", "image"])
    rows = pc.index_in(pa.array(sorted(wanted), pa.string()), table["image_id"].combine_chunks())
    made = {}
    for image, row in zip(sorted(wanted), rows.to_pylist(), strict=True):
        data = None if row is None else table["image"][row].as_py()
        if data:
            made[image] = base64.b64encode(thumbnail(open_image(data))).decode()
    return made
