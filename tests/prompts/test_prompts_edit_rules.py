"""The exemplars against degla's own judgement: a prompt must not teach what the filter refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from degla.filter.explain import Question, explain
from degla.judge.judge import own_judge
from degla.negative_types import NEGATIVE_TYPES
from degla.text.inflection import singular
from degla.text.lexicon import load_lexicon
from degla.text.tags import Tagger
from degla.text.tokens import tokenize

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"


def exemplars(kind: str) -> list[dict[str, str]]:
    return yaml.safe_load((PROMPTS / f"{kind}.yaml").read_text("ascii"))["exemplars"]


def as_tables(rows: list[tuple[str, str, str]]) -> tuple[pa.Table, pa.Table]:
    """Captions as prepare writes them and rewrites as generate does, of (type, caption, text)."""
    tagger = Tagger()
    captions: list[dict[str, Any]] = []
    for number, (_, caption, _) in enumerate(rows):
        tokens = tokenize(caption)
        tags, lemmas = tagger.tag(tokens)
        row = {"caption_id": number, "image_id": str(number), "caption": caption}
        captions.append({**row, "tokens": tokens, "tags": tags, "lemmas": lemmas})
    rewrites = [
        {"caption_id": number, "type": kind, "candidate": 0, "attempt": 1, "status": "ok", "text": text, "finish": "stop"}
        for number, (kind, _, text) in enumerate(rows)
    ]
    return pa.Table.from_pylist(captions), pa.Table.from_pylist(rewrites)


def refusals(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Type, text and rule of each row that an edit rule refuses."""
    captions, rewrites = as_tables(rows)
    found = own_judge().verdicts(captions, rewrites)
    return [(kind, text, rule) for (kind, _, text), rule in zip(rows, found, strict=True) if rule]


def test_every_exemplar_passes_the_edit_rules() -> None:
    rows = [(kind, item["input"], item["output"]) for kind in NEGATIVE_TYPES for item in exemplars(kind)]
    assert refusals(rows) == []


def test_every_exemplar_passes_all_rules_of_the_filter_on_a_row() -> None:
    rows = [Question(item["input"], kind, item["output"]) for kind in NEGATIVE_TYPES for item in exemplars(kind)]
    refused = [(row.rewrite, rule) for row, rule in zip(rows, explain(rows), strict=True) if rule]
    assert refused == []


def test_the_edit_rules_refuse_every_exemplar_under_another_kind_of_edit() -> None:
    other = {"replace_nouns": "swap_nouns", "replace_adjectives": "swap_adjectives", "swap_nouns": "replace_nouns"}
    rows = [(other[kind], item["input"], item["output"]) for kind in other for item in exemplars(kind)]
    assert len(refusals(rows)) == len(rows)


@pytest.mark.parametrize(("kind", "words"), [("replace_nouns", "nouns"), ("replace_adjectives", "adjectives")])
def test_no_replacement_is_a_synonym_or_a_wider_word_by_the_lexicon(kind: str, words: str) -> None:
    lexicon = load_lexicon()
    for item in exemplars(kind):
        before, after = (tokenize(item[key].lower()) for key in ("input", "output"))
        removed, added = set(before) - set(after), set(after) - set(before)
        for word in removed:
            assert not added & lexicon.related(words, word), item
            assert not {singular(each) for each in added} & lexicon.related(words, singular(word)), item
