"""Checkpoints of a run: written beside, moved into place, the last few kept.

`step-000123/` holds the student with its moments, the teacher, what the objective remembers, each rank's random state and,
written last, `checkpoint.json` with the step (all of the data's position), the model's shapes and the checksum of every
file. Tensors are whole and named, so any number of ranks at any ZeRO stage can go on: bitwise as if never interrupted with
the same ranks, within rounding with others. Nothing is unpickled.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed

from degla import checksums
from degla.errors import DataError, StorageError
from degla.files import write_text_atomic
from degla.models.loading import check_shapes
from degla.train.engine import Engine
from degla.train.job import whole_checkpoints
from degla.train.teacher import Teacher

_RECORD = "checkpoint.json"
_STUDENT = "student.safetensors"
_TEACHER = "teacher.safetensors"
_MEMORY = "objective.safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, as one rank sees them.

    Args:
        folder: where they lie.
        keep: how many of the last stay.
        rank, num_ranks: of this process.
    """

    folder: Path
    keep: int
    rank: int
    num_ranks: int

    def check_room(self, engine: Engine, teacher: Teacher | None, steps_left: int, every: int) -> None:
        """Look, before the first step, whether the disk holds all checkpoints that will be there at once: those that stay and
        the one being written.

        Args:
            engine, teacher: what is saved.
            steps_left: optimizer steps to go.
            every: steps between checkpoints.

        Raises:
            StorageError: it does not.
        """
        of_teacher = 0 if teacher is None else 4 * sum(map(math.prod, engine.shapes().values()))
        one = engine.state_bytes() + of_teacher
        count = min(self.keep, (steps_left - 1) // every) + 1
        there = sum(file.stat().st_size for file in _files(self.folder))
        free = shutil.disk_usage(self.folder.parent).free + there
        if free < count * one:
            raise StorageError(
                f"checkpoints of {one / 1e9:.1f} GB, {count} of them at a time, need {count * one / 1e9:.1f} GB, but"
                f" {free / 1e9:.1f} GB are free at {self.folder.parent}. Free space, set DEGLA_HOME to another disk, or lower"
                f" train.keep_checkpoints."
            )

    def save(self, step: int, engine: Engine, teacher: Teacher | None, memory: Mapping[str, Tensor]) -> None:
        """Write the state after `step` optimizer steps, with the objective's memory. Every rank has to call it.

        Where it cannot be written whole, nothing of it stays, so that the error has room to be told.
        """
        beside, writes = self.folder / f".tmp-{step:06d}", self.rank == 0
        if writes:
            self._remove_unfinished()  # of a run that was killed while it wrote
            beside.mkdir(parents=True)
        distributed.barrier()
        try:
            self._write(beside, engine, teacher, memory)
            distributed.barrier()
            if writes:
                self._publish(step, beside, engine.shapes())
        finally:
            if writes:
                self._remove_unfinished()

    def _write(self, beside: Path, engine: Engine, teacher: Teacher | None, memory: Mapping[str, Tensor]) -> None:
        writes = self.rank == 0
        save_file({"state": torch.get_rng_state()}, beside / f"random-{self.rank}.safetensors")
        whole = {
            _STUDENT: engine.state(keep=writes),
            _TEACHER: {} if teacher is None else teacher.state(keep=writes),
            _MEMORY: {name: value.cpu().contiguous() for name, value in memory.items()},
        }
        for name, tensors in whole.items():
            if writes and tensors:
                save_file(tensors, beside / name)

    def _remove_unfinished(self) -> None:
        for folder in self.folder.glob(".tmp-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def load(self, path: Path, engine: Engine, teacher: Teacher | None, memory: MutableMapping[str, Tensor]) -> int:
        """Restore the state, with the objective's memory, and return its step. Every rank has to call it.

        Raises:
            DataError: a file is missing, was changed, or the record cannot be read.
            ModelError: the checkpoint is of another model.
        """
        record = _read_record(path)
        check_shapes(engine.shapes(), {key: tuple(shape) for key, shape in record["shapes"].items()}, str(path), "of this run")
        _verify(path, record["files"])
        engine.restore(load_file(path / _STUDENT), record["step"])
        if teacher is not None:
            teacher.restore(load_file(path / _TEACHER), str(path / _TEACHER))
        if memory:
            memory.update(load_file(path / _MEMORY))
        if record["ranks"] == self.num_ranks:
            torch.set_rng_state(load_file(path / f"random-{self.rank}.safetensors")["state"])
        return record["step"]

    def _publish(self, step: int, beside: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        record = {
            "step": step,
            "ranks": self.num_ranks,
            "shapes": shapes,
            "files": {path.relative_to(beside).as_posix(): checksums.read(path) for path in _files(beside)},
        }
        write_text_atomic(beside / _RECORD, json.dumps(record, indent=1))
        target = self.folder / f"step-{step:06d}"
        shutil.rmtree(target, ignore_errors=True)
        os.replace(beside, target)
        for old in whole_checkpoints(self.folder)[: -self.keep]:
            shutil.rmtree(old)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read_record(path: Path) -> dict:
    try:
        return json.loads((path / _RECORD).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path / _RECORD} cannot be read: {error}. Delete {path} to go on from an earlier one.") from error


def _verify(path: Path, expected: Mapping[str, str]) -> None:
    found = {file.relative_to(path).as_posix() for file in _files(path)} - {_RECORD}
    changed = [name for name in expected if name not in found or checksums.read(path / name) != expected[name]]
    if changed or found - set(expected):
        names = ", ".join([*changed, *sorted(found - set(expected))])
        raise DataError(f"{path}: not as it was written: {names}. Delete {path} to go on from an earlier one.")
