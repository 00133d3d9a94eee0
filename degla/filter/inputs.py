"""What the filter reads: captions and rewrites, checked before anything is judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from degla.artifacts import Artifact
from degla.database import Database
from degla.errors import ConfigError, DataError
from degla.images import IMAGES_FILE, read_images
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, REWRITES, RewriteStatus, check_pages, check_table


def input_files(inputs: Mapping[str, Artifact]) -> tuple[Path, list[Path]]:
    """The captions table and the parts of the rewrites. Raises DataError where one is missing or not of its schema."""
    captions = inputs["prepare"].file("captions.parquet")
    check_table(captions, CAPTIONS)
    generated = inputs["generate"]
    rewrites = [generated.file(name) for name in sorted(generated.manifest.files) if name.startswith("rewrites/")]
    if not rewrites:
        raise DataError(f"{generated.path} has no rewrites/*.parquet; run generate again")
    for path in rewrites:
        check_table(path, REWRITES)
    return captions, rewrites


def exemplar_texts(generated: Artifact) -> list[str]:
    """The rewrites that the prompts of a generate artifact showed; none where no prompt was used."""
    if not generated.has("generation.json"):
        return []
    by_type = json.loads(generated.file("generation.json").read_text(encoding="utf-8")).get("exemplars", {})
    return [text for texts in by_type.values() for text in texts]


def find_images(prepared: Artifact) -> Path | None:
    """The images table; None where nothing but captions was prepared."""
    path = prepared.file(IMAGES_FILE) if prepared.has(IMAGES_FILE) else None
    return path if path and len(read_images(path, ["image_id"])) else None


def veto_images(prepared: Artifact) -> Path:
    """The images table, for the veto. Raises ConfigError where nothing but captions was prepared."""
    path = find_images(prepared)
    if path is None:
        raise ConfigError(
            f"filter.veto compares texts with images, but {prepared.path} holds captions only. Prepare the dataset with its"
            f" images (prepare.images), or switch the veto off: filter.veto=null."
        )
    read_images(path)
    return path


@contextmanager
def damage_named(paths: Iterable[Path]) -> Iterator[None]:
    """Where something cannot be read while this lasts, say which file is damaged: DuckDB does not."""
    try:
        yield
    except DataError:
        for path in paths:
            check_pages(path)
        raise


def load(database: Database, captions: Path, rewrites: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Make the view `all_captions` and the table `texts`: the rewrites that have a text, in order of their captions.

    Returns:
        The number of rewrites by type and status.

    Raises:
        DataError: there is nothing to filter, or the rows contradict each other or their schema.
    """
    files = ", ".join(database.literal(str(path)) for path in rewrites)
    database.execute(f"create temp view all_captions as select * from read_parquet({database.literal(str(captions))})")
    database.execute(f"create temp view all_rewrites as select {', '.join(REWRITES.names)} from read_parquet([{files}])")
    num_captions, num_rewrites = (
        database.rows(f"select count(*) from {name}")[0][0] for name in ("all_captions", "all_rewrites")
    )
    if not num_captions or not num_rewrites:
        raise DataError(f"there are {num_captions} captions and {num_rewrites} rewrites: nothing to filter. Run generate again.")
    by_status = _count(database)
    _check_rows(database, captions)
    database.execute("create table texts as select * from all_rewrites where status = 'ok' order by caption_id")
    return by_status


def _count(database: Database) -> dict[str, dict[str, int]]:
    by_status: dict[str, dict[str, int]] = {}
    for name, status, count, num_texts in database.rows(_COUNTS):
        if name not in NEGATIVE_TYPES or status not in get_args(RewriteStatus):
            raise DataError(f"the rewrites hold {count} rows of type {name!r} and status {status!r}, which mean nothing here")
        if num_texts != (count if status == "ok" else 0):
            raise DataError(
                f"{num_texts} of {count} rewrites of type {name!r} and status {status!r} have a text. Run generate again."
            )
        by_status.setdefault(name, {})[status] = count
    if not any("ok" in statuses for statuses in by_status.values()):
        raise DataError("generate made no text at all, so there is nothing to train on. Its counts say why.")
    return by_status


def _check_rows(database: Database, captions: Path) -> None:
    """Raises DataError where a rewrite is of no caption, or is there twice."""
    strays = database.rows("select count(*), min(caption_id) from all_rewrites anti join all_captions using (caption_id)")[0]
    if strays[0]:
        raise DataError(
            f"{strays[0]} rewrites are of captions that {captions} does not have (such as {strays[1]}). Give the prepare"
            f" artifact that generate read."
        )
    twice = next(iter(database.rows(_TWICE)), None)
    if twice:
        raise DataError(
            f"the rewrites hold caption {twice[0]}, {twice[1]}, candidate {twice[2]}, attempt {twice[3]} {twice[4]} times, not"
            f" once. Run generate again."
        )


_COUNTS = "select type, status, count(*), count(text) from all_rewrites group by all order by all"
_TWICE = """
select caption_id, type, candidate, attempt, count(*) from all_rewrites group by all having count(*) > 1 order by all limit 1
"""
