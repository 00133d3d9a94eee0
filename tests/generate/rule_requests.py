"""Requests of captions as the generate stage makes them, and what the rules back end answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from caption_tables import captions_table

from degla.generate.backend import Request, Rewrite
from degla.generate.rules.rules_backend import RulesBackend
from degla.generate.rules.vocabulary import Vocabulary
from degla.negative_types import NEGATIVE_TYPES, NegativeType
from degla.text.lexicon import load_lexicon


def rules(vocabulary: Vocabulary | None = None) -> RulesBackend:
    return RulesBackend(load_lexicon(), vocabulary or Vocabulary())


def requests(captions: Sequence[str], types: Sequence[NegativeType] = NEGATIVE_TYPES, **more: object) -> Iterator[Request]:
    fields = {"candidate": 0, "attempt": 1, "seed": 0, **more}
    for row in captions_table(captions).to_pylist():
        for kind in types:
            yield Request(row["caption_id"], row["caption"], tuple(row["tokens"]), tuple(row["tags"]), kind, **fields)


def rows(captions: Sequence[str], types: Sequence[NegativeType] = NEGATIVE_TYPES) -> list[Rewrite]:
    backend = rules()
    backend.submit(list(requests(captions, types)))
    return backend.collect()


def candidates(
    caption: str, kind: NegativeType, vocabulary: Vocabulary | None = None, limit: int = 16, **more: object
) -> list[str]:
    (request,) = requests([caption], [kind], **more)
    return rules(vocabulary).candidates(request, limit)
