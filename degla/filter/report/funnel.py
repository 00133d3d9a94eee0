"""The numbers of the report: the funnel of each type, the reasons, texts by generator, negatives per caption.

Types and rules are counted in the stage's summary; generators and negatives per caption in its tables (`create_views`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degla.database import Database
from degla.negative_types import NEGATIVE_TYPES

MANY = 5
"""Captions with this many kept negatives or more are counted together."""


@dataclass(frozen=True)
class TypeFunnel:
    """Rows of one negative type."""

    type: str
    asked: int
    texts: int
    kept: int
    not_generated: Mapping[str, int]
    """Status other than `ok` (`RewriteStatus`) to rows."""


@dataclass(frozen=True)
class Reason:
    """A rule and the number of texts it refused, by type."""

    rule: str
    family: str
    why: str
    by_type: Mapping[str, int]

    @property
    def rejected(self) -> int:
        return sum(self.by_type.values())


@dataclass(frozen=True)
class Written:
    """Texts of one type by one generator."""

    type: str
    generator: str
    texts: int
    kept: int


@dataclass(frozen=True)
class Facts:
    """The numbers of the report."""

    dataset: str
    images: int
    captions: int
    captions_by_kept: Mapping[int, int]
    """Number of kept negatives to number of captions; `MANY` stands for that many or more."""
    funnel: list[TypeFunnel]
    reasons: list[Reason]
    """All rules, the one that refused most first."""
    written: list[Written]
    audit: Mapping[str, Any]
    """Result of `degla.filter.audit.step`, from the summary."""


def create_views(database: Database, training: Path, rejected: Path) -> None:
    """Make the views `training`, `rejected`, and `texts`: all kept and rejected rows; `rule` is null if kept."""
    for name, path in (("training", training), ("rejected", rejected)):
        database.execute(f"create temp view {name} as from read_parquet({database.literal(str(path))})")
    database.execute(_TEXTS)


def gather(database: Database, summary: Mapping[str, Any], dataset: str) -> Facts:
    """Count, from the stage's summary and the views."""
    images, captions = database.rows("select count(distinct image_id), count(*) from training")[0]
    return Facts(
        dataset=dataset,
        images=images,
        captions=captions,
        captions_by_kept=dict.fromkeys(range(MANY + 1), 0) | dict(database.rows(_CAPTIONS_BY_KEPT)),
        funnel=[_type_funnel(name, entry) for name, entry in summary["types"].items()],
        reasons=_reasons(summary),
        written=sorted(
            (Written(*row) for row in database.rows(_WRITTEN)),
            key=lambda each: (NEGATIVE_TYPES.index(each.type), -each.texts, each.generator),
        ),
        audit=summary["audit"],
    )


def _type_funnel(name: str, entry: Mapping[str, Any]) -> TypeFunnel:
    not_generated = {status: count for status, count in entry["by_status"].items() if status != "ok"}
    return TypeFunnel(name, entry["asked"], entry["by_status"].get("ok", 0), entry["kept"], not_generated)


def _reasons(summary: Mapping[str, Any]) -> list[Reason]:
    refused: dict[str, Counter[str]] = {}
    for name, entry in summary["types"].items():
        for rule, count in entry["by_rule"].items():
            refused.setdefault(rule, Counter())[name] = count
    rules = [Reason(rule["name"], rule["family"], rule["why"], refused.get(rule["name"], {})) for rule in summary["rules"]]
    return sorted(rules, key=lambda reason: -reason.rejected)


_TEXTS = """
create temp view texts as
select caption_id, type, text, generator, null as rule
from (select caption_id, unnest(negatives, recursive := true) from training)
union all
select caption_id, type, text, generator, rule from rejected
"""
_CAPTIONS_BY_KEPT = f"select least(len(negatives), {MANY}) as kept, count(*) from training group by kept order by kept"
_WRITTEN = "select type, generator, count(*), count(*) filter (rule is null) from texts group by type, generator"
