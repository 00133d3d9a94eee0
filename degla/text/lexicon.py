"""The lexicon: which nouns and adjectives may take each other's place, as data (`lexicon.yaml`).

A concept is a set of synonyms, a group holds concepts that look different from each other (co-hyponyms), a category holds
related groups. Knows nothing of captions or grammar.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import yaml

from degla.errors import ConfigError
from degla.negative_types import PartOfSpeech

_MEMORY = 1 << 16  # words that are remembered
_PARTS: tuple[PartOfSpeech, ...] = ("nouns", "adjectives")
_NONE: frozenset[str] = frozenset()
_ENOUGH = 3  # words to choose from, so that a replacement cannot be guessed from what it replaces


@dataclass(frozen=True)
class Concept:
    """Words for one thing, the plainest first, in a group of concepts that differ from it."""

    words: tuple[str, ...]
    group: str
    category: str


class Lexicon:
    """The words of `lexicon.yaml`, looked up in their base form (singular, positive), lower-case.

    Args:
        data: the parsed file.
        sha: fingerprint of the file.

    Raises:
        ConfigError: the data has not the shape described at its head.
    """

    def __init__(self, data: Mapping[str, Any], sha: str) -> None:
        self.sha = sha
        try:
            self._concepts = {part: list(_concepts(data[part])) for part in _PARTS}
            self.mass = frozenset(data["mass"])
            self.plural_only = frozenset(data["plural"])
            self.unchanged_plural = frozenset(data["same"])
            self.single = frozenset(data["single"])
            self._fixed = frozenset(data["fixed"])
            self.units = frozenset(data["units"])
            self._general = frozenset(data["general"])
            self._instead: Mapping[str, list[str]] = data["instead"]
            self._included: Mapping[str, list[str]] = data["includes"]
            self._objects = frozenset(data["objects"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"lexicon: {error!r}. The file's head says what it must look like.") from error
        self._by_word = {part: _index(concepts) for part, concepts in self._concepts.items()}
        self._groups = _frozen(self._by_word, lambda concept: concept.group)
        self._categories = _frozen(self._by_word, lambda concept: concept.category)
        more_nouns = (*self._fixed, *self._general, *self._instead, *(word for words in self._instead.values() for word in words))
        self._words = {part: tuple(self._by_word[part]) for part in self._by_word}
        self._words["nouns"] = tuple(dict.fromkeys((*self._words["nouns"], *sorted(more_nouns))))
        self._levels = lru_cache(_MEMORY)(self._find_levels)
        self._related = {part: lru_cache(_MEMORY)(self._find_related) for part in self._concepts}

    def concepts(self, part: PartOfSpeech, word: str) -> tuple[Concept, ...]:
        """The concepts that a word can stand for; empty where the lexicon does not know it."""
        return self._by_word[part].get(word, ())

    def replaceable(self, noun: str) -> bool:
        """Whether another thing may take a noun's place."""
        return noun in self._instead or bool(self.concepts("nouns", noun))

    def is_noun(self, words: str) -> bool:
        """Whether words in base form are one noun, of one or several words."""
        return words in self._fixed or words in self._general or self.replaceable(words)

    def uncounted(self, noun: str) -> bool:
        """Whether a noun without determiner is an amount, not a thing: always (rice), or as food (a slice of cake)."""
        return noun in self.mass or "food" in self.categories("nouns", noun)

    def names_thing(self, noun: str) -> bool:
        """Whether a noun names something that can be seen by itself."""
        return noun in self._general or bool(self.concepts("nouns", noun))

    def words(self, part: PartOfSpeech) -> Iterator[str]:
        """Every word, in the order of the file; nouns also that only are replaced, or replace where the file says so."""
        return iter(self._words[part])

    def num_concepts(self, part: PartOfSpeech) -> int:
        """How many concepts there are."""
        return len(self._concepts[part])

    @cached_property
    def longest_noun(self) -> int:
        """Words in the longest noun ("hot air balloon": 3)."""
        return max(word.count(" ") + 1 for word in self.words("nouns"))

    def groups(self, part: PartOfSpeech, word: str) -> frozenset[str]:
        """The groups a word belongs to."""
        return self._groups[part].get(word, _NONE)

    def group_words(self, part: PartOfSpeech, groups: frozenset[str]) -> list[str]:
        """The words of some groups."""
        return [word for word in self._by_word[part] if groups & self.groups(part, word)]

    def synonyms(self, part: PartOfSpeech) -> list[tuple[str, ...]]:
        """The words of each concept."""
        return [concept.words for concept in self._concepts[part]]

    def group_members(self, part: PartOfSpeech) -> list[list[str]]:
        """The words of each group, which exclude each other unless they are of one concept."""
        groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for concept in self._concepts[part]:
            groups[concept.category, concept.group].extend(concept.words)
        return list(groups.values())

    def place_words(self, place: str) -> list[str]:
        """The nouns of `category` or `category/group`. Raises KeyError where there is no such place."""
        found = [
            word
            for concept in self._concepts["nouns"]
            if place in (concept.category, f"{concept.category}/{concept.group}")
            for word in concept.words
        ]
        if not found:
            raise KeyError(place)
        return found

    def includes(self) -> Iterable[tuple[str, list[str]]]:
        """General words and what they include."""
        return self._included.items()

    def categories(self, part: PartOfSpeech, word: str) -> frozenset[str]:
        """The categories a word belongs to."""
        return self._categories[part].get(word, _NONE)

    def related(self, part: PartOfSpeech, word: str) -> frozenset[str]:
        """The word, its synonyms, what it includes and what includes it: what must not take its place."""
        return self._related[part](part, word)

    def _find_related(self, part: PartOfSpeech, word: str) -> frozenset[str]:
        found = {word}
        for concept in self.concepts(part, word):
            found.update(concept.words)
        for synonyms, special in self._inclusions[part]:
            if not found.isdisjoint(synonyms):
                found |= special
            elif not found.isdisjoint(special):
                found |= synonyms
        return frozenset(found)

    @cached_property
    def _inclusions(self) -> dict[PartOfSpeech, list[tuple[frozenset[str], frozenset[str]]]]:
        """General words with their synonyms, and what they include."""
        return {
            part: [
                (
                    frozenset((general, *(each for concept in self.concepts(part, general) for each in concept.words))),
                    frozenset(special),
                )
                for general, special in self._included.items()
            ]
            for part in _PARTS
        }

    def alike(self, noun: str, other: str) -> bool:
        """Whether two nouns are of one category, or the file names the other for the one."""
        return bool(self.categories("nouns", noun) & self.categories("nouns", other)) or other in self._instead.get(noun, ())

    def candidates(
        self, part: PartOfSpeech, word: str, usable: Callable[[str], bool], most_levels: int = 3, at_least: int | None = None
    ) -> list[str]:
        """The words that may take a word's place, in the order of the file.

        They come from the word's groups; a noun whose groups offer too few of them takes those of its category, then any
        object; those that the file names for this noun come last. A concept offers the synonym
        that stands at the word's own place, else its first usable one.

        Args:
            part: what the word is.
            word: in base form.
            usable: whether a word of the lexicon may be used here (vocabulary, number).
            most_levels: 1 for the word's groups only, 2 for its categories too, 3 for any object.
            at_least: how many words are not too few.
        """
        levels, place, enough = self._levels(part, word)
        enough = at_least or enough
        best: list[str] = []
        for concepts in levels[:most_levels]:
            found = self._offers(concepts, place, usable)
            best = max(best, found, key=len)
            if len(found) >= enough:
                break
        instead = self._instead.get(word, ()) if part == "nouns" else ()
        return best + [other for other in instead if other not in best and usable(other)]

    def _find_levels(self, part: PartOfSpeech, word: str) -> tuple[list[list[Concept]], int, int]:
        """The concepts that may replace a word, nearest first; the word's place among its synonyms; how many are enough."""
        own = self.concepts(part, word)
        if not own:
            return [], 0, 0
        related = self.related(part, word)
        others = [concept for concept in self._concepts[part] if related.isdisjoint(concept.words)]
        groups, categories = self.groups(part, word), self.categories(part, word)
        levels = [[other for other in others if other.group in groups]]
        if part == "nouns":
            levels.append([other for other in others if other.category in categories])
            if categories & self._objects and word not in self.mass:
                levels.append([other for other in others if other.category in self._objects])
        size = sum(concept.group in groups for concept in self._concepts[part])
        return levels, own[0].words.index(word), max(1, min(_ENOUGH, size - len(own)))

    @staticmethod
    def _offers(concepts: Iterable[Concept], place: int, usable: Callable[[str], bool]) -> list[str]:
        found = []
        for concept in concepts:
            ordered = (*concept.words[place : place + 1], *concept.words)
            offer = next(filter(usable, ordered), None)
            if offer is not None and offer not in found:
                found.append(offer)
        return found


@lru_cache(1)
def load_lexicon() -> Lexicon:
    """The lexicon that is part of the package."""
    content = resources.files("degla.text").joinpath("lexicon.yaml").read_bytes()
    return Lexicon(yaml.safe_load(content), hashlib.sha256(content).hexdigest())


def _concepts(categories: Mapping[str, Mapping[str, list[str]]]) -> Iterator[Concept]:
    for category, groups in categories.items():
        for group, concepts in groups.items():
            for concept in concepts:
                yield Concept(tuple(concept.split("|")), group, category)


def _index(concepts: Iterable[Concept]) -> dict[str, tuple[Concept, ...]]:
    index: defaultdict[str, list[Concept]] = defaultdict(list)
    for concept in concepts:
        for word in concept.words:
            index[word].append(concept)
    return {word: tuple(found) for word, found in index.items()}


def _frozen(
    by_word: Mapping[PartOfSpeech, Mapping[str, Iterable[Concept]]], where: Callable[[Concept], str]
) -> dict[PartOfSpeech, dict[str, frozenset[str]]]:
    """Where the concepts of each word stand."""
    return {part: {word: frozenset(map(where, concepts)) for word, concepts in words.items()} for part, words in by_word.items()}
