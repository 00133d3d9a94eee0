"""Two artifact roots compared byte by byte: equal inputs and settings must give equal files, anywhere, however often killed.

What may differ is named here: times and hosts stand in the manifest and in the section "Cost" of the report's page, and nowhere
else. Used by `benchmarks.chaos` and the tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from degla.artifacts import MANIFEST, Artifact
from degla.errors import DataError

OF_THIS_RUN = ("started", "seconds", "host", "files")
"""Fields of a manifest that say when and where it was made; `files` is compared by the files themselves."""
PAGE = "page.html"
_COST = re.compile(rb'<section id="cost">.*?</section>', re.DOTALL)


def differences(one: Path, two: Path, stages: Collection[str]) -> list[str]:
    """What two roots do not have in common, in words; empty if their artifacts are the same.

    Args:
        one: an artifact root.
        two: another one, in which a further file is a difference too, whether the manifest lists it or not.
        stages: whose artifacts are compared.
    """
    found = []
    for stage in stages:
        left, right = (dict(_artifacts(root / stage)) for root in (one, two))
        if left.keys() != right.keys():
            found.append(f"{stage}: artifacts {', '.join(left) or 'none'} and {', '.join(right) or 'none'}")
        for mark in sorted(left.keys() & right.keys()):
            found += [f"{stage}/{mark}: {text}" for text in _between(left[mark], right[mark])]
    return found


def _artifacts(folder: Path) -> Iterator[tuple[str, Artifact]]:
    for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
        yield manifest.parent.name, Artifact.load(manifest.parent)


def _between(one: Artifact, two: Artifact) -> Iterator[str]:
    try:
        two.verify()
    except DataError as error:
        yield str(error)
    if _stated(one) != _stated(two):
        fields = [name for name, value in _stated(one).items() if _stated(two)[name] != value]
        yield f"the manifests differ in {', '.join(fields)}"
    names, others = set(one.manifest.files), set(two.manifest.files)
    yield from (f"{name} is in one of them" for name in sorted(names ^ others))
    yield from (f"{name} differs" for name in sorted(names & others) if _content(one, name) != _content(two, name))
    yield from (f"{name} was left behind" for name in sorted(_present(two) - _present(one) - others))


def _present(artifact: Artifact) -> set[str]:
    return {path.relative_to(artifact.path).as_posix() for path in artifact.path.rglob("*") if path.is_file()}


def _stated(artifact: Artifact) -> dict[str, Any]:
    return artifact.manifest.model_dump(exclude=set(OF_THIS_RUN))


def _content(artifact: Artifact, name: str) -> bytes:
    content = (artifact.path / name).read_bytes()
    return _COST.sub(b"", content) if name == PAGE else content
