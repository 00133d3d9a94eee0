"""Why a row is kept or rejected, without a run: `python -m degla.filter explain FILE [--out FILE]`.

The rules that look at one row and the captions of its image are asked; those that compare it with other rows (duplicates,
quotas) or with a model are not, and no words are mined. Which words are used as nouns and as adjectives is counted in all
captions of the file.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from degla.errors import DataError, MissingInputError
from degla.files import atomic_path
from degla.filter.config import FilterConfig
from degla.filter.rules import RULES
from degla.filter.sieve import Sieve, find_chunks
from degla.judge.judge import own_judge
from degla.negative_types import NEGATIVE_TYPES, unknown_type
from degla.schemas import CAPTIONS, REWRITES
from degla.sources.options import SourceOptions
from degla.sources.records import Negative, Record
from degla.sources.source import open_source
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

TYPE = "type"
COLUMNS = ("caption", TYPE, "rewrite")
OTHERS = "other_captions"
BETWEEN = "|"  # what separates other captions

_MAX_CAPTIONS = 1_000  # of one image


@dataclass(frozen=True)
class Question:
    """A rewrite, the caption that it was made from, and what else is said of the image."""

    caption: str
    type: str
    rewrite: str
    other_captions: tuple[str, ...] = ()


def explain(questions: Sequence[Question], config: FilterConfig | None = None) -> list[str | None]:
    """The name of the first rule that refuses each rewrite, or None where it is kept, in the order of the questions.

    Args:
        questions: any number; a type must be one of `NEGATIVE_TYPES`.
        config: the limits; the default's where it is not given.
    """
    if not questions:
        return []
    config = config or FilterConfig()
    judge = own_judge(config.min_tokens, config.max_tokens)
    database = judge.database
    database.register("all_captions", _captions(questions))
    database.register("texts", _texts(questions))
    sieve = Sieve(judge, config, RULES)
    for chunk in find_chunks(database):
        sieve.judge_rows(chunk)
    found = dict(database.rows("select caption_id, rule from verdicts"))
    return [found[number * _MAX_CAPTIONS] for number in range(len(questions))]


_tagger = lru_cache(1)(Tagger)


def _captions(questions: Sequence[Question]) -> pa.Table:
    tagger = _tagger()
    rows = []
    for number, question in enumerate(questions):
        for place, caption in enumerate((question.caption, *question.other_captions)):
            tokens = tokenize(caption)
            tags, lemmas = tagger.tag(tokens)
            rows.append((number * _MAX_CAPTIONS + place, str(number), caption, tokens, tags, lemmas))
    return pa.table(dict(zip(CAPTIONS.names, zip(*rows, strict=True), strict=True)), schema=CAPTIONS)


def _texts(questions: Sequence[Question]) -> pa.Table:
    same = {"candidate": 0, "status": "ok", "attempt": 1, "seed": 0, "generator": "", "model_sha": ""}
    rows = [
        {"caption_id": number * _MAX_CAPTIONS, "type": question.type, "text": question.rewrite, **same}
        for number, question in enumerate(questions)
    ]
    return pa.Table.from_pylist(rows, schema=REWRITES)


def read_questions(path: Path) -> tuple[list[dict[str, str]], list[Question]]:
    """The rows of a file of negatives (`docs/data.md`) with a column `type` and, if there, `other_captions`.

    Raises:
        MissingInputError: there is no such file.
        DataError: the file is broken, a column is missing, or a row lacks a value or has an unknown type; names the line.
    """
    if not path.is_file():
        raise MissingInputError(f"{path} does not exist; give a file with the columns {', '.join(COLUMNS)}")
    rows, questions = [], []
    for record, caption, negative in open_source(path, SourceOptions(more_columns=(TYPE, OTHERS))).pairs():
        if negative.type is None and TYPE not in record.fields:
            raise DataError(f"{path}: the column {TYPE} is missing; found {', '.join(map(str, record.fields))}")
        questions.append(_question(caption, negative, record))
        rows.append({str(name): "" if value is None else str(value) for name, value in record.fields.items()})
    return rows, questions


def _question(caption: str, negative: Negative, record: Record) -> Question:
    name = negative.type or str(record.fields.get(TYPE))
    if not caption or not tokenize(caption):
        raise DataError(f"{record.where}: the caption is empty")
    if name not in NEGATIVE_TYPES:
        raise DataError(f"{record.where}: {unknown_type(name)}")
    others = record.fields.get(OTHERS) or ()
    texts = others.split(BETWEEN) if isinstance(others, str) else map(str, others)
    known = tuple(" ".join(each.split()) for each in texts if each.strip())
    if len(known) >= _MAX_CAPTIONS:
        raise DataError(f"{record.where}: {len(known)} other captions; at most {_MAX_CAPTIONS - 1} are read")
    return Question(caption, name, negative.text, known)


def command(arguments: Sequence[str]) -> None:
    """`explain ...` of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m degla.filter explain",
        description="Say of each row of a file of negatives whether it is kept, or which rule rejects it.",
    )
    parser.add_argument(
        "file", type=Path, help=f"columns {', '.join(COLUMNS)}, and {OTHERS} separated by {BETWEEN} if there are any"
    )
    parser.add_argument("--out", type=Path, help="write the rows here, with the columns verdict and rule")
    options = parser.parse_args(arguments)
    rows, questions = read_questions(options.file)
    rules = explain(questions)
    why = {rule.name: rule.why for rule in RULES}
    for question, rule in zip(questions, rules, strict=True):
        print(f"{verdict(rule):<6}  {question.type:<18}  {question.caption}  ->  {question.rewrite}")
        if rule:
            print(f"        {rule}: {why[rule]}")
    print(_summary(rules))
    if options.out:
        _write(options.out, rows, rules)
        print(f"written: {options.out}")


def verdict(rule: str | None) -> str:
    """`keep`, or `reject` where a rule refuses the row."""
    return "reject" if rule else "keep"


def _summary(rules: Sequence[str | None]) -> str:
    reasons = Counter(filter(None, rules)).most_common()
    line = f"{len(rules):,} rows: {sum(rule is None for rule in rules):,} kept, {sum(count for _, count in reasons):,} rejected"
    return line + (f" ({', '.join(f'{name} {count:,}' for name, count in reasons)})" if reasons else "")


def _write(out: Path, rows: Sequence[dict[str, str]], rules: Sequence[str | None]) -> None:
    with atomic_path(out) as path, path.open("w", encoding="utf-8", newline="") as file:
        judged = [{**row, "verdict": verdict(rule), "rule": rule or ""} for row, rule in zip(rows, rules, strict=True)]
        writer = csv.DictWriter(file, list(judged[0]) if judged else [*COLUMNS, "verdict", "rule"])
        writer.writeheader()
        writer.writerows(judged)
