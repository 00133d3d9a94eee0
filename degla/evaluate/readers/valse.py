"""VALSE (Parcalabescu et al. 2022, arXiv 2112.07566) from its official files: eleven JSON files of id -> image_file, caption,
foil.

Only the rows that people validated count: at least two of three annotators chose the caption (`mturk.caption`). Score: the
image is strictly nearer to the caption than to the foil, the pairwise accuracy that papers give for CLIP. Averages:
`degla.outcomes.averages`. Images come from four sources: a piece whose source is missing is left out, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, BenchmarkImage, ChoiceItem, ChoiceSet
from degla.evaluate.readers.official import readable_sets
from degla.evaluate.readers.registry import reader
from degla.outcomes.averages import BY_DEFINITION, ValsePiece
from degla.outcomes.known import absences
from degla.text_files import read_json, shown, text_fields

PIECES: tuple[ValsePiece, ...] = get_args(ValsePiece)

VALIDATED = 2  # annotators of three

_IMAGES = {
    "existence": ("visual7w",),
    "plurals": ("coco_val2017",),
    "counting_small_quant": ("visual7w",),
    "counting_hard": ("visual7w",),
    "counting_adversarial": ("visual7w",),
    "relations": ("coco_val2017",),
    "action_replacement": ("swig",),
    "actant_swap": ("swig",),
    "coreference_standard": ("coco_val2014", "coco_train2014"),
    "coreference_hard": ("visdial_val2018",),
    "foil_it": ("coco_val2014",),
}
"""Piece to the roles of its images; of two, the name of the image says which."""


class ValseOptions(Config):
    """Options of a card with `reader: valse`."""

    pieces: tuple[ValsePiece, ...] = PIECES
    """Which of the eleven files to read; file names have hyphens for the underscores."""
    validated_only: bool = True
    """Only the rows that people validated, as the benchmark defines."""


@reader("valse", ValseOptions)
def read_valse(card: Card, options: ValseOptions) -> Benchmark:
    """Files: `annotations`, the folder of the JSON files, and the folders of images in the roles of `_IMAGES`.

    Raises:
        MissingInputError: not one piece has both its file and its images.
        DataError: an item lacks a field; file, id and field are named.
    """
    annotations = card.file("annotations")

    def read(piece: ValsePiece) -> ChoiceSet:
        images = {role: card.file(role) for role in _IMAGES[piece]}
        return _read_piece(piece, annotations, images, options.validated_only)

    sets, lacking = readable_sets(options.pieces, read)
    absent: dict[str, int] = {}
    notes = ["rows that people did not validate are included"]
    if options.validated_only:
        absent, notes = absences(card, {item.name: len(item.items) for item in sets}, PIECES)
    return Benchmark(sets, BY_DEFINITION["valse"], (*notes, *lacking, *_contamination(sets)), absent)


def _read_piece(piece: ValsePiece, annotations: Path, images: Mapping[str, Path], validated_only: bool) -> ChoiceSet:
    path = annotations / f"{piece.replace('_', '-')}.json"
    rows = []
    for key, entry in read_json(path, dict).items():
        where = f"{path}, item {key!r}"
        image, caption, foil = text_fields(entry, ("image_file", "caption", "foil"), where)
        if not validated_only or _votes(entry, where) >= VALIDATED:
            rows.append((key, image, caption, foil))
    position = {name: index for index, name in enumerate(dict.fromkeys(image for _, image, _, _ in rows))}
    pictures = tuple(BenchmarkImage(name, _place(images, name)) for name in position)
    items = tuple(ChoiceItem(key, position[image], (caption, foil)) for key, image, caption, foil in rows)
    return ChoiceSet(piece, pictures, items)


def _votes(entry: Mapping[str, Any], where: str) -> int:
    votes = entry.get("mturk")
    count = votes.get("caption") if isinstance(votes, Mapping) else None
    if not isinstance(count, int):
        raise DataError(f"{where}: mturk is {shown(votes)}, expected an object with the number of votes for the caption")
    return count


def _place(images: Mapping[str, Path], name: str) -> Path:
    """Path of an image: `COCO_train2014_...` in the role `coco_train2014`, any other in the first."""
    folder = images.get("coco_train2014") if name.startswith("COCO_train2014_") else None
    return (folder or next(iter(images.values()))) / name


def _contamination(sets: Sequence[ChoiceSet]) -> list[str]:
    """VisDial's images lie in COCO: models that were fine-tuned on COCO train2014 have seen some of them."""
    for item in sets:
        seen = [index for index, image in enumerate(item.images) if image.id.startswith("COCO_train2014_")]
        if seen:
            count = sum(choice.image in set(seen) for choice in item.items)
            return [f"{count:,} of {len(item.items):,} items of {item.name} are on images of COCO train2014"]
    return []
