"""What an exemplar must satisfy, whoever wrote it: the judge's rules on its type, plain text, and nothing said twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import pyarrow as pa

from degla.generate.backend import Origin, Request, Rewrite
from degla.generate.language_models.answers import abstains
from degla.generate.language_models.prompts import ABSTAIN, Exemplar
from degla.generate.routing import unanswerable, unusable
from degla.generate.verdicts import verdicts
from degla.judge.judge import own_judge, word_uses
from degla.judge.rules import RULES
from degla.negative_types import NegativeType
from degla.text.edits import what_is_said
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

LONGEST = 40  # words; an exemplar is read once with every caption

_WHY = {rule.name: rule.why for rule in RULES}
_tagger = lru_cache(1)(Tagger)


def faults(negative_type: NegativeType, exemplars: Sequence[Exemplar]) -> list[str | None]:
    """What is wrong with each exemplar, or None.

    Words count as nouns and adjectives by their use in all these texts, so that a verdict may depend on the others a little.
    """
    found = [_plain_fault(each) for each in exemplars]
    judged = [i for i, each in enumerate(exemplars) if found[i] is None and each.output != ABSTAIN]
    rows = [_row(negative_type, exemplars[i]) for i in judged]
    for i, row, refusal in zip(judged, rows, _refusals(rows), strict=True):
        request = row.request
        reason = unusable(request.caption, request.tokens) or unanswerable(request.tags, negative_type)
        found[i] = f"the rule {refusal} refuses it: {_WHY[refusal]}" if refusal else reason
    return found


def repetitions(exemplars: Sequence[Exemplar], before: Iterable[Exemplar]) -> list[str | None]:
    """For each exemplar, what of it an earlier one or one of `before` says already, or None."""
    said = {what_is_said(text): "the prompt" for each in before for text in (each.input, each.output)}
    found: list[str | None] = []
    for each in exemplars:
        texts = [what_is_said(text) for text in (each.input, each.output) if text != ABSTAIN]
        where = next((said[text] for text in texts if text in said), None)
        found.append(where and f"one of its texts is in {where} already")
        said |= dict.fromkeys(texts, "another one that is chosen")
    return found


def _plain_fault(exemplar: Exemplar) -> str | None:
    for name, text in (("input", exemplar.input), ("output", exemplar.output)):
        if not text:
            return f"its {name} is empty"
        if not text.isprintable():
            return f"its {name} has control characters"
        if len(text.split()) > LONGEST:
            return f"its {name} has more than {LONGEST} words"
    if exemplar.output != ABSTAIN and abstains(exemplar.output):
        return f"its output is {exemplar.output!r}; to abstain, write {ABSTAIN}"
    return None


def _row(negative_type: NegativeType, exemplar: Exemplar) -> Rewrite:
    tokens = tuple(tokenize(exemplar.input))
    tags = tuple(_tagger().tag(tokens)[0])
    request = Request(0, exemplar.input, tokens, tags, negative_type, candidate=0, attempt=1, seed=0)
    return Rewrite(request, Origin("exemplar", ""), "ok", exemplar.output)


def _refusals(rows: Sequence[Rewrite]) -> list[str | None]:
    """The rule of the judge that refuses each row, or None."""
    if not rows:
        return []
    tokens = [tokenize(text) for row in rows for text in (row.request.caption, row.text or "")]
    texts = pa.table({"tokens": tokens, "tags": [_tagger().tag(each)[0] for each in tokens]})
    database = own_judge().database
    database.register("exemplar_words", texts)
    return verdicts(rows, word_uses(database, "exemplar_words"))
