"""Gather what the page shows, within its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from degla.artifacts import Artifact
from degla.errors import ConfigError
from degla.outcomes.outcome import Outcome
from degla.outcomes.scores import AFTER, BEFORE
from degla.report.compare.runs import read_run
from degla.report.config import ReportConfig
from degla.report.page import sections
from degla.report.page.document import Document, render
from degla.report.page.examples import draw_examples
from degla.report.page.items import gather_items, read_pictures, read_shown
from degla.report.page.scores import score_data
from degla.report.page.script_json import as_json
from degla.report.scorecard import Scorecard
from degla.text_files import nearest_key


def make_page(
    title: str,
    outcomes: Sequence[Outcome],
    evaluated: Sequence[Artifact],
    megabytes: float,
    names: Mapping[str, str] | None = None,
    pair: tuple[str, str] | None = None,
    card: Scorecard | None = None,
    inputs: Mapping[str, Artifact] | None = None,
    experiment: str = "",
    files: Sequence[Path] = (),
) -> str:
    """The page as HTML.

    Args:
        title: heading.
        outcomes: of all models on all benchmarks.
        evaluated: the evaluations that have texts and pictures of the items.
        megabytes: most that the page may take.
        names: metric paths to the names of the metrics among the gains and losses; see `degla.report.page.scores`.
        pair: the two models shown at first; None takes before and after, or the first and the last.
        card: the scorecard of a training, with the artifacts of its stages in `inputs`; None for outcomes alone.
        experiment: the settings of all stages, as an experiment's file.
        files: outcomes in the documented form, for their texts.

    Raises:
        ConfigError: there is no second model, or no model of a name in `pair`.
        DataError: an artifact is damaged.
    """
    models = list(dict.fromkeys(each.model for each in outcomes))
    if len(models) < 2:
        raise ConfigError(f"a page compares two models or more; there is {', '.join(models) or 'none'}. Give more outcomes")
    first, second = _pair(models, pair)
    inputs = inputs or {}
    scores = score_data(outcomes, models, names or {})
    facts: dict[str, Any] = {
        **scores,
        "pair": [models.index(first), models.index(second)],
        "losses": sections.losses(inputs["train"]) if "train" in inputs else [],
        "tradeoff": sections.trade_off(evaluated),
        "shortcuts": sections.shortcuts(outcomes, evaluated),
    }
    document = Document(
        title=title,
        facts=as_json(facts),
        verdict=_verdict_of(scores, models.index(first), models.index(second)),
        has_losses=bool(facts["losses"]),
        has_trade_off=bool(facts["tradeoff"]),
        examples=draw_examples(inputs["prepare"], inputs["filter"]) if {"prepare", "filter"} <= inputs.keys() else [],
        funnels=sections.funnels(card) if card else [],
        costs=sections.costs(card, inputs) if card else [],
        lineage=[(stage, entry) for stage, entry in card.lineage.items()] if card else [],
        sources=[str(each) for each in (*(each.path for each in evaluated), *files)],
        experiment=experiment,
        licence=card.licence if card else "",
    )
    room = 1e6 * megabytes - len(render(document).encode())
    items = gather_items(outcomes, models, read_shown(evaluated, files), read_pictures(evaluated), room)
    return render(document.with_items(items))


def training_page(config: ReportConfig, card: Scorecard, inputs: Mapping[str, Artifact]) -> str:
    """The page of a training: `make_page` of its evaluation and of the stages before it."""
    evaluated = inputs["evaluate"]
    return make_page(
        card.title,
        [each for model in read_run(evaluated.path).models if not model.candidate for each in model.outcomes],
        [evaluated],
        config.page_megabytes,
        config.headline,
        card=card,
        inputs=inputs,
        experiment=sections.experiment_yaml(inputs, config),
    )


def _pair(models: Sequence[str], pair: tuple[str, str] | None) -> tuple[str, str]:
    if pair:
        first, second = (nearest_key(models, name, "the outcomes") for name in pair)
        return first, second
    return (BEFORE, AFTER) if {BEFORE, AFTER} <= set(models) else (models[0], models[-1])


def _verdict_of(scores: Mapping[str, Any], first: int, second: int) -> str:
    key = f"{min(first, second)}-{max(first, second)}"
    found = scores["pairs"].get(key)
    return "" if found is None else found["verdict" if first < second else "back"]
