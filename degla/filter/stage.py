"""The filter stage: every rewrite with a text is judged by the rules; the kept ones become the training table.

Nothing is lost: a text is kept, or stands in `rejected.parquet` with the name of the first rule that refused it. The
result depends neither on threads nor on the order of the rows. Called by `degla.filter.run`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from degla.artifacts import Artifact, building
from degla.database import Database, connect
from degla.errors import DataError
from degla.files import write_text_atomic
from degla.filter.config import FilterConfig
from degla.filter.rules import DUPLICATE, RULES
from degla.schemas import CAPTIONS, NEGATIVE_TYPES, REJECTED, REWRITES, TRAINING, check_table, write_table
from degla.text.edit_rules import Rule, check_rules, create_edits, refusal_sql
from degla.text.lexicon import load_lexicon

logger = logging.getLogger(__name__)

TRAINING_FILE, REJECTED_FILE, SUMMARY_FILE = "training.parquet", "rejected.parquet", "summary.json"


def filter_rewrites(
    config: FilterConfig, inputs: Mapping[str, Artifact], out_dir: Path, rules: Sequence[Rule] = RULES
) -> Artifact:
    """Write `training.parquet` (a row per caption), `rejected.parquet` and `summary.json`.

    Counts: `captions`, `asked` = `kept` + `rejected` + `not_generated`, and `with_negatives` (captions that kept any).

    Args:
        config: the limits.
        inputs: `prepare` and `generate`.
        out_dir: where the artifact goes.
        rules: what a rewrite must satisfy, in order.

    Raises:
        DataError: an input cannot be read or is empty, rewrites and captions do not belong together, or fewer texts than
            `min_kept_fraction` were kept.
        ConfigError: a rule's SQL is broken.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        captions, rewrites = _input_files(inputs)
        with connect(config.threads, config.memory_limit, out_dir / "spill") as database:
            _load(database, captions, rewrites)
            _judge(database, config, rules)
            write_table(out_dir / REJECTED_FILE, database.arrow(_REJECTED), REJECTED)
            summary = _summarise(database, (*rules, DUPLICATE))
            _check_kept(config, summary, out_dir)
            write_table(out_dir / TRAINING_FILE, database.arrow(_TRAINING), TRAINING)
        write_text_atomic(out_dir / SUMMARY_FILE, json.dumps(summary, indent=2))
        return build.finish(summary["counts"], [TRAINING_FILE, REJECTED_FILE, SUMMARY_FILE])


def _input_files(inputs: Mapping[str, Artifact]) -> tuple[Path, list[Path]]:
    captions = inputs["prepare"].file("captions.parquet")
    check_table(captions, CAPTIONS)
    generated = inputs["generate"]
    rewrites = [generated.file(name) for name in sorted(generated.manifest.files) if name.startswith("rewrites/")]
    if not rewrites:
        raise DataError(f"{generated.path} has no rewrites/*.parquet; run generate again")
    for path in rewrites:
        check_table(path, REWRITES)
    return captions, rewrites


def _load(database: Database, captions: Path, rewrites: Sequence[Path]) -> None:
    files = ", ".join(database.literal(str(path)) for path in rewrites)
    database.execute(f"create temp view captions as select * from read_parquet({database.literal(str(captions))})")
    database.execute(f"create temp view rewrites as select * from read_parquet([{files}])")
    num_captions, num_rewrites = (database.rows(f"select count(*) from {name}")[0][0] for name in ("captions", "rewrites"))
    if not num_captions or not num_rewrites:
        raise DataError(f"there are {num_captions} captions and {num_rewrites} rewrites: nothing to filter. Run generate again.")
    strays = database.rows("select count(*), min(caption_id) from rewrites anti join captions using (caption_id)")[0]
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


def _judge(database: Database, config: FilterConfig, rules: Sequence[Rule]) -> None:
    """Make the table `judged`: every row of `rewrites`, with `rule` null where it was kept or has no text."""
    create_edits(database, load_lexicon(), config.min_tokens, config.max_tokens)
    database.execute(_IMAGES)
    database.execute(_EDITS_OF_IMAGES)
    check_rules(database, rules, "edits_of_images")
    order = ", ".join(map(database.literal, NEGATIVE_TYPES))
    database.execute(f"create temp macro place_of(type) as list_position([{order}], type)")
    database.execute(
        "create temp table refusals as select caption_id, type, candidate, attempt, place_of(type) as place,"
        f" array_to_string(words, ' ') as said, {refusal_sql(rules)} as rule from edits_of_images"
    )
    database.execute(_JUDGED.replace("{duplicate}", database.literal(DUPLICATE.name)).replace("{keep}", DUPLICATE.sql))


def _summarise(database: Database, rules: Sequence[Rule]) -> dict[str, Any]:
    """Counts in all and per type, and the rules with their sentences."""
    types: dict[str, dict[str, Any]] = {}
    for name, status, rule, count in database.rows(_COUNTS):
        entry = types.setdefault(name, {"asked": 0, "kept": 0, "rejected": 0, "by_status": {}, "by_rule": {}})
        entry["asked"] += count
        entry["by_status"][status] = entry["by_status"].get(status, 0) + count
        if rule is not None:
            entry["rejected"] += count
            entry["by_rule"][rule] = count
        elif status == "ok":
            entry["kept"] += count
    captions, with_negatives = database.rows(_CAPTION_COUNTS)[0]
    return {
        "counts": {"captions": captions, "with_negatives": with_negatives, **_totals(types)},
        "types": {name: types[name] for name in NEGATIVE_TYPES if name in types},
        "rules": [
            {"name": rule.name, "types": rule.types, "family": rule.family, "why": rule.why, "version": rule.version}
            for rule in rules
        ],
    }


def _totals(types: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    asked, kept, rejected = (sum(entry[name] for entry in types.values()) for name in ("asked", "kept", "rejected"))
    texts = sum(entry["by_status"].get("ok", 0) for entry in types.values())
    if kept + rejected != texts:
        raise RuntimeError(f"{texts} texts, but {kept} kept and {rejected} rejected: rows were lost")
    return {"asked": asked, "kept": kept, "rejected": rejected, "not_generated": asked - texts}


def _check_kept(config: FilterConfig, summary: Mapping[str, Any], out_dir: Path) -> None:
    for name, entry in summary["types"].items():
        if entry["rejected"] and not entry["kept"]:
            logger.warning("%s: all %s texts were rejected, most by %s", name, f"{entry['rejected']:,}", _most_frequent(entry))
    counts = summary["counts"]
    texts = counts["kept"] + counts["rejected"]
    if texts == 0:
        raise DataError("generate made no text at all, so there is nothing to train on. Its counts say why.")
    if counts["kept"] < config.min_kept_fraction * texts:
        worst = ", ".join(f"{name}: {_most_frequent(entry)}" for name, entry in summary["types"].items() if entry["rejected"])
        raise DataError(
            f"only {counts['kept']:,} of {texts:,} texts were kept, less than min_kept_fraction={config.min_kept_fraction}."
            f" Most frequent rules: {worst}. Look at {out_dir / REJECTED_FILE}."
        )
    logger.info("kept %s of %s texts, rejected %s", f"{counts['kept']:,}", f"{texts:,}", f"{counts['rejected']:,}")


def _most_frequent(entry: Mapping[str, Any]) -> str:
    rule, count = max(entry["by_rule"].items(), key=lambda item: (item[1], item[0]))
    return f"{rule} ({count:,})"


_TWICE = """
select caption_id, type, candidate, attempt, count(*) from rewrites group by all having count(*) > 1 order by all limit 1
"""

_IMAGES = """
create temp table images as
select image_id, list(array_to_string(unarticled(fold(words)), ' ')) as image_texts,
    list_distinct(flatten(list(list_concat(words, lemmas)))) as image_words,
    list_distinct(flatten(list(list_transform(range(1, len(words)), lambda i: words[i] || ' ' || words[i + 1])))) as image_pairs
from (select image_id, lowered(tokens) as words, lemmas from captions) group by image_id
"""
_EDITS_OF_IMAGES = "create temp view edits_of_images as select * from edits join images using (image_id)"

_JUDGED = """
create temp table judged as
with counted as (
    select *, count(*) filter (rule is null) over (
        partition by caption_id, said order by place, candidate, attempt rows between unbounded preceding and 1 preceding
    ) as num_before
    from refusals
)
select r.*, place_of(r.type) as place,
    case when c.rule is not null then c.rule when c.caption_id is not null and not ({keep}) then {duplicate} end as rule
from rewrites r left join counted c using (caption_id, type, candidate, attempt)
"""
_REJECTED = "select * exclude (place) from judged where rule is not null order by caption_id, place, candidate, attempt"
_COUNTS = "select type, status, rule, count(*) from judged group by all order by all"
_CAPTION_COUNTS = """
select (select count(*) from captions), (select count(distinct caption_id) from judged where status = 'ok' and rule is null)
"""
_TRAINING = """
with kept as (
    select caption_id, list({'text': text, 'type': type, 'generator': generator} order by place, candidate, attempt) as negatives
    from judged where status = 'ok' and rule is null group by caption_id
)
select caption_id, image_id, caption, coalesce(negatives, []) as negatives
from captions left join kept using (caption_id) order by caption_id
"""
