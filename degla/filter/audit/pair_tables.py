"""The pairs of a target as tables of a database, for the report card: out of memory, in the order of their images.

Tables: `card_pairs`, a row a pair (`_RAW`, and `caption_id`); `card_heard`, the captions (`caption_id`, `image_id`, `caption`,
`own`: whether they are the target's); `all_captions`, the same as `degla.schemas.CAPTIONS`; `card_nearest_types`, for each pair
the type nearest to its edit, and what the edit is if it is of no type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.database import Database
from degla.filter.audit.targets import Pair, batches
from degla.negative_types import NEGATIVE_TYPES
from degla.progress import Progress
from degla.schemas import CAPTIONS
from degla.text.clip_tokens import exceeds_clip
from degla.text.edit_types import type_of_edit
from degla.text.edits import folded, is_word, what_is_said
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

SAME_EDITS = {name: name for name in NEGATIVE_TYPES} | {
    "replace_obj": "replace_nouns",
    "replace_att": "replace_adjectives",
    "swap_obj": "swap_nouns",
    "swap_att": "swap_adjectives",
}
"""Names of types in files, SugarCrepe's included, to the type whose edit they claim."""

_ROWS = 20_000
_LATER = 1_000_000_000_000  # captions of no pair come after the others of their image
_RAW = pa.schema(
    [
        pa.field("number", pa.int64()),
        *(pa.field(name, pa.string()) for name in (*Pair._fields, "claimed", "said", "caption_said")),
        pa.field("words", pa.int64()),
        pa.field("caption_words", pa.int64()),
        pa.field("beyond_clip", pa.bool_()),
    ]
)
_OTHERS = pa.schema(
    [
        pa.field("number", pa.int64()),
        *(pa.field(name, pa.string()) for name in ("image", "caption", "said")),
        pa.field("own", pa.bool_()),
    ]
)


def load_pairs(
    database: Database,
    folder: Path,
    pairs: Iterable[Pair],
    captions: Iterable[tuple[str, str]] = (),
    corpus: Sequence[tuple[str, str]] = (),
) -> int:
    """Make `card_pairs` and `card_heard`; returns the number of pairs.

    Args:
        database: gets the tables.
        folder: for files that last as long as the tables.
        pairs: read once, in pieces.
        captions: (image, caption) pairs of the target, with or without negatives.
        corpus: (image, caption) pairs: what else is said of images.
    """
    images = _write_pairs(folder / "pairs.parquet", pairs)
    heard = ((image, caption, True) for image, caption in captions)
    _write_others(folder / "others.parquet", chain(heard, ((*each, False) for each in corpus if each[0] in images)))
    names = {name: database.literal(str(folder / f"{name}.parquet")) for name in ("pairs", "others")}
    database.execute(_HEARD.format(**names, later=_LATER))
    database.execute(_PAIRS.format(**names))
    return int(database.rows("select count(*) from card_pairs")[0][0])


def read_edits(database: Database, folder: Path) -> None:
    """Make `all_captions` and `card_nearest_types` of the other tables."""
    total: int = database.rows("select count(*) from card_heard")[0][0]
    _tag(database, folder, total)
    tagged = database.literal(str(folder / "captions.parquet"))
    database.execute(f"create temp view all_captions as select * from read_parquet({tagged})")
    _find_edits(database, folder, total)


def _write_pairs(path: Path, pairs: Iterable[Pair]) -> set[str]:
    """Write them and return their images."""
    number, images = 0, set[str]()
    with pq.ParquetWriter(path, _RAW) as writer:
        for own in batches(pairs):
            rows = [_row(number + place, pair) for place, pair in enumerate(own)]
            writer.write_table(pa.Table.from_pylist(rows, _RAW))
            images.update(pair.image for pair in own)
            number += len(own)
    return images


def _row(number: int, pair: Pair) -> dict[str, object]:
    return pair._asdict() | {
        "number": number,
        "claimed": SAME_EDITS.get(pair.type),
        "said": what_is_said(pair.text),
        "caption_said": what_is_said(pair.caption),
        "words": _num_words(pair.text),
        "caption_words": _num_words(pair.caption),
        "beyond_clip": exceeds_clip(pair.text),
    }


def _num_words(text: str) -> int:
    return sum(map(is_word, tokenize(text)))


def _write_others(path: Path, captions: Iterable[tuple[str, str, bool]]) -> None:
    rows = (
        {"number": number, "image": image, "caption": caption, "said": what_is_said(caption), "own": own}
        for number, (image, caption, own) in enumerate(captions)
    )
    with pq.ParquetWriter(path, _OTHERS) as writer:
        while batch := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(batch, _OTHERS))


def _ranges(total: int) -> Iterator[tuple[int, int]]:
    yield from ((start, min(start + _ROWS, total)) for start in range(0, total, _ROWS))


def _tag(database: Database, folder: Path, total: int) -> None:
    """Write all captions with tokens, tags and lemmas."""
    tagger, progress = Tagger(), Progress(folder, "tagging captions", total, "captions")
    with pq.ParquetWriter(folder / "captions.parquet", CAPTIONS) as writer:
        for start, stop in _ranges(total):
            rows = database.rows(_HEARD_ROWS, [start, stop])
            tagged = []
            for caption_id, image, caption in rows:
                tokens = tokenize(caption)
                tags, lemmas = tagger.tag(tokens)
                tagged.append((caption_id, image, caption, tokens, tags, lemmas))
            columns = zip(*tagged, strict=True)
            writer.write_table(pa.table(dict(zip(CAPTIONS.names, columns, strict=True)), schema=CAPTIONS))
            progress.to(stop)


def _find_edits(database: Database, folder: Path, total: int) -> None:
    database.execute("create table card_nearest_types (number bigint, nearest varchar, otherwise varchar)")
    progress = Progress(folder, "reading edits", total, "captions")
    for start, stop in _ranges(total):
        numbers, nearest, otherwise = [], [], []
        for number, tokens, tags, text in database.rows(_WORDS, [start, stop]):
            numbers.append(number)
            nearest.append(type_of_edit(tokens, tags, text))
            otherwise.append(other_edit(tokens, tokenize(text)))
        database.register(
            "found",
            pa.table(
                {
                    "number": pa.array(numbers, pa.int64()),
                    "nearest": pa.array(nearest, pa.string()),
                    "otherwise": pa.array(otherwise, pa.string()),
                }
            ),
        )
        database.execute("insert into card_nearest_types by name from found")
        progress.to(stop)


def other_edit(tokens: Sequence[str], others: Sequence[str]) -> str:
    """What an edit is that is of no type: `nothing`, `words added`, `words removed` or `another edit`."""
    old, new = ([folded(token) for token in each if is_word(token)] for each in (tokens, others))
    if old == new:
        return "nothing"
    if len(old) != len(new) and _is_part(*sorted((old, new), key=len)):
        return "words added" if len(new) > len(old) else "words removed"
    return "another edit"


def _is_part(short: Sequence[str], long: Sequence[str]) -> bool:
    """Whether all words of `short` stand in `long` in the same order."""
    rest = iter(long)
    return all(word in rest for word in short)


_HEARD = """
create table card_heard as
with own as (
    select image, caption, min(number) as first, true as own, any_value(said) as said from (
        select image, caption, number, caption_said as said from read_parquet({pairs}) union all
        select image, caption, {later} + number as number, said from read_parquet({others}) where own
    ) group by image, caption
), others as (
    select image, min_by(caption, number) as caption, {later} + min(number) as first, false as own, said
    from (from read_parquet({others}) where not own) anti join own using (image, said) group by image, said
), both_kinds as (from own union all by name from others), placed as (
    select *, min(first) over (partition by image) as place from both_kinds
)
select row_number() over (order by place, first) - 1 as caption_id, image as image_id, caption, own from placed
"""
_PAIRS = """
create table card_pairs as
select caption_id, p.* from read_parquet({pairs}) p join card_heard h on h.image_id = p.image and h.caption = p.caption and h.own
"""
_HEARD_ROWS = """
select caption_id, image_id, caption from card_heard where caption_id >= ? and caption_id < ? order by caption_id
"""
_WORDS = """
select number, tokens, tags, text from card_pairs join all_captions using (caption_id) where caption_id >= ? and caption_id < ?
"""
