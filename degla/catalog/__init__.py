"""Catalog cards: one YAML file per dataset, benchmark or model in `data_catalog/`, with its source, licence and files.

A card has values only and names its reader; the stage that uses the card knows the readers (`degla.prepare` for datasets,
`degla.evaluate` for benchmarks). `python -m degla.catalog get NAME` downloads a card's files if the licence allows it. Read this,
then `fetch`, `download` and `archives`; `published` reads the published scores that stand beside the cards.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from degla import checksums
from degla.config import Config, read_yaml, validate
from degla.errors import MissingInputError
from degla.home import catalog_dir, data_root

PUBLISHED = "published"
"""The file of the catalog that is no card: see `degla.catalog.published`."""


class Download(Config):
    """A file at an address."""

    url: str
    size: int | None = None
    """Bytes, if compared with the official file."""
    sha256: str | None = None
    """Checksum, if compared with the official file."""


class CardFile(Config):
    """A file or folder that a card names."""

    path: str
    """Path below the data root (`DEGLA_DATA`), or absolute."""
    url: str | None = None
    """Where to download it: a page for people, or what `fetch` says."""
    fetch: Literal["file", "zip", "tar"] | None = None
    """What a program finds at the url: the file itself, or an archive that holds it. Empty if a person must accept a licence."""
    unpack: str = "."
    """Folder below the data root where an archive is unpacked."""
    members: dict[str, Download] = Field(default_factory=dict)
    """The files of a folder that are downloaded one by one: name to address."""
    size: int | None = None
    """Bytes of what is at the url, if compared with the official file."""
    sha256: str | None = None
    """Checksum of what is at the url, if compared with the official file."""
    about: str = ""
    """How large it is as its source says, for people, where `size` is not known: 13 GB."""
    steps: str | None = None
    """How to download it manually, if no program may or can."""
    optional: bool = False
    """Whether its reader can do without it and score what the other files give."""

    def megabytes(self) -> str:
        """How much is downloaded, for people; empty if that is not known."""
        known = [self.size, *(member.size for member in self.members.values())]
        total = sum(size or 0 for size in known)
        return f"{max(total / 1e6, 0.1):,.1f} MB" if total else self.about


class Card(Config):
    """A dataset or benchmark: what it is, whose it is, where its files are and what reads them."""

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
    """Official counts (images, captions, items), which readers compare with what they read if they read everything."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Suffix to the values in which another card differs: `probe` of `cifar10` makes the card `cifar10_probe`."""

    def at(self, paths: Mapping[str, str | None]) -> Card:
        """The card with these paths (role to path, relative to the working folder) in place of its own."""
        given = {role: str(Path(path).absolute()) for role, path in paths.items() if path is not None}
        moved = {role: self.files.get(role, CardFile(path="")).model_copy(update={"path": path}) for role, path in given.items()}
        return self.model_copy(update={"files": self.files | moved})

    def path(self, role: str) -> Path:
        """Where the file in this role belongs, whether it exists or not. Raises MissingInputError if the card names none."""
        if role not in self.files:
            raise MissingInputError(f"card {self.name!r} names no {role!r}; it names: {', '.join(self.files) or 'no files'}")
        return data_root() / self.files[role].path

    def file(self, role: str) -> Path:
        """The path of the file in this role. Raises MissingInputError if it does not exist, or the card names none."""
        path, entry = self.path(role), self.files[role]
        if not path.exists():
            url = f" It can be downloaded from {entry.url}." if entry.url else ""
            size = f" ({entry.megabytes()})" if entry.megabytes() else ""
            fetch = f" `python -m degla.catalog get {self.name}` fetches it{size}." if entry.fetch or entry.members else ""
            steps = f" How: {entry.steps}." if entry.steps else ""
            raise MissingInputError(
                f"{self.name}: {role} not found at {path}.{url}{fetch}{steps} Put it there, set DEGLA_DATA to the folder that"
                f" holds it, or give its path in the configuration."
            )
        return path

    def checksum(self) -> str:
        """Checksum of the values that can change a result (descriptions and licences cannot)."""
        return checksums.of_value([self.name, self.reader, self.revision, self.options])


def card_names(kind: Literal["dataset", "benchmark"] | None = None) -> list[str]:
    """The cards of `data_catalog/`, variants included; of one kind if it is given."""
    cards = {path.stem: read_yaml(path) for path in catalog_dir().glob("*.yaml") if path.stem != PUBLISHED}
    wanted = {name: values.get("variants", {}) for name, values in cards.items() if kind in (None, values.get("kind"))}
    return sorted([*wanted, *(f"{name}_{suffix}" for name, suffixes in wanted.items() for suffix in suffixes)])


def load_card(name: str, kind: Literal["dataset", "benchmark"] | None = None) -> Card:
    """Read `data_catalog/<name>.yaml`, or the card that is a variant of another, or a card elsewhere by the path of its file.

    Args:
        name: of the card, or a path that ends in `.yaml`; files that such a card names are relative to its folder.
        kind: the one that is needed.

    Raises:
        MissingInputError: there is no card of this name (the nearest is given), or it is of another kind.
        ConfigError: the card has an unknown key or a wrong value.
    """
    values = _values_at(Path(name)) if _is_path(name) else _values(name)
    if values is None:
        names = card_names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Cards: {', '.join(names) or 'none'}."
        raise MissingInputError(f"no card {name!r} in {catalog_dir()}. {hint}")
    card = validate(Card, values, name if _is_path(name) else str(catalog_dir() / f"{name}.yaml"))
    if kind is not None and card.kind != kind:
        raise MissingInputError(f"card {name!r} is a {card.kind}; a {kind} is needed here")
    return card


def card_name(name_or_path: str) -> str:
    """The name of a card that is given by name or by the path of its file."""
    return Path(name_or_path).stem if _is_path(name_or_path) else name_or_path


def _is_path(name: str) -> bool:
    return name.endswith(".yaml")


def _values_at(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingInputError(f"no card at {path.absolute()}")
    values = {"name": path.stem, **read_yaml(path)}
    for entry in values.get("files", {}).values():
        if isinstance(entry, dict) and "path" in entry:
            entry["path"] = str(path.absolute().parent / entry["path"])
    return values


def _values(name: str) -> dict[str, Any] | None:
    path = catalog_dir() / f"{name}.yaml"
    if path.is_file() and name != PUBLISHED:
        return read_yaml(path)
    base, _, suffix = name.rpartition("_")
    values = (_values(base) if base else None) or {}
    variant = values.pop("variants", {}).get(suffix)
    return None if variant is None else {**values, **variant, "name": name}


def paths_checksum(paths: Sequence[Path]) -> str:
    """Checksum of one raw input, or of several in order."""
    sums = [path_checksum(path) for path in paths]
    return sums[0] if len(sums) == 1 else checksums.of_value(sums)


def path_checksum(path: Path) -> str:
    """Checksum of a raw input: a file's bytes, or an image folder's names and bytes."""
    return checksums.of_folder(path) if path.is_dir() else checksums.of_file(path)
