"""Catalog cards: one YAML file per dataset, benchmark or model in `data_catalog/`, saying what it is and where it lies.

A card is values only. What reads the files is the reader named in the card; which readers exist is known to the
stage that uses the card (`degla.prepare` for datasets, `degla.evaluate` for benchmarks). `python -m degla.catalog get NAME` puts
a card's files in place, where its licence lets a program do that.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from degla import checksums
from degla.config import Config, read_yaml, validate
from degla.errors import MissingInputError
from degla.home import catalog_dir, data_root

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class Download(Config):
    """A file at an address."""

    url: str
    size: int | None = None
    """Bytes, where verified."""
    sha256: str | None = None
    """Checksum, where verified."""
    verified: bool = False
    """Whether size and checksum were compared with the official file."""


class CardFile(Config):
    """A file or folder that a card names."""

    path: str
    """Where it lies below the data root (`DEGLA_DATA`), or absolute."""
    url: str | None = None
    """Where it can be had: a page for people, or what `fetch` says."""
    fetch: Literal["file", "zip", "tar"] | None = None
    """What a program finds at the url: the file itself, or an archive that holds it. Nothing where the licence wants a person."""
    unpack: str = "."
    """Folder below the data root where an archive is unpacked."""
    members: dict[str, Download] = Field(default_factory=dict)
    """The files of a folder that are had one by one: name to address."""
    size: int | None = None
    """Bytes of what is at the url, where verified."""
    sha256: str | None = None
    """Checksum of what is at the url, where verified."""
    verified: bool = False
    """Whether size and checksum were compared with the official file."""
    steps: str | None = None
    """How a person puts it in place, where no program may or can fetch it."""
    optional: bool = False
    """Whether its reader can go on without it, on what the other files give."""


class Card(Config):
    """A dataset or benchmark: what it is, whose it is, where its files lie and what reads them."""

    name: str
    kind: Literal["dataset", "benchmark"]
    reader: str
    """The name of the reader: `miniworld`, `coco`, `table`, `sugarcrepe`, ..."""
    description: str
    source: str
    """Where it comes from: a paper, a repository, a site."""
    licence: str
    revision: str
    """Version of the data; a change makes new artifacts."""
    citation: str = ""
    files: dict[str, CardFile] = Field(default_factory=dict)
    """Role (such as `images` or `captions`) to file."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The reader's own settings."""
    counts: dict[str, int] = Field(default_factory=dict)
    """Official counts (images, captions, items), which readers check against where they read everything."""
    splits: list[str] = Field(default_factory=list)

    def file(self, role: str, override: str | None = None) -> Path:
        """The path of the file in this role, or of the override.

        Raises:
            MissingInputError: nothing is there, or the card names no file in this role.
        """
        entry = self.files.get(role)
        if override is None and entry is None:
            raise MissingInputError(f"card {self.name!r} names no {role!r}; it has: {', '.join(self.files) or 'no files'}")
        path = Path(override).absolute() if override is not None else data_root() / entry.path  # type: ignore[union-attr]
        if not path.exists():
            url = f" It can be had from {entry.url}." if entry and entry.url else ""
            steps = f" How: {entry.steps}." if entry and entry.steps else ""
            fetch = f" `python -m degla.catalog get {self.name}` fetches it." if entry and (entry.fetch or entry.members) else ""
            raise MissingInputError(
                f"{self.name}: {role} not found at {path}.{url}{fetch}{steps} Put it there, set DEGLA_DATA to the folder that"
                f" holds it, or give its path in the configuration."
            )
        return path

    def checksum(self) -> str:
        """Checksum of what of the card can change a result (descriptions and licences cannot)."""
        return checksums.of_value([self.name, self.reader, self.revision, self.options])


def card_names() -> list[str]:
    """The cards in `data_catalog/`."""
    return sorted(path.stem for path in catalog_dir().glob("*.yaml"))


def load_card(name: str, kind: Literal["dataset", "benchmark"] | None = None) -> Card:
    """Read `data_catalog/<name>.yaml`; `kind` is the one that is needed.

    Raises:
        MissingInputError: there is no such card (the nearest name is given), or it is of another kind.
        ConfigError: the card has an unknown key or a wrong value.
    """
    path = catalog_dir() / f"{name}.yaml"
    if not path.is_file():
        names = card_names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none'}."
        raise MissingInputError(f"no card {name!r} in {catalog_dir()}. {hint}")
    card = validate(Card, read_yaml(path), str(path))
    if kind is not None and card.kind != kind:
        raise MissingInputError(f"card {name!r} is a {card.kind}; a {kind} is needed here")
    return card


def path_checksum(path: Path) -> str:
    """Checksum of a raw input: a file's bytes, or an image folder's names and bytes."""
    return checksums.of_folder(path) if path.is_dir() else checksums.of_file(path)
