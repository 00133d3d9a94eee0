"""What became of every row, counted: asked = kept + rejected + not generated, per type, status and rule.

Says where a type lost everything, and stops where too little is left.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from degla.database import Database
from degla.errors import DataError
from degla.judge.rules import Family, Rule
from degla.negative_types import NEGATIVE_TYPES

logger = logging.getLogger(__name__)


def summarise(database: Database, by_status: Mapping[str, Mapping[str, int]], rules: Sequence[Rule]) -> dict[str, Any]:
    """Counts in all and per type, and the rules with their sentences.

    Args:
        database: holds `verdicts` of all texts, and `all_captions`.
        by_status: rewrites by type and status.
        rules: all that were asked.
    """
    by_rule: dict[str, dict[str | None, int]] = {}
    for name, rule, count in database.rows(_BY_RULE):
        by_rule.setdefault(name, {})[rule] = count
    types = {name: _type_entry(by_status[name], by_rule.get(name, {})) for name in NEGATIVE_TYPES if name in by_status}
    captions, with_negatives = database.rows(_CAPTION_COUNTS)[0]
    return {
        "counts": {"captions": captions, "with_negatives": with_negatives, **_totals(types)},
        "types": types,
        "rules": [{"name": rule.name, "types": rule.types, "family": rule.family, "why": rule.why} for rule in rules],
    }


def _type_entry(by_status: Mapping[str, int], by_rule: Mapping[str | None, int]) -> dict[str, Any]:
    refused = {rule: count for rule, count in by_rule.items() if rule is not None}
    return {
        "asked": sum(by_status.values()),
        "kept": by_rule.get(None, 0),
        "rejected": sum(refused.values()),
        "by_status": dict(by_status),
        "by_rule": refused,
    }


def _totals(types: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    asked, kept, rejected = (sum(entry[name] for entry in types.values()) for name in ("asked", "kept", "rejected"))
    texts = sum(entry["by_status"].get("ok", 0) for entry in types.values())
    if kept + rejected != texts:
        raise RuntimeError(f"{texts} texts, but {kept} kept and {rejected} rejected: rows were lost")
    return {"asked": asked, "kept": kept, "rejected": rejected, "not_generated": asked - texts}


def check_kept(summary: Mapping[str, Any], min_kept_fraction: float, look: str) -> None:
    """Warn of each type that lost everything. Raises DataError, with `look` as its last sentence, where a smaller share of
    the texts than this was kept."""
    families = {rule["name"]: rule["family"] for rule in summary["rules"]}
    for name, entry in summary["types"].items():
        if entry["rejected"] and not entry["kept"]:
            worst, text = _most_frequent(entry)
            cause = _CAUSES[families[worst]]
            logger.warning("%s: all %s texts were rejected, most by %s. %s", name, f"{entry['rejected']:,}", text, cause)
    counts = summary["counts"]
    texts = counts["kept"] + counts["rejected"]
    if counts["kept"] < min_kept_fraction * texts:
        worst = ", ".join(f"{name}: {_most_frequent(entry)[1]}" for name, entry in summary["types"].items() if entry["rejected"])
        raise DataError(
            f"only {counts['kept']:,} of {texts:,} texts were kept, less than min_kept_fraction={min_kept_fraction}."
            f" Most frequent rules: {worst}. {look}"
        )
    logger.info("kept %s of %s texts, rejected %s", f"{counts['kept']:,}", f"{texts:,}", f"{counts['rejected']:,}")


def _most_frequent(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The rule that refused most, and a phrase for people."""
    rule, count = max(entry["by_rule"].items(), key=lambda item: (item[1], item[0]))
    return rule, f"{rule} ({count:,})"


_CAUSES: Mapping[Family, str] = {
    "form": "The generator's answers are not plain captions: look at the prompt's form, at max_tokens and where it stops.",
    "edit": "The generator does not edit as the type says: look at the prompt's rule and exemplars.",
    "meaning": "The texts say what may be true of the image: look at the prompt's exemplars, or at what the captions allow.",
    "redundancy": "The texts are there already: ask for fewer of a type (generate.max_per_type), or hotter.",
    "balance": "A limit takes them all: look at filter.max_per_type and filter.audit.",
}


_BY_RULE = "select type, rule, count(*) from verdicts group by all order by all"
_CAPTION_COUNTS = """
select (select count(*) from all_captions), (select count(distinct caption_id) from verdicts where rule is null)
"""
