"""Errors. Every message names what is wrong, where, and how to fix it.

    DeglaError
    ├── InputError              the user's input: never retried, exit code 2
    │   ├── ConfigError         an unknown key, a value of the wrong kind
    │   ├── DataError           an unreadable file, or a row that breaks its schema
    │   ├── MissingInputError   an artifact, card or file that must be made or downloaded first
    │   ├── ModelError          a checkpoint that does not match its model
    │   └── StorageError        no space or no permission at the artifact root
    └── PassingFault            may be gone at the next attempt: retried, exit code 75
        ├── EngineStartError    a generation engine or a rank did not start
        └── LostRankError       a training process died or hangs

Exit codes carry the type from a stage's child process to its Prefect task, which decides on a retry. Any other error is a bug:
exit code 1.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

EXIT_BUG = 1
EXIT_INPUT = 2
EXIT_PASSING_FAULT = 75  # EX_TEMPFAIL of sysexits.h

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


class DeglaError(Exception):
    """Base of every error that degla raises on purpose."""


class InputError(DeglaError):
    """The input is wrong; a retry cannot help."""

    listed: tuple[InputError, ...] = ()
    """The errors that its message lists, if it is of several."""


class ConfigError(InputError):
    """A configuration key or value is wrong."""


class DataError(InputError):
    """A file cannot be read, or a row breaks its schema."""


class MissingInputError(InputError):
    """An artifact, card or file does not exist yet."""


class ModelError(InputError):
    """A checkpoint does not match its model."""


class StorageError(InputError):
    """The artifact root cannot be written."""


class PassingFault(DeglaError):
    """A fault that may be gone at the next attempt."""


class EngineStartError(PassingFault):
    """A generation engine or a training rank did not start."""


class LostRankError(PassingFault):
    """A training process died or stopped answering."""


class Problems:
    """Input errors of several checks: whoever brings the input hears of all of them at once."""

    def __init__(self) -> None:
        self._found: dict[str, InputError] = {}

    @property
    def found(self) -> tuple[InputError, ...]:
        """What was noted so far."""
        return tuple(self._found.values())

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep an InputError of the block, and go on after it."""
        try:
            yield
        except InputError as error:
            for each in error.listed or (error,):
                self._found.setdefault(str(each), each)

    def raise_any(self) -> None:
        """Raises the InputError that was noted, or one of the first one's type that lists them all."""
        errors = list(self._found.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            kind = type(errors[0]) if len({type(error) for error in errors}) == 1 else InputError
            listed = "".join(f"\n{number}. {error}" for number, error in enumerate(errors, 1))
            whole = kind(f"{len(errors)} things are missing or wrong:{listed}")
            whole.listed = tuple(errors)
            raise whole


def exit_code(error: BaseException) -> int:
    """The exit code that tells the parent process the type of the error."""
    if isinstance(error, InputError):
        return EXIT_INPUT
    if isinstance(error, (PassingFault, OSError)):
        return EXIT_PASSING_FAULT
    return EXIT_BUG


def is_storage_error(error: OSError) -> bool:
    """Whether the target cannot be written: full, read-only or forbidden."""
    return error.errno in _STORAGE_ERRNOS


def first_few(names: Iterable[str], limit: int = 4) -> str:
    """The first names of a list, for a message."""
    listed = list(names)
    return ", ".join(listed[:limit]) + (", ..." if len(listed) > limit else "")
