"""Checkpoints of a run: written beside, moved into place, the last few kept.

`step-000123/` holds the run's state, a file for each of student (with its moments), teacher and the objective's memory, and,
written last, `checkpoint.json` with the step (all of the data's position), the model's shapes and the checksum of every
file. Tensors are whole and named, so any number of ranks at any ZeRO stage can continue: bitwise as if never interrupted with
the same ranks, within rounding with others. No random state is kept: every draw is a function of seed, epoch and caption
(`degla.train.batches.streams`). Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import distributed

from degla import checksums
from degla.errors import DataError, StorageError
from degla.files import write_text_atomic
from degla.models.loading import check_shapes
from degla.train.job import whole_checkpoints
from degla.train.training import Run, State

_RECORD = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, as one rank sees them.

    Args:
        folder: their folder.
        keep: the number of last ones that stay.
        rank: of this process.
    """

    folder: Path
    keep: int
    rank: int

    def check_room(self, run: Run, every: int) -> None:
        """Check, before the first step, that the disk holds all checkpoints that exist at once: those that stay and the one
        being written, of which there is one every so many steps; and the weights that are kept. Raises StorageError."""
        one, kept = run.state_bytes(), run.kept_bytes()
        count = min(self.keep, (run.steps - run.done - 1) // every) + 1
        there = sum(file.stat().st_size for file in _files(self.folder))
        free = shutil.disk_usage(self.folder.parent).free + there
        if free < count * one + kept:
            also = f" and weights that are kept {kept / 1e9:.1f} GB" if kept else ""
            raise StorageError(
                f"checkpoints of {one / 1e9:.1f} GB, {count} of them at a time, need {count * one / 1e9:.1f} GB{also}, but"
                f" {free / 1e9:.1f} GB are free at {self.folder.parent}. Free space, set DEGLA_HOME to another disk, or lower"
                f" train.keep_checkpoints{' or raise train.keep_weights_every' if kept else ''}."
            )

    def save(self, run: Run) -> None:
        """Write the run's state. Every rank must call it. On an error nothing of it stays, so that there is room to report."""
        beside = self.folder / f".tmp-{run.done:06d}"
        state = run.state(keep=self.rank == 0)
        try:
            if self.rank == 0:
                self._write(run, state, beside)
            distributed.barrier()
        finally:
            if self.rank == 0:
                self._remove_unfinished()

    def load(self, path: Path, run: Run) -> None:
        """Restore the run's state. Every rank must call it.

        Raises:
            DataError: a file is missing, was changed, or the record cannot be read.
            ModelError: the checkpoint is of another model.
        """
        record = _read_record(path)
        found = {key: tuple(shape) for key, shape in record["shapes"].items()}
        check_shapes(run.student.shapes, found, str(path), "of this run")
        _verify(path, record["files"])
        run.restore({Path(name).stem: load_file(path / name) for name in record["files"]}, record["step"])

    def _write(self, run: Run, state: State, beside: Path) -> None:
        self._remove_unfinished()  # of a run that was killed while it wrote
        beside.mkdir(parents=True)
        for name, tensors in state.items():
            if tensors:
                save_file(dict(tensors), beside / f"{name}.safetensors")
        record = {
            "step": run.done,
            "shapes": run.student.shapes,
            "files": {path.name: checksums.read(path) for path in _files(beside)},
        }
        write_text_atomic(beside / _RECORD, json.dumps(record, indent=1))
        target = self.folder / f"step-{run.done:06d}"
        shutil.rmtree(target, ignore_errors=True)
        os.replace(beside, target)
        for old in whole_checkpoints(self.folder)[: -self.keep]:
            shutil.rmtree(old)

    def _remove_unfinished(self) -> None:
        for folder in self.folder.glob(".tmp-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read_record(path: Path) -> dict:
    try:
        return json.loads((path / _RECORD).read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path / _RECORD} cannot be read: {error}. Delete {path} to continue from an earlier checkpoint."
        ) from error


def _verify(path: Path, expected: Mapping[str, str]) -> None:
    found = {file.relative_to(path).as_posix() for file in _files(path)} - {_RECORD}
    changed = [name for name in expected if name not in found or checksums.read(path / name) != expected[name]]
    if changed or found - set(expected):
        names = ", ".join([*changed, *sorted(found - set(expected))])
        raise DataError(
            f"{path}: files differ from what was written: {names}. Delete {path} to continue from an earlier checkpoint."
        )
