"""Download one file over HTTP: resumed if interrupted, checked by size and checksum, complete or absent.

The partial file is `<file>.part`, its ETag or Last-Modified in `<file>.part.json`. A server that stalls or closes early is asked
again from there; a reply of another version or range starts over. Not pooch: it does not resume.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from degla import checksums
from degla.errors import DataError, PassingFault, StorageError
from degla.files import write_text_atomic

logger = logging.getLogger(__name__)

ATTEMPTS = 5
"""Consecutive attempts without new bytes before giving up."""
STALL_SECONDS = 30.0
"""Timeout of a connection that sends nothing."""
_WAIT_SECONDS = 1.0  # before the second try; doubled after each
_SAY_SECONDS = 5.0
_FREE_BYTES_LEFT = 50 << 20
_GONE = {400, 401, 403, 404, 410, 451}


class _Cut(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class _Wanted:
    url: str
    part: Path
    size: int | None
    say: Callable[[str], None]

    @property
    def marks(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    @property
    def received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def download(
    url: str, path: Path, size: int | None, sha256: str | None, say: Callable[[str], None], stall: float = STALL_SECONDS
) -> None:
    """Download `url` to `path`.

    Args:
        url: http or https.
        path: the file, once complete and checked.
        size: expected bytes, if known.
        sha256: expected checksum, if known.
        say: called with a line of progress.
        stall: timeout of a silent connection in seconds.

    Raises:
        DataError: the server does not have the file, or its size or checksum differs (a resumed file is downloaded again first).
        PassingFault: the server does not answer or keeps stopping; the partial file is kept.
        StorageError: the file does not fit on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = _Wanted(url, path.with_name(f"{path.name}.part"), size, say)
    resumed = wanted.received > 0
    _receive(wanted, stall)
    problem = _problem(wanted, sha256)
    if problem and resumed:
        logger.warning("%s: %s; downloading it again from the start", url, problem)
        _forget(wanted)
        _receive(wanted, stall)
        problem = _problem(wanted, sha256)
    if problem:
        _forget(wanted)
        raise DataError(f"{url}: {problem}. The file was deleted, as it is not the one of the card. Check url, size and sha256.")
    os.replace(wanted.part, path)
    wanted.marks.unlink(missing_ok=True)


def _receive(wanted: _Wanted, stall: float) -> None:
    """Ask until the file is complete."""
    failures, wait = 0, _WAIT_SECONDS
    while True:
        before = wanted.received
        try:
            with httpx.Client(timeout=httpx.Timeout(stall), follow_redirects=True) as client:
                _ask(client, wanted)
            return
        except (httpx.TransportError, _Cut) as error:
            grew = wanted.received > before
            failures, wait = (1, _WAIT_SECONDS) if grew else (failures + 1, 2 * wait)
            if failures >= ATTEMPTS:
                raise PassingFault(
                    f"{wanted.url}: {_reason(error)}, {ATTEMPTS} times in a row; {wanted.received:,} bytes are kept. Try again"
                    f" later."
                ) from error
            wanted.say(f"{_reason(error)} at {wanted.received:,} bytes; resuming")
            time.sleep(0 if grew else wait)


def _ask(client: httpx.Client, wanted: _Wanted) -> None:
    start, headers = wanted.received, {"Accept-Encoding": "identity"}
    mark = _mark(wanted) if start else ""
    if start and mark:
        headers |= {"Range": f"bytes={start}-", "If-Range": mark}
    with client.stream("GET", wanted.url, headers=headers) as answer:
        if answer.status_code in _GONE:
            raise DataError(f"{wanted.url}: the server answers {answer.status_code} {answer.reason_phrase}. Check the address.")
        if answer.status_code not in (200, 206):
            _forget_if_refused(answer.status_code, wanted)
            raise _Cut(f"the server answers {answer.status_code}")
        start = start if answer.status_code == 206 and _continues(answer, start) else 0
        if answer.status_code == 206 and start == 0:
            _forget(wanted)
            raise _Cut("the server sent another range than requested")
        _write(answer, wanted, start)


def _write(answer: httpx.Response, wanted: _Wanted, start: int) -> None:
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    _check_space((total or wanted.size or 0) - start, wanted)
    mark = answer.headers.get("ETag", "")
    mark = "" if mark.startswith("W/") else mark or answer.headers.get("Last-Modified", "")
    write_text_atomic(wanted.marks, json.dumps({"url": wanted.url, "mark": mark}))
    last, done = time.monotonic(), start
    with wanted.part.open("ab" if start else "wb") as file:
        for block in answer.iter_raw():
            file.write(block)
            done += len(block)
            if wanted.size is not None and done > wanted.size:
                return  # `_problem` reports it
            if time.monotonic() - last > _SAY_SECONDS:
                last = time.monotonic()
                wanted.say(f"{done >> 20:,} MB" + (f" of {total >> 20:,} MB" if total else ""))
    if total is not None and done < total:
        raise _Cut("the connection was closed early")
    if total is None and wanted.size is not None and done < wanted.size:
        raise _Cut("the connection was closed early")


def _continues(answer: httpx.Response, start: int) -> bool:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _mark(wanted: _Wanted) -> str:
    """ETag or Last-Modified of the partial file; empty if it cannot be resumed."""
    try:
        kept = json.loads(wanted.marks.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return kept["mark"] if kept.get("url") == wanted.url else ""


def _problem(wanted: _Wanted, sha256: str | None) -> str:
    if wanted.size is not None and wanted.received != wanted.size:
        more = " or more" if wanted.received > wanted.size else ""
        return f"received {wanted.received:,} bytes{more}, expected {wanted.size:,}"
    if sha256 is not None and (found := checksums.read(wanted.part)) != sha256:
        return f"its checksum is {found[:16]}..., expected {sha256[:16]}..."
    return ""


def _forget_if_refused(status: int, wanted: _Wanted) -> None:
    if status == 416:  # range not satisfiable: the partial file is of another version, or longer than the file
        _forget(wanted)


def _forget(wanted: _Wanted) -> None:
    wanted.part.unlink(missing_ok=True)
    wanted.marks.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "the connection timed out"
    return str(error) or type(error).__name__


def _check_space(more: int, wanted: _Wanted) -> None:
    free = shutil.disk_usage(wanted.part.parent).free
    if more + _FREE_BYTES_LEFT > free:
        raise StorageError(
            f"{wanted.part.parent} has {free >> 20:,} MB free; the download needs {more >> 20:,} MB. Free space or move"
            f" DEGLA_DATA."
        )
