"""Exemplars to choose among: captions are rewritten by a back end, and varied ones that pass every check are proposed.

Knows nothing of the person who chooses.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa

from degla.errors import DataError
from degla.generate.backend import Backend, Request, Rewrite, row_seed
from degla.generate.exemplars.checks import LONGEST, faults, repetitions
from degla.generate.language_models.prompts import Exemplar, Prompt
from degla.generate.routing import unanswerable, unusable
from degla.negative_types import NegativeType
from degla.schemas import CAPTIONS, read_table
from degla.text.edits import what_is_said

logger = logging.getLogger(__name__)

_SHORTEST = 5  # words
_SMALL = 3  # letters; articles, prepositions and the like
_BLOCK = 4096  # captions read at once


@dataclass(frozen=True)
class Wanted:
    """How many exemplars to propose, from how many captions."""

    number: int
    """Largest number of exemplars."""

    captions: int
    """Number of captions to rewrite."""

    seed: int
    """Seed that picks the captions and seeds the back end."""


def propose(prompt: Prompt, captions: Path, backend: Backend, wanted: Wanted) -> list[Exemplar]:
    """New exemplars for a prompt that pass every check, the most varied first.

    Args:
        prompt: the current one.
        captions: a Parquet file of `degla.schemas.CAPTIONS`.
        backend: rewrites them.
        wanted: how many.

    Raises:
        DataError: the captions cannot be read, none can have this type, or no rewrite passes.
    """
    requests = _requests(captions, prompt.type, wanted)
    if not requests:
        raise DataError(f"none of the captions in {captions} can have a rewrite of type {prompt.type}")
    generator = backend.origin(prompt.type).generator
    logger.info("asking %s for %s of %s captions", generator, prompt.type, f"{len(requests):,}")
    rows = _answers(backend, requests)
    pairs = [Exemplar(input=row.request.caption, output=row.text or "") for row in rows if row.status == "ok"]
    wrong = faults(prompt.type, pairs)
    known = repetitions(pairs, [*prompt.exemplars, *prompt.abstentions])
    good = [pair for pair, *problems in zip(pairs, wrong, known, strict=True) if not any(problems)]
    chosen = _agreed(prompt.type, good, wanted.number)
    tally = _tally(rows, wrong, known)
    if not chosen:
        raise DataError(f"no rewrite of {len(rows):,} captions by {generator} can be proposed: {tally}. Raise --captions.")
    logger.info("%s of %s that pass are proposed (%s)", len(chosen), f"{len(good):,}", tally)
    return chosen


def _requests(path: Path, negative_type: NegativeType, wanted: Wanted) -> list[Request]:
    requests: list[Request] = []
    seen: set[str] = set()
    for caption_id, text, tokens, tags in _shuffled(path, wanted.seed):
        said = what_is_said(text)
        plain = text.isascii() and _SHORTEST <= len(text.split()) <= LONGEST
        if not plain or said in seen or unanswerable(tags, negative_type) or unusable(text, tokens):
            continue
        seen.add(said)
        seed = row_seed(wanted.seed, text, negative_type, candidate=0, attempt=1)
        requests.append(Request(caption_id, text, tuple(tokens), tuple(tags), negative_type, 0, 1, seed))
        if len(requests) == wanted.captions:
            break
    return requests


def _shuffled(path: Path, seed: int) -> Iterator[tuple[int, str, list[str], list[str]]]:
    """Id, text, tokens and tags of the captions in random order, read as they are taken."""
    table = read_table(path, CAPTIONS, ["caption_id", "caption", "tokens", "tags"])
    order = list(range(table.num_rows))
    Random(seed).shuffle(order)
    for start in range(0, len(order), _BLOCK):
        for row in table.take(pa.array(order[start : start + _BLOCK])).to_pylist():
            yield row["caption_id"], row["caption"], row["tokens"], row["tags"]


def _answers(backend: Backend, requests: Sequence[Request]) -> list[Rewrite]:
    """The rows of all requests in their order, at most `capacity` of them open at once."""
    rows: dict[int, Rewrite] = {}
    for start in range(0, len(requests), max(1, backend.capacity)):
        backend.submit(requests[start : start + max(1, backend.capacity)])
        open_until = min(len(requests), start + max(1, backend.capacity))
        while len(rows) < open_until:
            rows |= {row.request.caption_id: row for row in backend.collect()}
    return [rows[request.caption_id] for request in requests]


def _agreed(negative_type: NegativeType, good: list[Exemplar], number: int) -> list[Exemplar]:
    """The most varied ones that also pass the checks when judged without the others."""
    while True:
        chosen = _varied(good, number)
        wrong = {each for each, fault in zip(chosen, faults(negative_type, chosen), strict=True) if fault}
        if not wrong:
            return chosen
        good = [each for each in good if each not in wrong]


def _varied(exemplars: Sequence[Exemplar], number: int) -> list[Exemplar]:
    """`number` of them, each the one whose words, length and opening are rarest among those already taken."""
    left = {each: _features(each) for each in exemplars}
    used: Counter[str] = Counter()
    chosen: list[Exemplar] = []
    while left and len(chosen) < number:
        best = min(left, key=lambda each: sum(used[feature] for feature in left[each]) / len(left[each]))
        used.update(left.pop(best))
        chosen.append(best)
    return chosen


def _features(exemplar: Exemplar) -> set[str]:
    before, after = (text.lower().rstrip(".").split() for text in (exemplar.input, exemplar.output))
    content = {word for word in {*before, *after} if len(word) > _SMALL}
    return content | {f"{len(before)} words", f"begins with {' '.join(before[:2])}"}


def _tally(rows: Sequence[Rewrite], wrong: Sequence[str | None], known: Sequence[str | None]) -> str:
    counts = Counter[str](row.status for row in rows if row.status != "ok")
    counts["refused by a rule"] = sum(map(bool, wrong))
    counts["in the prompt already"] = sum(map(bool, known))
    first_error = next((row.error for row in rows if row.status == "failed"), None)
    text = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none dropped"
    return f"{text}; first error: {first_error}" if first_error else text
