"""The shortcut meter: did a model learn what texts mean, or how rewritten captions read? One sentence, and the numbers behind it.

A benchmark in which texts compete for one image (SugarCrepe) can be won without the image: rewrites read unlike captions. What
text alone cannot win: items with two images (BiVLC's group), the rewrite being the right text of its own image, and captions that
say the same in other words (SugarCrepe++). A shortcut is a gain in the first with a loss in the second.

The rule, for a model against each other model on the items that both have, from paired differences:

    shortcut   against one of them it gains in a test of texts and loses in one that text alone cannot win
    holds      against the base model it gains in a test of texts, and in one that text alone cannot win
    open       it gains in a test of texts, and neither gains nor loses where text alone cannot win
    no_gain    it gains in no test of texts
    untested   one of the two kinds was not scored

A gain or loss is a difference whose interval is without 0. The intervals hold for all m differences that decide on a model
together (Bonferroni: each at 1 - 0.05 / m), so that no model is blamed because many were compared. Reads outcomes, no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from degla.artifacts import Artifact
from degla.catalog.published import published_table
from degla.config import Config, validate
from degla.markdown import markdown_table
from degla.outcomes import intervals
from degla.outcomes.averages import Average
from degla.outcomes.compare import shared_items
from degla.outcomes.items import (
    CHOICE,
    CLASSIFICATION,
    ITT,
    MATCH_GROUP,
    MATCH_IMAGE,
    MATCH_TEXT,
    TEXT_ORIGINAL,
    TEXT_REWRITTEN,
    TOT,
)
from degla.outcomes.measures import Measure, means, measures
from degla.outcomes.outcome import Outcome

Asks = Literal["texts", "images_too", "direction", "word_order", "zero_shot"]
"""`texts`: texts compete for one image. `images_too`: text alone cannot win. `direction`: one half of such a test.
`word_order`: a caption against shuffles of it. `zero_shot`: what fine-tuning may forget."""

SHORTCUT_FILE = "shortcut.json"
"""Of an evaluation: a list of `Verdict`."""

RULE = (
    "Shortcut: a gain where texts compete for one image, with a loss where text alone cannot win. A gain or loss is a paired"
    " difference whose interval is without 0; the intervals hold for all differences that decide on a model together."
)

_KINDS: dict[str, tuple[Asks, str]] = {
    CHOICE: ("texts", "{name}"),
    MATCH_GROUP: ("images_too", "{name}, both directions"),
    ITT: ("images_too", "{name}, image to both paraphrases"),
    TOT: ("images_too", "{name}, paraphrases by text"),
    TEXT_REWRITTEN: ("images_too", "{name}, given the image of the rewrite"),
    TEXT_ORIGINAL: ("direction", "{name}, given the image of the caption"),
    MATCH_TEXT: ("direction", "{name}, image to text"),
    MATCH_IMAGE: ("direction", "{name}, text to image"),
    CLASSIFICATION: ("zero_shot", "zero-shot"),
}
"""Kind of item to what it asks and how it is called; in this order they are shown."""

_NAMES = {
    "sugarcrepe": "SugarCrepe",
    "sugarcrepe_pp": "SugarCrepe++",
    "bivlc": "BiVLC",
    "valse": "VALSE",
    "winoground": "Winoground",
}
_WOULD_TELL: dict[str, str] = {
    "texts": "SugarCrepe or other captions with rewrites",
    "images_too": "BiVLC, SugarCrepe++ or other pairs of two images and two captions",
}
MOST_MODELS = 10
"""Of one size that are all compared with each other; of more, each with the base model alone: pairs grow with the square."""

_ORDER = "order"  # in the names of the sets whose candidates are shuffles: ARO's, word_order, the mini world's


class Evidence(Config):
    """A test of the model and of another on the same items. Values and differences are shares."""

    test: str
    """Its name for people."""
    asks: Asks
    metric: str
    """Path of the metric, over all items of the benchmark."""
    against: str
    """The other model."""
    items: int
    value: float
    against_value: float
    change: float
    low: float
    """Limits of the interval of the difference, at 95 % for all that decide on the model together, or for one that does not."""
    high: float

    @property
    def gains(self) -> bool:
        """Whether the model is surely better than the other."""
        return self.low > 0

    @property
    def loses(self) -> bool:
        """Whether it is surely worse."""
        return self.high < 0

    def phrase(self) -> str:
        """Test and difference, in points."""
        return f"{self.test} {100 * self.change:+.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


Word = Literal["shortcut", "holds", "open", "no_gain", "untested"]


class Verdict(Config):
    """What the outcomes say of a model."""

    model: str
    verdict: Word
    sentence: str
    evidence: list[Evidence]
    """Against the base model first."""
    comparisons: int
    """Differences that decide; each interval is at 1 - 0.05 / this."""
    text_only: dict[str, float]
    """Benchmark to the share of its items that a text-only classifier gets right (`data_catalog/published.yaml`)."""
    would_tell: list[str]
    """What was not scored and would tell more."""
    rule: str = RULE


def verdicts(outcomes: Sequence[Outcome], towers: Mapping[str, str] | None = None) -> list[Verdict]:
    """The verdict on every model that another one comes before; the first is the base model of all.

    Args:
        outcomes: of two or more models, the base model's first.
        towers: size of the models for which it is known (`degla.models.architecture.towers`); only models of one size are
            compared, for a larger one may win everywhere.
    """
    known = towers or {}
    of: dict[str, dict[str, Outcome]] = {}
    for each in outcomes:
        of.setdefault(each.model, {})[each.benchmark] = each
    found = []
    for place, model in enumerate(of):
        alike = [name for name in of if name != model and len({known[each] for each in (name, model) if each in known}) < 2]
        if any(name in alike for name in list(of)[:place]):
            found.append(_verdict(model, of, alike if len(alike) < MOST_MODELS else alike[:1]))
    return found


def as_json(found: Sequence[Verdict]) -> str:
    """The content of `SHORTCUT_FILE`: a list of verdicts."""
    return json.dumps([verdict.model_dump() for verdict in found], indent=1)


def read_verdicts(evaluated: Artifact) -> list[Verdict]:
    """The verdicts of a finished evaluation; empty if it was made before there were any. Raises DataError if they are damaged."""
    if not evaluated.has(SHORTCUT_FILE):
        return []
    path = evaluated.file(SHORTCUT_FILE)
    return [validate(Verdict, each, str(path)) for each in json.loads(path.read_text(encoding="utf-8"))]


def as_markdown(found: Sequence[Verdict]) -> str:
    """The sentences, and a table of the evidence against the base models."""
    rows = [_row(verdict, each) for verdict in found for each in verdict.evidence if each.against == verdict.evidence[0].against]
    header = ("model", "test", "items", "by text alone", "against", "its score", "score", "difference")
    table = [markdown_table(header, rows, text=("model", "test", "against"))] if rows else []
    return "\n\n".join(["\n".join(f"- {verdict.sentence}" for verdict in found), *table, *([RULE] if rows else [])])


def _row(verdict: Verdict, each: Evidence) -> tuple[str, ...]:
    blind = verdict.text_only.get(each.metric.split("/")[0]) if each.asks == "texts" else None
    return (
        verdict.model,
        each.test,
        f"{each.items:,}",
        "" if blind is None else f"{100 * blind:.1f}",
        each.against,
        f"{100 * each.against_value:.1f}",
        f"{100 * each.value:.1f}",
        each.phrase().removeprefix(each.test).strip(),
    )


@dataclass(frozen=True)
class _Test:
    """A test of two models on all items that both were scored on."""

    asks: Asks
    name: str
    metric: str
    other: Measure
    own: Measure


def _verdict(model: str, of: Mapping[str, Mapping[str, Outcome]], others: Sequence[str]) -> Verdict:
    tests = {other: _tests(of[other], of[model]) for other in others}
    deciding = sum(test.asks in _WOULD_TELL for own in tests.values() for test in own)
    evidence = [_evidence(test, other, max(deciding, 1)) for other, own in tests.items() for test in own]
    scored = {each.asks for each in evidence}
    lacking = [what for asks, what in _WOULD_TELL.items() if asks not in scored]
    name, sentence = _judged(model, others[0], evidence, lacking)
    benchmarks = {each.metric.split("/")[0] for each in evidence if each.asks == "texts"}
    text_only = {key: value / 100 for key, value in published_table().text_only.scores.items() if key in benchmarks}
    if text_only and name != "no_gain":
        said = (f"{100 * value:.1f} % of {_NAMES.get(key, key)}" for key, value in text_only.items())
        sentence = f"{sentence.removesuffix('.')} (text alone: {', '.join(said)})."
    return Verdict(
        model=model,
        verdict=name,
        sentence=sentence,
        evidence=evidence,
        comparisons=deciding,
        text_only=text_only,
        would_tell=lacking,
    )


def _judged(model: str, base: str, evidence: Sequence[Evidence], lacking: Sequence[str]) -> tuple[Word, str]:
    """The verdict and its sentence."""
    others = dict.fromkeys(each.against for each in evidence)
    against = {other: [each for each in evidence if each.against == other] for other in others}
    own = against.get(base, [])
    end = "".join(f"; {each.phrase()}" for each in own if each.asks == "zero_shot") + "."
    fallen = [said for other, found in against.items() if (said := _shortcut(other, found))]
    if fallen:
        return "shortcut", f"{model} learned a shortcut: {'; '.join(fallen[:2])}{end}"
    texts, images = ([each for each in own if each.asks == asks] for asks in ("texts", "images_too"))
    gained = [each for each in texts if each.gains]
    if not texts or (gained and not images):
        known = f"the gain may be a shortcut: over {base} {_best(gained).phrase()}" if gained else "too little to tell a shortcut"
        return "untested", f"{model}: {known}; {', and '.join(lacking)} would tell{end}"
    if not gained:
        return "no_gain", f"{model} has no gain to explain: over {base} {_best(texts).phrase()}{end}"
    start = f"over {base} {_best(gained).phrase()}"
    held = [each for each in images if each.gains]
    if not held:
        said = ", ".join(each.phrase() for each in images[:2])
        return "open", f"{model}: it is not shown that the gain carries over to what text alone cannot win: {start}, {said}{end}"
    doubtful = [each.test for each in images if not each.gains]
    more = f" (not shown in {'; '.join(doubtful)})" if doubtful else ""
    said = ", ".join(each.phrase() for each in held[:2])
    return "holds", f"{model}: the gain holds where text alone cannot win: {start}, {said}{more}{end}"


def _shortcut(other: str, own: Sequence[Evidence]) -> str:
    """A gain in texts with a loss where text alone cannot win, in words; empty if there is none."""
    gained = [each for each in own if each.asks == "texts" and each.gains]
    lost = [each for each in own if each.asks == "images_too" and each.loses]
    return f"over {other} {_best(gained).phrase()}, but {lost[0].phrase()}" if gained and lost else ""


def _best(texts: Sequence[Evidence]) -> Evidence:
    """SugarCrepe, or the largest difference."""
    return next((each for each in texts if each.metric.startswith("sugarcrepe/")), max(texts, key=lambda each: each.change))


def _tests(other: Mapping[str, Outcome], own: Mapping[str, Outcome]) -> list[_Test]:
    """The tests that both models were scored in, in the order of `_KINDS`; zero-shot sets make one, their mean."""
    found: dict[str, list[_Test]] = {kind: [] for kind in _KINDS}
    for benchmark in (name for name in other if name in own):
        tables = shared_items([other[benchmark].items, own[benchmark].items])
        kinds = [kind for kind in tables[0]["kind"].unique().to_pylist() if kind in _KINDS]
        for kind in kinds:
            first, second = (_pooled(table.filter(pc.equal(table["kind"], kind)), kind) for table in tables)
            asks, name = _KINDS[kind]
            sets = tables[0].filter(pc.equal(tables[0]["kind"], kind))["set"].unique().to_pylist()
            if kind == CHOICE and all(each.endswith(_ORDER) for each in sets):
                asks = "word_order"
            if kind in (MATCH_TEXT, MATCH_IMAGE) and MATCH_GROUP not in kinds:  # they decide if there is no score of both
                asks = "images_too"
            named = name.format(name=_NAMES.get(benchmark, benchmark))
            found[kind].append(_Test(asks, named, f"{benchmark}/{first.path}", first, second))
    found[CLASSIFICATION] = _mean(found[CLASSIFICATION])
    return [test for tests in found.values() for test in tests]


def _pooled(items: pa.Table, kind: str) -> Measure:
    """The accuracy over all items of a kind, whatever their sets."""
    metric = "accuracy" if kind in (CHOICE, CLASSIFICATION) else f"{kind}_accuracy"
    paths = tuple(f"{name}/{metric}" for name in items["set"].unique().to_pylist())
    pooled = Average(f"all_items/{metric}", paths, pooled=True)
    found = {each.path: each for each in measures(items, [pooled])}
    return found[paths[0] if len(paths) == 1 else pooled.path]


def _mean(tests: Sequence[_Test]) -> list[_Test]:
    """One test of several zero-shot sets: their plain mean."""
    if len(tests) < 2:
        return list(tests)
    average = Average("mean_of_sets/accuracy", tuple(test.metric for test in tests))
    sides = ({test.metric: test.other for test in tests}, {test.metric: test.own for test in tests})
    (other,), (own,) = (means([average], side) for side in sides)
    return [_Test("zero_shot", f"zero-shot, mean of {len(tests)} sets", f"zero_shot/{average.path}", other, own)]


def _evidence(test: _Test, against: str, deciding: int) -> Evidence:
    change = intervals.difference(test.other.parts, test.own.parts, test.own.weights, test.own.images)
    wider = NormalDist().inv_cdf(1 - 0.025 / deciding) / intervals.Z95 if test.asks in _WOULD_TELL else 1.0
    return Evidence(
        test=test.name,
        asks=test.asks,
        metric=test.metric,
        against=against,
        items=test.own.items,
        value=test.own.value,
        against_value=test.other.value,
        change=change.value,
        low=max(-1.0, change.value - wider * (change.value - change.low)),
        high=min(1.0, change.value + wider * (change.high - change.value)),
    )
