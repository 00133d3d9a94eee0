"""What is recognised in a file, for a person: format, columns, rows, images, and the settings with which prepare reads it."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from degla.errors import DataError, first_few
from degla.sources.folders import ImageFolders
from degla.sources.options import SourceOptions, joined
from degla.sources.records import Record
from degla.sources.source import Recognised, Source, recognise

_ROWS = 3
_LOOKED_FOR = 1000  # images
_LISTED = 3
_SHOWN = 80
_BESIDE = 30  # folders
_NEAR = (".", "images", "Images", "..", "../images", "../Images")
"""Where images are looked for, from the folder of the captions."""


@dataclass
class Counts:
    """What a source holds."""

    records: int = 0
    captions: int = 0
    negatives: int = 0
    no_negatives: int = 0
    """Places for one that are empty."""
    splits: Counter[str] = field(default_factory=Counter)
    images: set[int] = field(default_factory=set)
    """Hashes of their ids."""
    names: dict[str, None] = field(default_factory=dict)
    """The first files that are to be found."""
    inside: int = 0
    """Images that the files hold."""
    first: list[Record] = field(default_factory=list)


def sniff(paths: str | Sequence[str], options: SourceOptions | None = None, images: Sequence[str] = ()) -> str:
    """The report on a file, folder or pattern.

    Args:
        paths: see `degla.sources.source.recognise`.
        options: what is known already.
        images: the folders of the images; empty looks near the file.

    Raises:
        InputError: see `recognise`; the message says what to set.
    """
    found = recognise(paths, options)
    source = Source(found)
    counts = _count(source)
    folders, lines = _images(found, counts, images)
    report = [
        f"format:    {found.format.name} ({found.format.about}){_several(found)}",
        *(f"           {line}" for line in found.said),
        f"holds:     {counts.captions:,} captions of {len(counts.images):,} images{_negatives(counts)}",
        *_splits(counts),
        *lines,
        *_left_out(source),
        f"rows:      {_row(counts.first[0]) if counts.first else 'none'}",
        *(f"           {_row(record)}" for record in counts.first[1:]),
        "",
        "to use it:",
        *_usage(paths, found, options or SourceOptions(), folders, counts),
    ]
    return "\n".join(line.rstrip() for line in report)


def _count(source: Source) -> Counts:
    counts = Counts()
    for record in source:
        counts.records += 1
        counts.captions += len(record.captions)
        counts.negatives += sum(bool(each.text) for each in record.negatives)
        counts.no_negatives += sum(not each.text for each in record.negatives)
        counts.images.add(hash(record.image or counts.records))
        counts.splits[record.split] += 1
        counts.inside += record.inside is not None
        if record.file and len(counts.names) < _LOOKED_FOR:
            counts.names[record.file] = None
        if len(counts.first) < _ROWS:
            counts.first.append(record)
    return counts


def _images(found: Recognised, counts: Counts, given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The folders that have the images, and what is to be said of them."""
    if counts.inside:
        return [], ["images:    in the files themselves, read in place"]
    if not counts.names:
        return [], ["images:    the file names none: captions only"]
    if all(name.startswith(("http://", "https://")) for name in counts.names):
        return [], ["images:    URLs. Download them (img2dataset) and prepare its output, or take the captions only"]
    if given:
        folders = [Path(folder) for folder in given]
        return folders, [_found(folders, counts.names)]
    folders = _covering(_candidates(found.files[0].parent, counts.names), counts.names)
    if not folders:
        return [], [
            f"images:    none of {first_few(counts.names, _LISTED)} found near the file. Give their folder with --images FOLDER"
        ]
    return folders, [_found(folders, counts.names)]


def _candidates(near: Path, names: Iterable[str]) -> list[Path]:
    own = [(near / place).resolve() for place in _NEAR]
    absolute = [Path(name).parent for name in islice(names, 1) if Path(name).is_absolute()]
    beside = sorted(path for path in near.iterdir() if path.is_dir())[:_BESIDE]
    return [folder for folder in dict.fromkeys((*absolute, *own, *beside)) if folder.is_dir()]


def _covering(candidates: Sequence[Path], names: Iterable[str]) -> list[Path]:
    """The folder that has most of the images, then the one that has most of those that are missing, and so on."""
    missing, folders = set(names), []
    present = {folder: _present([folder], missing) for folder in candidates}
    while present and missing:
        best = max(present, key=lambda folder: len(present[folder] & missing))
        if not present[best] & missing:
            break
        folders.append(best)
        missing -= present.pop(best)
    return folders


def _present(folders: Sequence[Path], names: Iterable[str]) -> set[str]:
    look = ImageFolders(folders)
    present = set()
    for name in names:
        try:
            if look.find(name)[0]:
                present.add(name)
        except DataError:  # outside these folders
            continue
    return present


def _found(folders: Sequence[Path], names: dict[str, None]) -> str:
    present = _present(folders, names)
    missing = [name for name in names if name not in present]
    where = ", ".join(map(str, folders))
    first = "the first " if len(names) == _LOOKED_FOR else ""
    line = f"images:    {len(present):,} of {first}{len(names):,} found in {where}"
    return line + (f"; missing: {first_few(missing, _LISTED)}" if missing else "")


def _several(found: Recognised) -> str:
    return f", {len(found.files)} files" if len(found.files) > 1 else ""


def _negatives(counts: Counts) -> str:
    empty = f" ({counts.no_negatives:,} more are empty)" if counts.no_negatives else ""
    return f", {counts.negatives:,} negatives{empty}" if counts.negatives else ""


def _splits(counts: Counts) -> list[str]:
    named = {name or "(none)": count for name, count in sorted(counts.splits.items())}
    if not any(counts.splits):
        return []
    return [f"splits:    {', '.join(f'{name} {count:,}' for name, count in named.items())}; choose with splits"]


def _left_out(source: Source) -> list[str]:
    reasons = Counter(each.reason for each in source.skipped)
    lines = []
    for reason, count in reasons.most_common(_LISTED):
        where = next(each.where for each in source.skipped if each.reason == reason)
        lines.append(f"left out:  {count:,}: {reason} (first: {where})")
    return lines


def _row(record: Record) -> str:
    caption = record.captions[0] if record.captions else "(no caption)"
    more = f" (+{len(record.captions) - 1})" if len(record.captions) > 1 else ""
    negative = f" | not: {record.negatives[0].text[:_SHOWN]}" if record.negatives else ""
    line = f"{record.image or '(no image)'} | {caption[:_SHOWN]}{more}{negative}"
    return line.encode("utf-8", "replace").decode()


class _Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _usage(
    paths: str | Sequence[str], found: Recognised, given: SourceOptions, folders: Sequence[Path], counts: Counts
) -> Iterator[str]:
    """The settings of each stage that can take the file, as YAML; of prepare also as it is typed."""
    files = [os.path.abspath(os.path.expanduser(each)) for each in ([paths] if isinstance(paths, str) else paths)]
    set_here = [name for name in SourceOptions.model_fields if _is_set(name, found, given)]
    options = {name: _plain(getattr(found.options, name)) for name in set_here}
    settings: dict[str, Any] = {"dataset": "photos", "captions": _plain(files)}
    if folders or not counts.inside:
        settings["images"] = _plain([str(folder) for folder in folders] or ["none"])
    stages: dict[str, Any] = {"prepare": {**settings, "options": options}}
    if counts.negatives:
        stages["generate"] = {"imports": [{"path": file, "options": options} for file in files]}
    if len(files) == 1 and len(folders) < 2 and (folders or counts.inside):
        paths_of = {"captions": files[0], "images": str(folders[0])} if folders else {"captions": files[0]}
        stages["evaluate"] = {"benchmarks": [{"name": "retrieval_photos", "paths": paths_of, "options": options}]}
    text = yaml.dump(stages, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    yield from (f"  {line}" for line in text.splitlines())
    typed = (f"-o {shlex.quote(f'prepare.{name}={_typed(value)}')}" for name, value in settings.items() if name != "dataset")
    yield f"or, recognised again: python -m degla.prepare photos {' '.join(typed)}"


def _typed(value: str | list[str]) -> str:
    return str(joined(value))


def _is_set(name: str, found: Recognised, given: SourceOptions) -> bool:
    default = SourceOptions.model_fields[name].get_default()
    if name == "encoding" and found.options.encoding.startswith("utf-8"):
        return False
    return (name in found.guessed or name in given.model_fields_set) and getattr(found.options, name) != default


def _plain(value: Any) -> Any:
    """A sequence of one as what it holds."""
    if not isinstance(value, tuple | list):
        return value
    return value[0] if len(value) == 1 else list(value)
