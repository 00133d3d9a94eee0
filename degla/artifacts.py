"""Artifacts: what a stage makes. A folder `<root>/<stage>/<fingerprint>/` with the data, `config.json` and, written
last, `manifest.json`. No manifest means not finished.

The fingerprint is a hash of the stage's version, its effective config, the fingerprints of the artifacts it read and
the checksums of the raw files it read. Equal fingerprints mean equal results, so a finished artifact is reused.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from degla import __version__, checksums
from degla.config import StageConfig, effective
from degla.errors import DataError, MissingInputError, StorageError, is_storage_error
from degla.files import write_text_atomic

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CONFIG = "config.json"
_VERSIONED = (
    "torch",
    "open_clip_torch",
    "deepspeed",
    "duckdb",
    "pyarrow",
    "numpy",
    "pillow",
    "HanTa",
    "lemminflect",
)
_FREE_BYTES_NEEDED = 50 << 20


class FileEntry(BaseModel):
    """Size in bytes and SHA-256 of one file of an artifact."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """What an artifact is, what it was made from and by what; its presence means that the artifact is whole."""

    model_config = ConfigDict(frozen=True)

    stage: str
    stage_version: int
    fingerprint: str
    config: dict[str, object]
    inputs: dict[str, str]
    """Stage name to the fingerprint of the artifact that was read."""
    raw: dict[str, str]
    """Name to checksum of what was read besides artifacts."""
    counts: dict[str, int | float]
    files: dict[str, FileEntry]
    versions: dict[str, str]
    started: str
    seconds: float
    host: str


@dataclass(frozen=True)
class Artifact:
    """A finished artifact."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: Path) -> Artifact:
        """Open a finished artifact.

        Raises:
            MissingInputError: the folder does not exist, or holds no manifest.
            DataError: the manifest cannot be read.
        """
        manifest_path = path / MANIFEST
        if not manifest_path.is_file():
            raise MissingInputError(
                f"{path} holds no finished artifact: it has no {MANIFEST}. Check the path, or run its stage to the end."
            )
        try:
            return cls(path, Manifest.model_validate_json(manifest_path.read_bytes()))
        except OSError as error:
            raise DataError(f"{manifest_path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            what = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
            raise DataError(f"{manifest_path} is damaged ({what}). Delete {path} and run its stage again.") from error

    @property
    def stage(self) -> str:
        return self.manifest.stage

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def counts(self) -> dict[str, int | float]:
        return self.manifest.counts

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists.

        Raises:
            DataError: the file is not part of the artifact, is gone, or has another size than it was written with.
        """
        entry = self.manifest.files.get(name)
        path = self.path / name
        if entry is None:
            raise DataError(f"artifact {self.path} has no file {name!r}; it has: {', '.join(self.manifest.files)}")
        if not path.is_file() or path.stat().st_size != entry.size:
            raise DataError(
                f"{path} is missing or was changed after it was made (expected {entry.size} bytes). Delete the folder"
                f" {self.path} and run the {self.stage} stage again."
            )
        return path

    def has(self, name: str) -> bool:
        """Whether the manifest lists this file."""
        return name in self.manifest.files

    def verify(self) -> None:
        """Compare every file with its checksum. Raises DataError at the first that differs."""
        for name, entry in self.manifest.files.items():
            if checksums.read(self.file(name)) != entry.sha256:
                raise DataError(f"{self.path / name} was changed after it was made; delete {self.path} and run again")


def fingerprint(config: StageConfig, inputs: Mapping[str, str], raw: Mapping[str, str]) -> str:
    """The 16 hex digits that name an artifact.

    Args:
        config: the stage's config; settings marked as without effect are left out.
        inputs: stage name to fingerprint of the artifacts read.
        raw: name to checksum of everything else read.
    """
    return checksums.of_value([config.stage, config.version, effective(config), dict(inputs), dict(raw)])[:16]


@dataclass
class Building:
    """An artifact in the making, held by one process. `finished` is set where it was made before."""

    path: Path
    config: StageConfig
    inputs: dict[str, str]
    raw: dict[str, str]
    fingerprint: str
    finished: Artifact | None = None
    _started: float = field(default_factory=time.time)

    def finish(self, counts: Mapping[str, int | float], files: list[str]) -> Artifact:
        """Write the manifest: from here on the artifact exists.

        Args:
            counts: row counts and figures worth seeing in a list of artifacts.
            files: names, relative to the folder, of the files that make up the artifact.
        """
        entries = {}
        for name in sorted(files):
            path = self.path / name
            entries[name] = FileEntry(size=path.stat().st_size, sha256=checksums.read(path))
        manifest = Manifest(
            stage=self.config.stage,
            stage_version=self.config.version,
            fingerprint=self.fingerprint,
            config=self.config.model_dump(mode="json"),
            inputs=self.inputs,
            raw=self.raw,
            counts=dict(counts),
            files=entries,
            versions=_versions(),
            started=datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            seconds=round(time.time() - self._started, 1),
            host=socket.gethostname(),
        )
        write_text_atomic(self.path / MANIFEST, manifest.model_dump_json(indent=2))
        self.finished = Artifact(self.path, manifest)
        return self.finished


@contextmanager
def building(config: StageConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Iterator[Building]:
    """Hold `out_dir` while a stage makes its artifact there; a finished one is handed back at once.

    Only one process builds an artifact at a time: a second one waits, then finds it finished. Parts that a killed
    process left are kept, and it is for the stage to go on from them.

    Raises:
        MissingInputError: an artifact that the stage needs was not given.
        StorageError: the folder cannot be written, or too little space is left.
        DataError: the folder holds another artifact, finished or not.
    """
    missing = [name for name in config.needs if name not in inputs]
    if missing:
        raise MissingInputError(f"{config.stage} needs the artifacts {', '.join(config.needs)}; not given: {', '.join(missing)}")
    used = {name: inputs[name].fingerprint for name in config.needs}
    raw = config.raw_inputs()
    build = Building(out_dir, config, used, raw, fingerprint(config, used, raw))
    try:
        check_writable(out_dir)
        with _locked(out_dir) as lock:
            build.finished = _existing(build)
            if build.finished is None:
                _claim(build, lock)
                write_text_atomic(out_dir / CONFIG, json.dumps(config.model_dump(mode="json"), indent=2))
            yield build
    except OSError as error:
        if is_storage_error(error):
            raise cannot_write(out_dir, error) from error
        raise


def cannot_write(folder: Path, error: OSError) -> StorageError:
    """What to raise where a file below an artifact's folder could not be written (`errors.is_storage_error`)."""
    return StorageError(f"cannot write below {folder}: {error}. Free space or set DEGLA_HOME to another folder.")


def check_writable(folder: Path) -> None:
    """Raises StorageError where `folder` cannot be made or written, or almost no space is left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-probe"
        probe.write_bytes(b"x")
        probe.unlink(missing_ok=True)  # another process may probe as well
        statistics = os.statvfs(folder)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}. Set DEGLA_HOME to a folder you can write.") from error
    free = statistics.f_bavail * statistics.f_frsize
    if free < _FREE_BYTES_NEEDED:
        raise StorageError(f"only {free >> 20} MB are free at {folder}. Free space or set DEGLA_HOME to another disk.")


@contextmanager
def _locked(folder: Path) -> Iterator[TextIO]:
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another process is making %s: waiting for it", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _claim(build: Building, lock: TextIO) -> None:
    """Write into the lock which artifact is in the making, so that no other one goes on from its parts."""
    lock.seek(0)
    begun = lock.read()
    if begun not in ("", build.fingerprint):
        raise DataError(
            f"{build.path} holds parts of another artifact ({begun}, wanted {build.fingerprint}): its settings or inputs were"
            f" others. Give an empty folder, or delete this one."
        )
    if not begun:
        lock.write(build.fingerprint)
        lock.flush()


def _existing(build: Building) -> Artifact | None:
    if not (build.path / MANIFEST).is_file():
        return None
    artifact = Artifact.load(build.path)
    if artifact.fingerprint != build.fingerprint:
        raise DataError(
            f"{build.path} holds another artifact ({artifact.stage} {artifact.fingerprint}, wanted {build.config.stage}"
            f" {build.fingerprint}). Give an empty folder."
        )
    return artifact


def _versions() -> dict[str, str]:
    versions = {"degla": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
