"""ImageNet's variants as zero-shot sets: V2, A, R, Sketch and ObjectNet, from the folders that their archives unpack to.

The choices are the classes of the variant, present or not: all 1,000 of V2 and Sketch, 200 of A and of R
(`imagenet_subsets.yaml`), and of ObjectNet the 113 that are ImageNet's too, under ObjectNet's own names in lower case, as WiSE-FT
(Wortsman et al. 2022) and CLIP_benchmark take them. Prompts are CLIP's 80 for ImageNet. ObjectNet's photos keep their red border
of one pixel, as in CLIP_benchmark; WiSE-FT cuts two pixels off.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from degla.catalog import Card
from degla.config import Config, read_yaml
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, ClassificationSet
from degla.evaluate.readers import imagenet
from degla.evaluate.readers.image_folder import labelled_images
from degla.evaluate.readers.registry import reader
from degla.outcomes.known import absences
from degla.text_files import read_json

_SUBSETS = Path(__file__).with_name("imagenet_subsets.yaml")


class ImageNetVariantOptions(Config):
    """Options of a card with `reader: imagenet_variant`."""

    classes: Literal["all", "imagenet_a", "imagenet_r", "objectnet"] = "all"
    """The classes to choose from."""
    folders: Literal["wnid", "number"] = "wnid"
    """How class folders are called: by WordNet id, or by the number of the class from 0 (V2)."""


@reader("imagenet_variant", ImageNetVariantOptions)
def read_imagenet_variant(card: Card, options: ImageNetVariantOptions) -> Benchmark:
    """Files: `images`, the folder of class folders; of ObjectNet also `mappings`, the folder of that name in its archive.

    Raises:
        DataError: a folder is of no class of the variant, or ObjectNet's mappings do not fit together.
    """
    root = card.file("images")
    names = _objectnet(card.file("mappings")) if options.classes == "objectnet" else _of_imagenet(root, options)
    images, labels = labelled_images(root, {folder: number for number, folder in enumerate(names)})
    if not len(images):
        raise DataError(f"{root}: none of its folders is called as a class of {card.name}, such as {next(iter(names))!r}")
    classes = tuple(names.values())
    prompts = tuple(tuple(template.replace("{}", name) for template in imagenet.templates()) for name in classes)
    absent, notes = absences(card, {"classes": len(images)})
    data = ClassificationSet("classes", images, labels, classes, prompts)
    return Benchmark((data,), (), (f"{len(classes):,} classes", *notes), absent)


def _of_imagenet(root: Path, options: ImageNetVariantOptions) -> dict[str, str]:
    """Folder to the name of its class, for each class."""
    every = imagenet.class_names()
    chosen = list(every) if options.classes == "all" else read_yaml(_SUBSETS)[options.classes]
    by_number = options.folders == "number"
    names = {str(number) if by_number else wnid: every[wnid] for number, wnid in enumerate(chosen)}
    imagenet.check_folders(root, names, f"{'number' if by_number else 'WordNet id'} of one of the {len(chosen):,} classes")
    return names


def _objectnet(folder: Path) -> dict[str, str]:
    """Folder to label of ObjectNet's classes that are ImageNet's too, in the order of their folders."""
    labels: Mapping[str, str] = read_json(folder / "folder_to_objectnet_label.json", dict)
    shared: Mapping[str, str] = read_json(folder / "objectnet_to_imagenet_1k.json", dict)
    lacking = sorted(set(shared) - set(labels.values()))
    if lacking:
        raise DataError(f"{folder}: objectnet_to_imagenet_1k.json has {lacking[0]!r}, which is the label of no folder")
    return {name: label.lower() for name, label in sorted(labels.items()) if label in shared}
