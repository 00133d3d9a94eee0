"""The first card of a run: scores and verdict, the page, and each stage with its report and folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect import runtime

from degla.artifacts import MANIFEST, Artifact
from degla.experiments.plan import StagePlan
from degla.report.render import rise, short_list, verdict
from degla.report.scorecard import Scorecard
from tasks import cards
from tasks.orders import impatient
from tasks.reports import escaped, page_links, prose
from tasks.stage import StageResult, summary

logger = logging.getLogger(__name__)

_SCORECARD = "scorecard.json"
_FAILURE_CHARACTERS = 4000


@dataclass
class Entry:
    """A stage of the run."""

    path: Path
    """Folder of its artifact."""
    state: str
    """For people: what became of it."""
    link: str = ""
    """Its report in the dashboard."""


class Overview:
    """Keeps the card up to date while the stages of a run come and go."""

    def __init__(self, plans: Mapping[str, StagePlan], note: str = "") -> None:
        """The card of a run of these stages; `note` is Markdown to show until generation has ended."""
        self._entries = {stage: Entry(planned.path, "waits") for stage, planned in plans.items()}
        self._note = note

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        """While this stage runs; an error is shown and raised again."""
        self._entries[stage].state = "**runs**"
        self._show(f"{stage} runs, {list(self._entries).index(stage) + 1} of {len(self._entries)}")
        try:
            yield
        except BaseException as error:
            self._entries[stage].state = "**did not end**"
            self._note = f"## {stage} did not end\n\n{prose(str(error)[-_FAILURE_CHARACTERS:] or type(error).__name__)}"
            with impatient():
                self._show(f"{stage} did not end")
            raise

    def ended(self, result: StageResult) -> None:
        """Show that a stage is finished."""
        stage = result["stage"]
        entry = self._entries[stage]
        entry.state = summary(result)
        self._note = "" if stage == "generate" else self._note
        try:
            card = cards.find(stage, entry.path)
        except httpx.HTTPError:
            card = None
        entry.link = f"../../artifacts/artifact/{card}" if card else ""  # right from every page of both dashboards
        self._show(self._finished() if stage == list(self._entries)[-1] else f"{stage} has ended")

    def _finished(self) -> str:
        """How the run ended, with the first of its scores."""
        report = _report(self._entries)
        scores = card.headline_scores() if report and (card := _scorecard(report)) else []
        return f"finished: {scores[0].name} {rise(scores[0])} %" if scores else "finished"

    def _show(self, line: str) -> None:
        try:
            cards.put(cards.OVERVIEW, line, overview(str(runtime.flow_run.name), self._entries, self._note))
        except httpx.HTTPError as error:
            logger.warning("the run's overview is not shown: %s", error)


def overview(title: str, entries: Mapping[str, Entry], note: str = "") -> str:
    """The card of a run with these stages."""
    parts = [f"# {escaped(title)}", note]
    if (report := _report(entries)) is not None:
        parts += _results(report)
    parts += ["## Stages", "\n".join(_line(number, *each) for number, each in enumerate(entries.items(), 1))]
    roots = dict.fromkeys(str(entry.path.parent.parent) for entry in entries.values())
    parts += ["Their folders are below " + ", ".join(f"`{root}`" for root in roots) + "."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _report(entries: Mapping[str, Entry]) -> Artifact | None:
    """The finished report of the run."""
    if "report" in entries and (entries["report"].path / MANIFEST).is_file():
        return Artifact.load(entries["report"].path)
    return None


def _results(report: Artifact) -> Iterator[str]:
    if (card := _scorecard(report)) is not None:
        sentences = [f"- {card.shortcut.sentence}"] if card.shortcut else []
        yield "\n".join([verdict(card), *sentences])
        yield f"## Scores, per cent\n\n{short_list(card)}"
    yield from page_links(report)


def _scorecard(report: Artifact) -> Scorecard | None:
    return Scorecard.model_validate_json(report.file(_SCORECARD).read_bytes()) if report.has(_SCORECARD) else None


def _line(number: int, stage: str, entry: Entry) -> str:
    name = f"[{stage}]({entry.link})" if entry.link else stage
    return f"{number}. **{name}** {entry.state}. `{stage}/{entry.path.name}`"
