"""ARO's VG-Relation and VG-Attribution (Yuksekgonul et al. 2023, arXiv 2210.01936) from their official JSON lists.

The image is the part of a Visual Genome photo in the item's box. Score: strictly nearer to the true caption (the code takes the
argmax with the false caption first). The published figures are macro: VG-Relation's mean over relations without the symmetric
ones of the notebook that replicates the paper, VG-Attribution's over pairs of attributes with 25 items or more. The plain
accuracy over all items stands beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from degla.catalog import Card
from degla.config import read_yaml
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, BenchmarkImage, ChoiceItem, ChoiceSet
from degla.evaluate.readers.registry import NoOptions, reader
from degla.outcomes.known import absences
from degla.text_files import read_json, shown, text_fields, text_list

LEAST_ITEMS = 25
"""Items that a pair of attributes needs to count in VG-Attribution's mean."""

_SYMMETRIC = Path(__file__).with_name("aro_symmetric.yaml")
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")


@reader("aro_vg_relation", NoOptions)
def read_vg_relation(card: Card, options: NoOptions) -> Benchmark:
    """Files: `annotations`, visual_genome_relation.json; `images`, the folder of the photos.

    Raises:
        DataError: the file is not a list, or an item lacks a field; the item's number and field are named.
    """
    excluded = symmetric_relations()

    def group(entry: Mapping[str, Any], where: str) -> str | None:
        (relation,) = text_fields(entry, ("relation_name",), where)
        return None if relation in excluded else relation

    return _read(card, "vg_relation", group, least=1)


@reader("aro_vg_attribution", NoOptions)
def read_vg_attribution(card: Card, options: NoOptions) -> Benchmark:
    """Files: `annotations`, visual_genome_attribution.json; `images`, the folder of the photos. Raises as `read_vg_relation`."""

    def group(entry: Mapping[str, Any], where: str) -> str | None:
        first, second, *_ = text_list(entry, "attributes", where, least=2)
        return f"{first}_{second}"

    return _read(card, "vg_attribution", group, least=LEAST_ITEMS)


def symmetric_relations() -> frozenset[str]:
    """The relations that VG-Relation's published mean leaves out."""
    return frozenset(read_yaml(_SYMMETRIC)["relations"])


def _read(card: Card, name: str, group: Any, least: int) -> Benchmark:
    path, folder = card.file("annotations"), card.file("images")
    rows = [_row(entry, f"{path}, item {number}", group) for number, entry in enumerate(read_json(path, list))]
    counts = Counter(own for *_, own in rows)
    position = {part: index for index, part in enumerate(dict.fromkeys((image, box) for image, box, *_ in rows))}
    images = tuple(BenchmarkImage(image, folder / image, box) for image, box in position)
    items = tuple(
        ChoiceItem(str(number), position[image, box], (true, false), own if counts[own] >= least else None)
        for number, (image, box, true, false, own) in enumerate(rows)
    )
    absent, notes = absences(card, {name: len(items)})
    return Benchmark((ChoiceSet(name, images, items),), (), tuple(notes), absent)


def _row(entry: Any, where: str, group: Any) -> tuple[str, tuple[int, int, int, int], str, str, str | None]:
    image, true, false = text_fields(entry, ("image_path", "true_caption", "false_caption"), where)
    numbers = [entry.get(name) for name in _BOX]
    if not all(isinstance(number, int) for number in numbers) or min(numbers[2:]) < 1:
        raise DataError(f"{where}: {', '.join(_BOX)} are {shown(numbers)}, expected pixels with a width and height above 0")
    left, upper, width, height = numbers
    return image, (left, upper, left + width, upper + height), true, false, group(entry, where)
