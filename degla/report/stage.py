"""The report stage: the artifacts of an experiment in, one scorecard out, as Markdown, JSON, console text and plots, and
the model's card with its scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact, building
from degla.files import write_text_atomic
from degla.plots import plot_losses
from degla.report.config import ReportConfig
from degla.report.page.page import training_page
from degla.report.plots import plot_scores, plot_yields
from degla.report.render import console, markdown, model_card
from degla.report.scorecard import gather
from degla.report.tradeoff.plot import plot_tradeoff
from degla.report.tradeoff.runs import Run, common_budget
from degla.tradeoff import TRADEOFF_FILE


def report(config: ReportConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the scorecard.

    Files: `scorecard.md`, `scorecard.json` (degla.report.scorecard.Scorecard), `scores.txt` (for a terminal),
    `model_card.md` (the model's README with its scores), `page.html` (all of it, with a failure browser) and the plots
    `scores.png`, `losses.png`, `yields.png`, and with `evaluate.interpolate` `tradeoff.svg`.

    Raises:
        DataError: an input breaks its schema.
        MissingInputError: the headline names a metric that was not scored.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        card = gather(config, inputs)
        write_text_atomic(out_dir / "scorecard.json", card.model_dump_json(indent=1))
        tradeoff = Run.of(inputs["evaluate"], config.title) if inputs["evaluate"].has(TRADEOFF_FILE) else None
        write_text_atomic(out_dir / "scorecard.md", markdown(card, tradeoff))
        write_text_atomic(out_dir / "scores.txt", console(card))
        readme = inputs["train"].file("model/README.md").read_text(encoding="utf-8")
        write_text_atomic(out_dir / "model_card.md", model_card(readme, card))
        write_text_atomic(out_dir / "page.html", training_page(config, card, inputs))
        plot_yields(card.yields, out_dir / "yields.png")
        plot_losses(inputs["train"].file("metrics.jsonl"), out_dir / "losses.png")
        files = ["scorecard.json", "scorecard.md", "scores.txt", "model_card.md", "page.html", "yields.png", "losses.png"]
        if card.scores:
            plot_scores(card.headline_scores(), out_dir / "scores.png")
            files.append("scores.png")
        if tradeoff:
            plot_tradeoff([tradeoff], out_dir / "tradeoff.svg", common_budget([tradeoff]), tradeoff.selection["budget"])
            files.append("tradeoff.svg")
        return build.finish({"metrics": len(card.scores)}, files)
