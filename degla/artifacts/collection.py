"""The artifacts below a root: what is there, from what each was made, what differs between two, and what may go."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degla.artifacts import CONFIG, IN_USE, LOCK, MANIFEST, Artifact, Manifest
from degla.config import StageConfig, effective
from degla.errors import DataError, StorageError
from degla.overrides import flat

_NOTHING = "nothing"


@dataclass(frozen=True)
class Shelf:
    """The artifacts of some stages below a root."""

    finished: tuple[Artifact, ...]
    """By stage in the pipeline's order, the newest first."""
    unfinished: tuple[Path, ...]
    """Folders with parts, from which their stage continues."""
    damaged: tuple[str, ...]
    """What is wrong with folders whose manifest cannot be read."""

    def of(self, stage: str) -> list[Artifact]:
        """Those of a stage, the newest first."""
        return [each for each in self.finished if each.stage == stage]

    def by_fingerprint(self) -> dict[str, Artifact]:
        """Fingerprint to artifact."""
        return {each.fingerprint: each for each in self.finished}


def read_shelf(root: Path, stages: Iterable[str]) -> Shelf:
    """What is below `root`."""
    finished, unfinished, damaged = [], [], []
    for stage in stages:
        found = []
        for folder in sorted(path for path in (root / stage).glob("*") if path.is_dir()):
            if (folder / MANIFEST).is_file():
                try:
                    found.append(Artifact.load(folder))
                except DataError as error:
                    damaged.append(str(error))
            elif (folder / CONFIG).is_file():
                unfinished.append(folder)
        finished += sorted(found, key=lambda each: each.manifest.started, reverse=True)
    return Shelf(tuple(finished), tuple(unfinished), tuple(damaged))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


@dataclass(frozen=True)
class Difference:
    """A setting, input or raw file that two artifacts of a stage do not share."""

    name: str
    there: Any
    """Of the finished artifact."""
    here: Any
    """Of the one that would be made."""

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.there)} -> {_shown(self.here)}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def differences(manifest: Manifest, config: StageConfig, inputs: Mapping[str, str], raw: Mapping[str, str]) -> list[Difference]:
    """What makes the fingerprint of a config another than that of a finished artifact.

    Args:
        manifest: of the finished artifact, of the same stage.
        config: of the artifact that would be made, with its refresh counter.
        inputs: stage name to fingerprint of what it would read.
        raw: name to checksum of what else it would read.
    """
    found = []
    if manifest.stage_version != config.version:
        found.append(Difference("version of the stage's code", manifest.stage_version, config.version))
    there, here = flat(manifest.config, f"{config.stage}."), flat(effective(config), f"{config.stage}.")
    found += [Difference(name, there.get(name, _NOTHING), value) for name, value in here.items() if there.get(name) != value]
    for what, old, new in (("artifact of {}", manifest.inputs, inputs), ("file or card {}", manifest.raw, raw)):
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found.append(Difference(what.format(name), old.get(name, _NOTHING), new.get(name, _NOTHING)))
    return found


def lineage(artifact: Artifact, known: Mapping[str, Artifact]) -> list[tuple[int, str, Artifact | None]]:
    """An artifact and all that it was made from, each once: depth, fingerprint and artifact, which is None if it is not there."""
    found: dict[str, tuple[int, str, Artifact | None]] = {}

    def add(depth: int, mark: str, each: Artifact | None) -> None:
        if mark not in found:
            found[mark] = (depth, mark, each)
            for read in each.manifest.inputs.values() if each else ():
                add(depth + 1, read, known.get(read))

    add(0, artifact.fingerprint, artifact)
    return list(found.values())


def unused(shelf: Shelf, used: Collection[Path]) -> list[Path]:
    """The folders, finished or not, that are none of `used` and from which none of `used` was made."""
    kept = {*used, *made_from(shelf, [each for each in shelf.finished if each.path in used])}
    return [path for path in (*(each.path for each in shelf.finished), *shelf.unfinished) if path not in kept]


def made_from(shelf: Shelf, artifacts: Iterable[Artifact]) -> dict[Path, Artifact]:
    """The folders from which these artifacts were made, each with the first of them."""
    known = shelf.by_fingerprint()
    found: dict[Path, Artifact] = {}
    for artifact in artifacts:
        for _, _, each in lineage(artifact, known)[1:]:
            if each is not None:
                found.setdefault(each.path, artifact)
    return found


def remove(folder: Path) -> bool:
    """Delete an artifact, the manifest first, so that a kill leaves no finished artifact without its files. False if a process
    is making it, or makes another from it.

    Raises:
        StorageError: it cannot be deleted.
    """
    try:
        with (folder / LOCK).open("a") as lock, (folder / IN_USE).open("a") as use:
            try:
                for each in (lock, use):
                    fcntl.flock(each, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(f"{folder} cannot be deleted: {error.strerror}. Delete again to remove what is left.") from error
    return True
