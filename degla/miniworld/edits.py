"""Rewrites of a caption that make it false: the paper's five kinds of negatives, and the edits of the benchmarks.

An edit changes the `Statement`, and the new caption is written with the seed of the old one, so that the two differ in
the edited words only. Whether an edit made the caption false is checked, not assumed.
Knows nothing of images or of the pipeline's own generators.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from degla.miniworld.language import (
    ADJECTIVE_WORDS,
    NOUN_WORDS,
    RELATION_PHRASES,
    Caption,
    Mention,
    Statement,
    tidy,
    words_of,
)
from degla.miniworld.scenes import SEEN_COLOURS, SEEN_NOUNS, SIZES, TEXTURES, Scene, pick
from degla.miniworld.truth import judge
from degla.negative_types import NegativeType

EditKind = Literal["swap_nouns", "swap_attribute", "replace_noun", "replace_attribute", "replace_relation"]

_AttributeKind = Literal["size", "texture", "colour"]
_ATTRIBUTE_KINDS: tuple[_AttributeKind, ...] = ("size", "texture", "colour")
_MAX_TRIES = 4


@dataclass(frozen=True)
class Words:
    """The nouns and colours a replacement may bring in."""

    nouns: Sequence[str] = SEEN_NOUNS
    colours: Sequence[str] = SEEN_COLOURS


def swap_nouns(statement: Statement, rng: np.random.Generator, words: Words) -> Statement:
    """The two nouns change places; each noun phrase keeps its adjectives."""
    first, second = statement.first, statement.second
    return replace(statement, first=replace(first, noun=second.noun), second=replace(second, noun=first.noun))


def swap_attribute(statement: Statement, rng: np.random.Generator, words: Words) -> Statement | None:
    """Sizes, textures or colours change places; None if no kind is mentioned of both objects and different."""
    first, second = statement.first, statement.second
    pairs = [(kind, getattr(first, kind), getattr(second, kind)) for kind in _ATTRIBUTE_KINDS]
    pairs = [(kind, one, other) for kind, one, other in pairs if one and other and one != other]
    if not pairs:
        return None
    kind, one, other = pick(rng, pairs)
    return replace(statement, first=replace(first, **{kind: other}), second=replace(second, **{kind: one}))


def replace_noun(statement: Statement, rng: np.random.Generator, words: Words) -> Statement:
    """One noun becomes another that is not in the caption."""
    mentioned = {statement.first.noun, statement.second.noun}
    noun = pick(rng, [noun for noun in words.nouns if noun not in mentioned])
    return _with_mention(statement, pick(rng, ("first", "second")), noun=noun)


def replace_attribute(statement: Statement, rng: np.random.Generator, words: Words) -> Statement | None:
    """One adjective becomes another of its kind, a colour never the other object's; None if there is no adjective."""
    slots = [(slot, kind) for slot in ("first", "second") for kind in _ATTRIBUTE_KINDS]
    slots = [(slot, kind) for slot, kind in slots if getattr(_mention(statement, slot), kind)]
    if not slots:
        return None
    slot, kind = pick(rng, slots)
    taken = {statement.first.colour, statement.second.colour, getattr(_mention(statement, slot), kind)}
    options = {"size": tuple(SIZES), "texture": tuple(TEXTURES), "colour": tuple(words.colours)}[kind]
    return _with_mention(statement, slot, **{kind: pick(rng, [option for option in options if option not in taken])})


def replace_relation(statement: Statement, rng: np.random.Generator, words: Words) -> Statement | None:
    """The relation becomes another; None if the caption has none."""
    if statement.relation is None:
        return None
    return replace(statement, relation=pick(rng, [name for name in RELATION_PHRASES if name != statement.relation]))


def _mention(statement: Statement, slot: str) -> Mention:
    return getattr(statement, slot)


def _with_mention(statement: Statement, slot: str, **changes: str) -> Statement:
    changed: dict[str, Any] = {slot: replace(_mention(statement, slot), **changes)}
    return replace(statement, **changed)


_EDITS: dict[EditKind, Callable[[Statement, np.random.Generator, Words], Statement | None]] = {
    "swap_nouns": swap_nouns,
    "swap_attribute": swap_attribute,
    "replace_noun": replace_noun,
    "replace_attribute": replace_attribute,
    "replace_relation": replace_relation,
}


def false_edit(
    kind: EditKind, caption: Caption, scene: Scene, rng: np.random.Generator, words: Words | None = None
) -> str | None:
    """The caption after an edit that makes it false of the scene; None if a few tries found none."""
    for _ in range(_MAX_TRIES):
        edited = _EDITS[kind](caption.statement, rng, words or Words())
        if edited is not None and judge(text := Caption(edited, caption.seed).text, scene) == "false":
            return text
    return None


_NEGATIVE_EDITS: dict[NegativeType, EditKind] = {
    "swap_nouns": "swap_nouns",
    "swap_adjectives": "swap_attribute",
    "replace_nouns": "replace_noun",
    "replace_adjectives": "replace_attribute",
}


def negatives(caption: Caption, scene: Scene, rng: np.random.Generator, count: int = 4) -> list[tuple[NegativeType, str]]:
    """`count` different negatives with their kinds, the kinds without repetition in random order while they can be had.

    None is true of the scene; all but some reshuffled ones, which have lost their grammar, are false.
    """
    kinds: list[NegativeType] = ["reshuffle", *_NEGATIVE_EDITS]
    found: dict[str, NegativeType] = {}
    queue = [kinds[i] for i in rng.permutation(len(kinds))]
    while len(found) < count:
        kind = queue.pop() if queue else "replace_nouns"
        text = negative(kind, caption, scene, rng)
        if text is not None:
            found.setdefault(text, kind)
    return [(kind, text) for text, kind in found.items()]


def negative(kind: NegativeType, caption: Caption, scene: Scene, rng: np.random.Generator) -> str | None:
    """One negative of a kind, or None if the caption has none."""
    if kind == "reshuffle":
        return reorder(caption.text, shuffle_words, scene, rng)
    return false_edit(_NEGATIVE_EDITS[kind], caption, scene, rng)


Reordering = Callable[[list[str], np.random.Generator], list[str]]


def reorder(text: str, reordering: Reordering, scene: Scene, rng: np.random.Generator) -> str | None:
    """The caption with its words in another order, not true of the scene; None if a few tries found none."""
    for _ in range(_MAX_TRIES):
        reordered = tidy(" ".join(reordering(words_of(text), rng)))
        if reordered != text and judge(reordered, scene) != "true":
            return reordered
    return None


def _permuted(items: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [items[i] for i in rng.permutation(len(items))]


def shuffle_words(words: list[str], rng: np.random.Generator) -> list[str]:
    """All words in random order."""
    return _permuted(words, rng)


_CONTENT_WORDS = {word for table in (NOUN_WORDS, ADJECTIVE_WORDS) for options in table.values() for word in options}


def _shuffle_where(words: list[str], moves: list[bool], rng: np.random.Generator) -> list[str]:
    moved = iter(_permuted([word for word, moving in zip(words, moves, strict=True) if moving], rng))
    return [next(moved) if moving else word for word, moving in zip(words, moves, strict=True)]


def shuffle_content_words(words: list[str], rng: np.random.Generator) -> list[str]:
    """Nouns and adjectives in random order, the other words in place."""
    return _shuffle_where(words, [word in _CONTENT_WORDS for word in words], rng)


def shuffle_other_words(words: list[str], rng: np.random.Generator) -> list[str]:
    """All but nouns and adjectives in random order."""
    return _shuffle_where(words, [word not in _CONTENT_WORDS for word in words], rng)


def _trigrams(words: list[str]) -> list[list[str]]:
    return [words[i : i + 3] for i in range(0, len(words), 3)]


def shuffle_trigrams(words: list[str], rng: np.random.Generator) -> list[str]:
    """Groups of three words in random order, each group kept."""
    groups = _trigrams(words)
    return [word for i in rng.permutation(len(groups)) for word in groups[i]]


def shuffle_within_trigrams(words: list[str], rng: np.random.Generator) -> list[str]:
    """The words of each group of three in random order, the groups in place."""
    return [word for group in _trigrams(words) for word in _permuted(group, rng)]


ORDER_PERTURBATIONS: tuple[Reordering, ...] = (
    shuffle_content_words,
    shuffle_other_words,
    shuffle_trigrams,
    shuffle_within_trigrams,
)
"""The four wrong orders of ARO's order test."""
