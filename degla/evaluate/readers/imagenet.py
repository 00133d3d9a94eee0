"""ImageNet's classes by their WordNet ids: the 1,000 ids come with timm, and CLIP's names for them, in the same order, with
open_clip."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from degla.errors import DataError

_WNID = re.compile(r"n\d{8}")


def is_wnid(name: str) -> bool:
    """Whether a name is a WordNet id, such as n01440764."""
    return bool(_WNID.fullmatch(name))


def class_name(wnid: str) -> str | None:
    """CLIP's name for a class; None if it is not among the 1,000 of ImageNet."""
    return class_names().get(wnid)


@cache
def class_names() -> dict[str, str]:
    """WordNet id to CLIP's name, in the order of the classes, which is that of the ids."""
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data.imagenet_info import ImageNetInfo

    return dict(zip(ImageNetInfo("imagenet-1k").label_names(), IMAGENET_CLASSNAMES, strict=True))


def templates() -> list[str]:
    """CLIP's 80 prompts for ImageNet, with `{}` in place of the class name."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]


def check_folders(root: Path, known: Collection[str], what: str) -> None:
    """Raises DataError if a class folder is not called as one of the known ones."""
    names = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if strange := [name for name in names if name not in known]:
        raise DataError(f"{root}: {strange[0]} is not the {what}, such as {next(iter(known))}")
