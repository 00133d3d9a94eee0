"""The scorecard in words: Markdown for the dashboard and the repository, plain text for the console.

No raw HTML, so that both of Prefect's dashboards show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from degla.errors import DataError
from degla.markdown import markdown_table
from degla.outcomes.shortcut import as_markdown
from degla.report.scorecard import Estimate, Score, Scorecard
from degla.report.tradeoff.runs import Run
from degla.report.tradeoff.text import tradeoff_section
from degla.schemas import INTERVALS_NOTE

_RULES_SHOWN = 5
_SCORES, _NEXT = "## Scores\n", "\n## "


def markdown(card: Scorecard, tradeoff: Run | None = None) -> str:
    """The whole scorecard as Markdown, with the trade-off if models between start and end were scored."""
    sections = [
        f"# {card.title}",
        verdict(card),
        "## Scores",
        markdown_table(
            ("metric", "items", "chance", "before", "after", "change (95 % interval)"), map(_score_row, card.headline_scores())
        ),
        INTERVALS_NOTE,
        _notes(card.scores),
        *_shortcut_section(card),
        *_published_section(card),
        f"## Composition against forgetting\n\n{tradeoff_section(tradeoff)}" if tradeoff else "",
        "## Negatives",
        _data_line(card),
        markdown_table(
            ("type", "asked", "kept", "of those asked", "blind accuracy", "refused by", "not generated"), _yield_rows(card)
        ),
        "*Blind accuracy*: accuracy of a text-only classifier on (caption, kept negative) pairs; 50 % = no artefact.",
        *_truth_section(card),
        "## Training",
        training_line(card),
        "## All metrics",
        markdown_table(("metric", "items", "chance", "before", "after", "change (95 % interval)"), map(_full_row, card.scores)),
        "## Lineage",
        markdown_table(("stage", "fingerprint"), _lineage_rows(card)),
        f"Data licence: {card.licence}. Versions: {_versions(card)}.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def model_card(readme: str, card: Scorecard) -> str:
    """The model's README with the scores in place of what its section "Scores" said. Raises DataError if it has none."""
    before, found, after = readme.partition(_SCORES)
    if not found:
        raise DataError(f"the model's README.md has no section {_SCORES.strip()!r}: run the train stage again")
    header = ("metric", "items", "chance", "before", "after", "change (95 % interval)")
    table = markdown_table(header, map(_full_row, card.scores))
    text = f"Per cent right, before and after fine-tuning, on the same items. {INTERVALS_NOTE}"
    section = f"{text}\n\n{table}\n\n{_notes(card.scores)}".strip() if card.scores else "No benchmark was run."
    return f"{before}{_SCORES}\n{section}\n\n## {after.partition(_NEXT)[2]}"


def console(card: Scorecard) -> str:
    """The short table as plain text, for a terminal of 80 columns."""
    rows = [("", "items", "chance", "before", "after", "change"), *map(_score_row, card.headline_scores())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_aligned(row, widths) for row in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:], rule, "", _plain(verdict(card))]) + "\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *cells = row
    first, *others = widths
    return "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))]).rstrip()


def _plain(text: str) -> str:
    return text.replace("**", "").replace("`", "")


def verdict(card: Scorecard) -> str:
    """Which metrics of the short table rose or fell beyond their interval, as a list."""
    rising = [score.name for score in card.headline_scores() if score.change.low > 0]
    falling = [score.name for score in card.headline_scores() if score.change.high < 0]
    return (
        f"- **Better, beyond the 95 % interval:** {'; '.join(rising) or 'nothing'}.\n"
        f"- **Worse, beyond the 95 % interval:** {'; '.join(falling) or 'nothing'}."
    )


def short_list(card: Scorecard) -> str:
    """The short table as a list, for a narrow page."""
    return "\n".join(f"- {score.name}: **{rise(score)}**, {_change(score.change)}" for score in card.headline_scores())


def rise(score: Score) -> str:
    """Per cent before and after."""
    return f"{_percent(score.before.value)} → {_percent(score.after.value)}"


def _score_row(score: Score) -> tuple[str, ...]:
    mark = "" if not score.items_missing else f" of {score.items + score.items_missing:,}"
    return (
        score.name,
        f"{score.items:,}{mark}",
        "" if score.chance is None else _percent(score.chance),
        _percent(score.before.value),
        _percent(score.after.value),
        _change(score.change),
    )


def _full_row(score: Score) -> tuple[str, ...]:
    return (f"`{score.metric}`", *_score_row(score)[1:])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _change(change: Estimate) -> str:
    return f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"


def _notes(scores: Iterable[Score]) -> str:
    notes = dict.fromkeys(f"- {score.metric.split('/')[0]}: {score.note}" for score in scores if score.note)
    return "\n".join(notes)


def _shortcut_section(card: Scorecard) -> list[str]:
    return ["## Shortcut or understanding", as_markdown([card.shortcut])] if card.shortcut else []


def _published_section(card: Scorecard) -> list[str]:
    if not card.published:
        return []
    rows = []
    for each in card.published:
        model = f"{each.model} ({each.architecture}, {each.training})"
        rows.append((f"`{each.metric}`", f"{each.after:.1f}", f"{each.per_cent:.1f}", model, each.source))
    text = "Published by others, not measured here: of each metric the nearest in value, models of the same architecture first."
    table = markdown_table(("metric", "after", "published", "model", "source"), rows, text=("metric", "model", "source"))
    return ["## Beside published scores", text, table]


def _data_line(card: Scorecard) -> str:
    share = card.captions_with_four / card.captions if card.captions else 0
    kept = sum(item.kept for item in card.yields)
    return (
        f"{card.captions:,} captions of {card.data.get('images', 0):,} images; {kept:,} negatives kept,"
        f" {kept / max(card.captions, 1):.2f} a caption; {100 * share:.0f} % of the captions have four or more."
    )


def _yield_rows(card: Scorecard) -> Iterable[Sequence[str]]:
    for item in card.yields:
        yield (
            item.type,
            f"{item.asked:,}",
            f"{item.kept:,}",
            f"{100 * item.kept / item.asked:.0f} %",
            "-" if item.blind_accuracy is None else _percent(item.blind_accuracy),
            _listed(item.rejected),
            _listed(item.not_generated),
        )


def _listed(counts: dict[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:_RULES_SHOWN] if count]
    return ", ".join(shown) or "-"


def _truth_section(card: Scorecard) -> list[str]:
    if card.truth is None:
        return []
    header = (
        "type",
        "kept, false",
        "kept, **true**",
        "kept, unreadable",
        "false-negative rate",
        "rejected, false",
        "rejected, true",
    )
    rows = [
        (
            row["type"],
            f"{row['kept_false']:,}",
            f"{row['kept_true']:,}",
            f"{row['kept_unreadable']:,}",
            "-" if row["false_negative_rate"] is None else f"{100 * row['false_negative_rate']:.2f} %",
            f"{row['rejected_false']:,}",
            f"{row['rejected_true']:,}",
        )
        for row in card.truth
    ]
    text = (
        "This dataset knows its scenes, so every rewrite was checked against its image. A kept rewrite that is *true* of its"
        " image is a false negative."
    )
    return ["### Are they really false?", text, markdown_table(header, rows)]


def training_line(card: Scorecard) -> str:
    """The recipe in a sentence, and the run's counts."""
    recipe, counts = card.recipe, card.training
    objective = recipe["objective"]
    weights = recipe.get("loss" if objective == "degla" else objective, {})  # `clip` and `negclip` have none
    stated = [objective, *(f"{name.replace('_', ' ')} {value}" for name, value in weights.items())]
    stated += [f"{part}: {recipe[part]}" for part in ("freeze", "lora") if recipe[part] is not None]
    settings = (
        f"{recipe['model']['architecture']}, batch {recipe['batch_size']}, learning rate {recipe['lr']:g};"
        f" objective {', '.join(stated)}; {recipe['negatives_from']} negatives of the types {', '.join(recipe['types'])}."
    )
    figures = ", ".join(f"{name.replace('_', ' ')} {value:,.6g}" for name, value in counts.items())
    return f"{settings}\n\n{figures}."


def _lineage_rows(card: Scorecard) -> Iterable[Sequence[str]]:
    for stage, entry in card.lineage.items():
        yield stage, f"`{entry['fingerprint']}`"


def _versions(card: Scorecard) -> str:
    versions = next(iter(card.lineage.values()))["versions"]
    return ", ".join(f"{name} {version}" for name, version in versions.items())
