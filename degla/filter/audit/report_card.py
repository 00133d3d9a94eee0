"""The report card of anyone's negatives, as JSON values: types, rules, text-only accuracy, overlap, truth, texts.

`make_card` fills it, `degla.filter.audit.card_text` prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from degla.database import Database, connect
from degla.errors import DataError
from degla.filter.audit.accuracy import ALL, DEFINITION, audit
from degla.filter.audit.judging import judge_pairs
from degla.filter.audit.overlap import benchmark_overlaps
from degla.filter.audit.pair_tables import load_pairs, read_edits
from degla.filter.audit.targets import target_captions, target_pairs
from degla.filter.audit.word_pairs import WordPairs, read_pairs
from degla.filter.rules import RULES
from degla.outcomes.intervals import accuracy
from degla.text.language import foreign_language

MEMORY = "1GB"
"""Of DuckDB, which then spills to disk."""
NUM_EXAMPLES = 2
"""Pairs shown for each rule."""

ESTIMATOR = (
    "Of the pairs whose edit is of their type, the share that may be true of the image: a rule on meaning finds it so by the two"
    " texts alone, or another known caption of the image says or implies it. The 95 % intervals (Wilson) know which pairs share"
    " an image. Rules know words and not pictures: they miss what no list or caption tells, and doubt some true negatives."
)
_SAMPLE = 5_000  # negatives whose language is looked at


def make_card(target: str, overrides: Sequence[str] = (), corpus: Sequence[tuple[str, str]] | None = None) -> dict[str, Any]:
    """The report card of a target; works in a folder of its own that is gone at the end.

    Args:
        target: a file of negatives, a filter artifact, or an experiment.
        overrides: of an experiment.
        corpus: (image, caption) pairs: the text-only classifier learns from them instead of the target's own captions, and what
            they say of its images counts as its other captions.

    Raises:
        DataError, MissingInputError: see `degla.filter.audit.targets.target_pairs`; or it holds no pair.
    """
    with (
        TemporaryDirectory(prefix="degla-audit-") as name,
        connect(memory_limit=MEMORY, spill_dir=Path(name) / "spill") as database,
    ):
        folder = Path(name)
        num_pairs = load_pairs(
            database, folder, target_pairs(target, overrides), target_captions(target, overrides), corpus or ()
        )
        if not num_pairs:
            raise DataError(f"{target}: holds no pair of a caption and a negative")
        read_edits(database, folder)
        judge_pairs(database, folder)
        words = word_pairs(database, corpus)
        overlaps, absent = benchmark_overlaps(database)
        return {
            "target": target,
            "pairs": num_pairs,
            **_one(database, _SIZES),
            "types": _types(database),
            "rules": _rules(database),
            "text_only": {
                "definition": DEFINITION,
                "captions_learnt": int(words.is_read.sum()),
                "corpus": corpus is not None,
                "rows": [row.as_json() for row in audit(words)],
            },
            "maybe_true": {"estimator": ESTIMATOR, "rows": _maybe_true(database)},
            "overlap": [each._asdict() for each in overlaps],
            "not_compared": absent,
            "duplicates": _one(database, _DUPLICATES),
            "lengths": _one(database, _LENGTHS),
            "languages": _languages(database),
        }


def word_pairs(database: Database, corpus: Sequence[tuple[str, str]] | None) -> WordPairs:
    """The pairs as the text-only classifier reads them, from the tables of `load_pairs`; `corpus` as of `make_card`."""
    captions = database.arrow("select caption_id, image_id, caption from card_heard where own order by caption_id").to_batches()
    negatives = database.arrow(_NEGATIVES).to_batches()
    return read_pairs(captions, negatives, corpus)


def _types(database: Database) -> list[dict[str, Any]]:
    edits: dict[tuple[str, str], dict[str, int]] = {}
    for kind, generator, edit, count in database.rows(_EDITS):
        edits.setdefault((kind, generator), {})[edit] = count
    return [
        {**row, "pure": row["pure"] if row["claimed"] else None, "edits": edits[row["type"], row["generator"]]}
        for row in _all(database, _PURE)
    ]


def _rules(database: Database) -> dict[str, Any]:
    counts = dict(database.rows("select rule, count(*) from card_judged where rule is not null group by rule"))
    by_name = {rule.name: rule for rule in RULES}
    examples: dict[str, list[dict[str, str]]] = {}
    for rule, kind, caption, text in database.rows(_EXAMPLES, [NUM_EXAMPLES]):
        examples.setdefault(rule, []).append({"type": kind, "caption": caption, "negative": text})
    refused = [
        {
            "rule": name,
            "family": by_name[name].family,
            "why": by_name[name].why,
            "pairs": counts[name],
            "examples": examples[name],
        }
        for name in sorted(counts, key=lambda name: (-counts[name], name))
    ]
    kept = database.rows("select count(*) from card_judged where rule is null")[0][0]
    return {"kept": kept, "refused": refused}


def _maybe_true(database: Database) -> list[dict[str, Any]]:
    """All pairs and, if there are several, each type, with the share and its interval; null if no edit could be read."""
    rows = _all(database, _TRUTH)
    judged = database.arrow(_JUDGED).to_pydict()
    doubted, image = np.array(judged["doubted"], bool), np.array(judged["image"], np.int64)
    kind = np.array(judged["type"], object)
    found = []
    for row in rows if len(rows) > 2 else rows[:1]:
        own = np.ones(len(kind), bool) if row["type"] == ALL else kind == row["type"]
        share = accuracy([doubted[own]], images=[image[own]]) if own.any() else None
        interval = (
            {"share": share.value, "low": share.low, "high": share.high} if share else dict.fromkeys(("share", "low", "high"))
        )
        found.append(row | {name: value if value is None else round(value, 4) for name, value in interval.items()})
    return found


def _languages(database: Database) -> dict[str, Any]:
    texts = [text for (text,) in database.rows(_TEXT_SAMPLE, [_SAMPLE])]
    foreign = [code for text in texts if (code := foreign_language(text))]
    captions = database.rows("select count(*) from card_pairs p join card_judged j using (number) where edit = 'not English'")[0][
        0
    ]
    return {"captions_not_english": captions, "negatives_looked_at": len(texts), "negatives_not_english": len(foreign)}


def _one(database: Database, query: str) -> dict[str, Any]:
    return _all(database, query)[0]


def _all(database: Database, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in database.arrow(query).to_pylist()]


_SIZES = """
select (select count(*) from card_heard where own) as captions,
    (select count(distinct image) filter (name <> '') from card_pairs) as images,
    (select count(*) from card_heard where not own) as other_captions,
    (select count(*) from card_judged where has_others) as pairs_with_other_captions
"""
_NEGATIVES = """
select caption_id, type, generator, text, number::integer as candidate, 0::integer as attempt from card_pairs order by number
"""
_PURE = """
select type, generator, any_value(claimed) as claimed, count(*) as pairs, count(*) filter (is_claimed) as pure
from card_judged group by type, generator order by type, generator
"""
_EDITS = "select type, generator, edit, count(*) as pairs from card_judged group by all order by pairs desc, edit"
_EXAMPLES = """
select rule, type, caption, text from (
    select j.rule, j.type, p.caption, p.text, row_number() over (partition by j.rule order by hash(p.number), p.number) as place
    from card_judged j join card_pairs p using (number) where j.rule is not null
) where place <= ? order by rule, place
"""
_TRUTH = """
select coalesce(type, 'all') as type, count(*) filter (is_claimed) as judged,
    count(*) filter (is_claimed and by_texts is not null) as by_texts,
    count(*) filter (is_claimed and has_others) as with_other_captions,
    count(*) filter (is_claimed and has_others and by_captions is not null) as by_captions,
    count(*) filter (is_claimed and (by_texts is not null or by_captions is not null)) as either
from card_judged group by grouping sets ((), (type)) order by grouping(type) desc, type
"""
_JUDGED = """
select j.type, dense_rank() over (order by p.image) as image, (by_texts is not null or by_captions is not null) as doubted
from card_judged j join card_pairs p using (number) where is_claimed
"""
_DUPLICATES = """
select count(*) - (select count(*) from (select distinct image, caption_said, said from card_pairs)) as repeated_pairs,
    count(*) filter (said = caption_said) as caption_again,
    count(*) filter (said in (select said from card_pairs group by said having count(distinct image) > 1)) as of_several_images,
    count(*) filter (said in (select caption_said from card_pairs)) as captions_of_the_file
from card_pairs
"""
_LENGTHS = """
select round(avg(caption_words), 2) as caption_words, round(avg(words), 2) as negative_words,
    count(*) filter (words > caption_words) as longer, count(*) filter (words < caption_words) as shorter,
    count(*) filter (beyond_clip) as beyond_clip
from card_pairs
"""
_TEXT_SAMPLE = "select text from (select distinct said, text from card_pairs) order by hash(said), text limit ?"
