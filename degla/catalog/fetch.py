"""Download the files of a card, check and unpack them, never outside the data root.

Downloads stay in `<data root>/.downloads/` until complete and checked; an archive until all its files are in place, so that a
killed run unpacks it again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from degla import checksums
from degla.catalog import Card, CardFile, Download
from degla.catalog.archives import unpack
from degla.catalog.download import download
from degla.errors import ConfigError, DataError
from degla.home import data_root

DOWNLOADS = ".downloads"


@dataclass(frozen=True)
class Step:
    """How to get a file manually that no program may or can download."""

    card: str
    role: str
    path: Path
    how: str
    optional: bool

    def sentence(self) -> str:
        """The step in words."""
        wanted = " (optional)" if self.optional else ""
        return f"{self.card}: {self.role} goes to {self.path}{wanted}: {self.how}"


def get(card: Card, say: Callable[[str], None]) -> list[Step]:
    """Download what is missing; returns the manual steps that remain.

    Raises:
        ConfigError: the card names a path outside the data root.
        DataError: a download differs from the card, or an archive holds a path outside its folder; nothing of it is kept.
        PassingFault: the server does not answer; the partial file is kept and resumed by the next call.
        StorageError: not enough space.
    """
    left = []
    for role, entry in card.files.items():
        path = below_root(entry.path)
        if is_there(entry):
            say(f"{role}: exists, at {path}")
        elif entry.members:
            _get_members(card.name, role, entry, path, say)
        elif entry.fetch and entry.url:
            _get_one(card.name, role, entry, path, say)
        else:
            left.append(Step(card.name, role, path, entry.steps or f"see {entry.url or card.source}", entry.optional))
    return left


def is_there(entry: CardFile) -> bool:
    """Whether the file or folder exists, complete as far as the card knows."""
    path = data_root() / entry.path
    if entry.members:
        return all((path / name).is_file() for name in entry.members)
    return path.exists() and not (entry.url and _kept(entry.url).exists())


def below_root(path: str) -> Path:
    """A card's path below the data root. Raises ConfigError if it is absolute or leaves it."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ConfigError(f"{path!r} is not a path below the data root ({data_root()}); nothing was written")
    return data_root() / path


def _get_members(card: str, role: str, entry: CardFile, folder: Path, say: Callable[[str], None]) -> None:
    for name, member in entry.members.items():
        place = below_root(f"{entry.path}/{name}")
        if not place.is_file():
            say(f"{role}: {name} from {member.url}")
            _move(_fetched(card, member, say), place, data_root())
    say(f"{role}: {len(entry.members)} files in {folder}")


def _get_one(card: str, role: str, entry: CardFile, path: Path, say: Callable[[str], None]) -> None:
    one = Download(url=str(entry.url), size=entry.size, sha256=entry.sha256)
    say(f"{role}: from {one.url}")
    kept = _fetched(card, one, say)
    if entry.fetch == "file":
        _move(kept, path, data_root())
        return
    base, scratch = below_root(entry.unpack), _folder() / f"{kept.name}.unpacked"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for file in unpack(kept, str(entry.fetch), scratch):
            _move(scratch / file, base / file, base)
    except DataError:
        kept.unlink()  # it would be wrong again
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not path.exists():
        kept.unlink()
        raise DataError(f"{one.url} holds no {path.relative_to(data_root())} below {entry.unpack!r}. Correct the card {card!r}.")
    kept.unlink()
    say(f"{role}: in {path}")


def _fetched(card: str, one: Download, say: Callable[[str], None]) -> Path:
    """The checked download."""
    kept = _kept(one.url)
    if not kept.exists():
        download(one.url, kept, one.size, one.sha256, say)
    elif one.sha256 and checksums.read(kept) != one.sha256:
        kept.unlink()
        download(one.url, kept, one.size, one.sha256, say)
    return kept


def _kept(url: str) -> Path:
    return _folder() / f"{checksums.of_value(url)[:12]}-{PurePosixPath(url.partition('?')[0]).name}"


def _folder() -> Path:
    return data_root() / DOWNLOADS


def _move(file: Path, place: Path, base: Path) -> None:
    """Move a file into place; refuse a link inside `base` that leads out of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.parent.resolve().is_relative_to(base.resolve()):
        raise DataError(f"{place.parent} is a link that leads out of {base}; nothing was written. Remove the link.")
    if place.is_dir():
        raise DataError(f"{place} is a folder; the card puts a file there. Remove the folder.")
    file.replace(place)
