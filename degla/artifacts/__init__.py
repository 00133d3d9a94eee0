"""Artifacts: the folder `<root>/<stage>/<fingerprint>/` that a stage makes. It holds the data, `config.json` and `manifest.json`,
which is written last: without it the artifact is unfinished.

The fingerprint hashes the stage's version, its effective config, the fingerprints of the artifacts it reads and the checksums of
the raw files it reads. Equal fingerprints mean equal results, so a finished artifact is reused.

Part of the foundation. Read this module, then `collection` (all below a root); `python -m degla.artifacts` is the command.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from degla import __version__, checksums
from degla.config import StageConfig, effective
from degla.errors import DataError, MissingInputError, StorageError, is_storage_error
from degla.files import locked, write_text_atomic

MANIFEST = "manifest.json"
CONFIG = "config.json"
LOCK, IN_USE = ".lock", ".in-use"
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
    """What an artifact was made from, by which code and settings, and the checksums of its files. Marks it as finished."""

    model_config = ConfigDict(frozen=True)

    stage: str
    stage_version: int
    fingerprint: str
    config: dict[str, object]
    """The settings that can change the result (`config.effective`); `config.json` has all, of the run that began last."""
    inputs: dict[str, str]
    """Stage name to the fingerprint of the artifact that was read."""
    raw: dict[str, str]
    """Name to checksum of the files and cards read besides artifacts."""
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
            DataError: the artifact has no such file, or the file is missing or changed its size.
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
        """Compare every file with its checksum. Raises DataError for the first that differs."""
        for name, entry in self.manifest.files.items():
            if checksums.read(self.file(name)) != entry.sha256:
                raise DataError(f"{self.path / name} was changed after it was made; delete {self.path} and run again")


def fingerprint(config: StageConfig, inputs: Mapping[str, str], raw: Mapping[str, str]) -> str:
    """The 16 hex digits that name an artifact.

    Args:
        config: the stage's config; settings marked NO_EFFECT are left out.
        inputs: stage name to fingerprint of the artifacts read.
        raw: name to checksum of everything else read.
    """
    return checksums.of_value([config.stage, config.version, effective(config), dict(inputs), dict(raw)])[:16]


@dataclass
class Building:
    """An unfinished artifact, locked by one process; `finished` is set if it was made before."""

    path: Path
    config: StageConfig
    inputs: dict[str, str]
    raw: dict[str, str]
    fingerprint: str
    finished: Artifact | None = None
    _started: float = field(default_factory=time.time)

    def finish(self, counts: Mapping[str, int | float], files: list[str]) -> Artifact:
        """Write the manifest, which finishes the artifact.

        Args:
            counts: row counts and figures to show in lists of artifacts.
            files: the artifact's files, relative to its folder.
        """
        entries = {}
        for name in sorted(files):
            path = self.path / name
            entries[name] = FileEntry(size=path.stat().st_size, sha256=checksums.read(path))
        manifest = Manifest(
            stage=self.config.stage,
            stage_version=self.config.version,
            fingerprint=self.fingerprint,
            config=effective(self.config),
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
    """Lock `out_dir` while a stage makes its artifact there; yields a finished one at once, from a read-only folder too.

    A second process waits for the lock, then finds the artifact finished. The parts of a killed process stay, so that the stage
    continues from them. What it reads cannot be removed meanwhile.

    Raises:
        MissingInputError: an artifact that the stage needs was not given.
        StorageError: the folder cannot be written, or less than 50 MB are free.
        DataError: the folder holds another artifact, finished or not.
    """
    missing = [name for name in config.needs if name not in inputs]
    if missing:
        raise MissingInputError(f"{config.stage} needs the artifacts {', '.join(config.needs)}; not given: {', '.join(missing)}")
    used = {name: inputs[name].fingerprint for name in config.needs}
    raw = config.raw_inputs()
    build = Building(out_dir, config, used, raw, fingerprint(config, used, raw))
    build.finished = _existing(build)
    if build.finished is not None:
        yield build
        return
    try:
        check_writable(out_dir)
        waiting = f"another process is making {out_dir}: waiting for it"
        with in_use(*(each.path for each in inputs.values())), locked(out_dir / LOCK, waiting) as lock:
            build.finished = _existing(build)
            if build.finished is None:
                _claim(build, lock)
                write_text_atomic(out_dir / CONFIG, json.dumps(config.model_dump(mode="json"), indent=2))
            yield build
    except OSError as error:
        if is_storage_error(error):
            raise cannot_write(out_dir, error) from error
        raise


@contextmanager
def in_use(*folders: Path) -> Iterator[None]:
    """Keep `collection.remove` from folders that are read, or made without their lock; any number of processes may."""
    with ExitStack() as stack:
        for folder in folders:
            with suppress(OSError):  # what cannot be written cannot be removed
                fcntl.flock(stack.enter_context((folder / IN_USE).open("a")), fcntl.LOCK_SH)
        yield


def cannot_write(folder: Path, error: OSError) -> StorageError:
    """The error for a file in an artifact's folder that could not be written (`errors.is_storage_error`)."""
    return StorageError(f"cannot write below {folder}: {error}. Free space or set DEGLA_HOME to another folder.")


def check_writable(folder: Path) -> None:
    """Raises StorageError if `folder` cannot be created or written, or less than 50 MB are free."""
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


def _claim(build: Building, lock: TextIO) -> None:
    """Write the fingerprint into the lock, so that no other artifact continues from these parts."""
    lock.seek(0)
    begun = lock.read()
    if begun not in ("", build.fingerprint):
        raise DataError(
            f"{build.path} holds parts of artifact {begun}, made with other settings or inputs; expected {build.fingerprint}."
            f" Give an empty folder, or delete this one."
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
            f"{build.path} holds the artifact {artifact.stage} {artifact.fingerprint}; expected {build.config.stage}"
            f" {build.fingerprint}. Give an empty folder."
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
