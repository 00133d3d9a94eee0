"""What can go wrong, as types; every message says what was wrong, where, and what to do.

    DeglaError
    ├── InputError              the user's input: never retried, exit code 2
    │   ├── ConfigError         an unknown key, a value of the wrong kind
    │   ├── DataError           a file or a row that cannot be read or breaks its schema
    │   ├── MissingInputError   an artifact, card or file that has to be made or put in place first
    │   ├── ModelError          a checkpoint that does not match its model
    │   └── StorageError        no space or no permission at the artifact root
    └── PassingFault            may be gone at the next try: retried, exit code 75
        ├── EngineStartError    a generation engine or a rank that did not come up
        └── LostRankError       a training process that died or hung

Exit codes carry the type from a stage's child process to its Prefect task, which decides on a retry. An error
of any other type is a bug and exits with 1.
"""

from __future__ import annotations

import errno

EXIT_BUG = 1
EXIT_INPUT = 2
EXIT_PASSING_FAULT = 75  # EX_TEMPFAIL of sysexits.h

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


class DeglaError(Exception):
    """Base of every error that degla raises on purpose."""


class InputError(DeglaError):
    """The input is wrong; trying again cannot help."""


class ConfigError(InputError):
    """A configuration key or value is wrong."""


class DataError(InputError):
    """A file or row cannot be read, or breaks its schema."""


class MissingInputError(InputError):
    """Something that has to exist before does not."""


class ModelError(InputError):
    """A checkpoint does not match the model it should be loaded into."""


class StorageError(InputError):
    """The artifact root cannot be written."""


class PassingFault(DeglaError):
    """A fault that may be gone at the next try."""


class EngineStartError(PassingFault):
    """A generation engine or a training rank did not come up."""


class LostRankError(PassingFault):
    """A training process died or stopped answering."""


def exit_code(error: BaseException) -> int:
    """The exit code that tells a parent process what kind of error ended the child."""
    if isinstance(error, InputError):
        return EXIT_INPUT
    if isinstance(error, (PassingFault, OSError)):
        return EXIT_PASSING_FAULT
    return EXIT_BUG


def is_storage_error(error: OSError) -> bool:
    """Whether an OSError means that the target cannot be written: full, read-only or forbidden."""
    return error.errno in _STORAGE_ERRNOS
