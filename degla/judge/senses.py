"""What words have to do with each other's truth: which may name one thing, and which exclude each other.

Two words are related where a thing that one of them names may be named by the other: they mean the same (sofa, couch), one
includes the other (animal, dog; in `kinds`), or one thing may be both (tall, big; rider, woman). From `senses.yaml`, the
lexicon, and WordNet; a run adds words mined from its captions. Knows nothing of edits.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from importlib import resources
from itertools import combinations
from typing import Any, Literal

import yaml

from degla.errors import ConfigError
from degla.judge import wordnet
from degla.negative_types import PartOfSpeech
from degla.text.lexicon import Lexicon, load_lexicon

Relation = Literal["related", "contrasting", "unknown"]
Pairs = frozenset[tuple[str, str]]

_HEAD = re.compile(r"^.*[ -]")
_ROOT = 1000  # synsets below one that is too general to have synonyms: person, object
_KINDS = 4  # levels above a word, up to the lexicon's word for it
_NEAR = 2  # levels above a word; what is more general has too many synonyms

_ONE_RESPECT: tuple[str, ...] = ("colours", "hair colours", "sizes", "compared sizes", "heights", "lengths", "widths", "weights")
_ONE_RESPECT += ("thickness", "depths", "people ages", "thing ages", "outlines", "temperature", "noise", "light", "strength")
_ONE_RESPECT += ("cleanliness",)

_SIZES = ("sizes", "compared sizes", "heights", "lengths", "widths", "thickness", "weights", "depths", "altitude")
_CLEAR = (
    "colours",
    "textures",
    "materials",
    "ground",
    "people ages",
    "hair colours",
    "outlines",
    "sides",
    "front",
    "levels",
    "nations",
    "reality",
)
_HOLDING_TOO = ("bag", "sack", "packet", "tin", "container", "piece", "slice", "bunch", "pile", "stack")
_HOLDING = ("@kitchen/drinkware", "@kitchen/tableware", "@kitchen/cookware", "@things/containers", "@clothing/bags")


class Senses:
    """Relations between words in base form, lower-case.

    Args:
        data: the parsed file.
        lexicon: its synonyms, `includes` and groups count too.

    Raises:
        ConfigError: the data has not the shape described at its head.
    """

    def __init__(self, data: Mapping[str, Any], lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        try:
            nouns, adjectives = data["nouns"], data["adjectives"]
            self._same = {
                "nouns": [*lexicon.synonyms("nouns"), *nouns["synonyms"]],
                "adjectives": [*lexicon.synonyms("adjectives"), *adjectives["synonyms"]],
            }
            self._kinds = {general: _words(lexicon, special) for general, special in nouns["kinds"].items()}
            may_be = [(one, other) for one, words in nouns["may_be"].items() for other in _words(lexicon, words)]
            self._together = {
                "nouns": [*may_be, *_pairs(nouns["together"])],
                "adjectives": list(_pairs(adjectives["together"])),
            }
            self._vague = frozenset(adjectives["vague"])
            clusters = wordnet.clusters(adjectives["vague_clusters"])
            origins, of_bodies, parts = adjectives["origins"], adjectives["of_bodies"], adjectives["parts"]
            self._excluded = [(old, new) for new, words in adjectives["excludes"].items() for old in words]
            contrasts = [*lexicon.group_members("adjectives"), *adjectives["contrasts"], *parts]
            same = frozenset(_both_ways(_pairs(lexicon.synonyms("adjectives"))))
            self._opposed = frozenset(_both_ways(_pairs(lexicon.group_members("adjectives")))) - same
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"senses: {error!r}. The file's head says what it must look like.") from error
        self._contrasts = [frozenset(words) for words in contrasts]
        self.vague = self._vague | clusters | self._of_groups(*_ONE_RESPECT)
        """Adjectives that exclude their contraries and nothing else: they may be said of almost anything, or the contraries of
        their respect are all known (colours, sizes, ages)."""
        self._origins = frozenset(origins)
        self.of_bodies: frozenset[str] = frozenset(of_bodies)
        """Adjectives of people and animals only."""
        self._parts = frozenset(_both_ways(_pairs(parts)))

    @cached_property
    def related(self) -> dict[PartOfSpeech, Pairs]:
        """By part of speech, pairs of words, each in both orders, neither of which makes the other false.

        What the lexicon contrasts (red, brown) is not related by way of a third word (auburn) of a line in the file.
        """
        return {"nouns": self._find_related("nouns"), "adjectives": self._find_related("adjectives")}

    def _find_related(self, part: PartOfSpeech) -> Pairs:
        found = set(_both_ways([*_pairs(self._same[part]), *self._together[part]]))
        if part == "adjectives":
            found -= self._opposed
        found.update(_both_ways([*_pairs(self._lexicon.synonyms(part)), *self._included(part)]))
        return frozenset(found)

    @cached_property
    def implied(self) -> Pairs:
        """Pairs of nouns (said, true): where the first is said of an image, the second is true of it."""
        equal = list(_both_ways(_pairs(self._same["nouns"])))
        return frozenset([*equal, *((special, general) for general, special in self._included("nouns"))])

    @cached_property
    def contrasting(self) -> Pairs:
        """Pairs of adjectives (old, new), the second of which excludes the first; nearly all in both orders.

        A thing has all its parts, the left and the right one: neither word excludes the other.
        """
        return frozenset([*_both_ways(_pairs(self._contrasts)), *self._excluded]) - self.related["adjectives"] - self._parts

    def exclude(self, part: PartOfSpeech, one: str, other: str) -> bool:
        """Whether two words stand in one group of the lexicon as different concepts, so that they exclude each other."""
        shared = self._lexicon.groups(part, one) & self._lexicon.groups(part, other)
        return bool(shared) and other not in self._lexicon.related(part, one)

    def relation(self, part: PartOfSpeech, one: str, other: str) -> Relation:
        """What WordNet says of two words in base form; `unknown` where a list holds them apart."""
        if self.exclude(part, one, other) or (
            part == "adjectives" and ((one, other) in self._parts or (one, other) in self.contrasting)
        ):
            return "unknown"
        if part == "nouns":
            return "related" if wordnet.nouns_related(one, other) or self._called_alike(one, other) else "unknown"
        if wordnet.adjectives_related(one, other):
            return "related"
        heads = (_HEAD.sub("", one), _HEAD.sub("", other))  # lime green, orange-red
        opposed = wordnet.adjectives_opposed(one, other) and not self._of_two_respects(one, other)
        return "contrasting" if opposed or heads in self.contrasting else "unknown"

    def _of_two_respects(self, one: str, other: str) -> bool:
        """Whether the lexicon knows two adjectives in different respects: stone is a colour to WordNet, and no colour here."""
        groups = (self._lexicon.groups("adjectives", word) for word in (one, other))
        return frozenset.isdisjoint(*groups) if all(self._lexicon.groups("adjectives", word) for word in (one, other)) else False

    def also_called(self, noun: str) -> list[str]:
        """What WordNet calls a noun in base form that no list has: its synonyms and more general words."""
        return [] if noun in self._nouns else sorted(wordnet.nouns_above(noun) - {noun})

    def _called_alike(self, one: str, other: str) -> bool:
        """Whether a word that no list has is by WordNet a kind of a synonym of the other: a trawler is a vessel, or ship."""
        for special, general in ((one, other), (other, one)):
            if special not in self._nouns and not self._synonyms_of[general].isdisjoint(
                wordnet.nouns_above(special, _NEAR, _ROOT)
            ):
                return True
        return one not in self._nouns and other not in self._nouns and not self._what(one).isdisjoint(self._what(other))

    def _what(self, noun: str) -> frozenset[str]:
        """The lexicon's words for what a noun that no list has is a kind of: one dog may be called a dachshund or a hound."""
        return frozenset(word for word in wordnet.nouns_above(noun, _KINDS, _ROOT) if self._lexicon.concepts("nouns", word))

    @cached_property
    def _synonyms_of(self) -> Mapping[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for one, other in _both_ways(_pairs(self._same["nouns"])):
            found[one].add(other)
        return found

    @cached_property
    def _nouns(self) -> frozenset[str]:
        return frozenset([*self._lexicon.words("nouns"), *(word for pair in self.related["nouns"] for word in pair)])

    @cached_property
    def adjectives(self) -> frozenset[str]:
        """Every adjective of the file."""
        lists = (*self._same["adjectives"], *self._together["adjectives"], *self._contrasts, self._vague)
        return frozenset(word for words in lists for word in words)

    @cached_property
    def contrasted(self) -> frozenset[str]:
        """The adjectives whose contraries are known."""
        return frozenset(word for words in self._contrasts for word in words)

    @cached_property
    def telling(self) -> frozenset[str]:
        """Adjectives by which two things beside each other are told apart: colours, materials, patterns, ages of people."""
        return self._of_groups(*_CLEAR)

    @cached_property
    def sizes(self) -> frozenset[str]:
        """Adjectives that say how large something is, beside what is there."""
        return self._of_groups(*_SIZES)

    @cached_property
    def not_of_people(self) -> frozenset[str]:
        """Adjectives of one word that no rewrite gives to a person: colours and the like, which are of things, and origins."""
        found = self._of_groups("colours", "textures", "materials", "ground", "outlines", "nations") | self._origins
        return frozenset(word for word in found if " " not in word) | self.of_matter

    @cached_property
    def of_matter(self) -> frozenset[str]:
        """Adjectives of one word that no rewrite gives to a living body: what things are made of, and that they are empty."""
        return frozenset(word for word in self._of_groups("materials") if " " not in word) | {"empty", "vacant", "deserted"}

    @cached_property
    def holding(self) -> frozenset[str]:
        """Nouns that may hold an amount of something (a bowl of soup)."""
        return frozenset(_words(self._lexicon, (*_HOLDING, *_HOLDING_TOO)))

    @cached_property
    def worn(self) -> frozenset[str]:
        """Nouns for clothes."""
        return frozenset((*_words(self._lexicon, ("@clothing",)), "clothes", "clothing", "outfit", "sock", "shoe", "helmet"))

    @cached_property
    def people(self) -> frozenset[str]:
        """The last words of nouns for human beings."""
        return frozenset(noun.split(" ")[-1] for noun in self._people())

    @cached_property
    def plain_people(self) -> frozenset[str]:
        """Nouns for human beings that do not join to another noun, as passenger does (passenger train)."""
        return frozenset((*_words(self._lexicon, ("@people/adults", "@people/children")), "person", "people", "child", "kid"))

    @cached_property
    def people_modifiers(self) -> frozenset[str]:
        """The first words of nouns for human beings (baseball player)."""
        return frozenset(noun.split(" ")[0] for noun in self._people() if " " in noun)

    def _people(self) -> list[str]:
        return [*_words(self._lexicon, ("@people",)), *self._kinds["person"], "person", "people", "individual", "human"]

    @cached_property
    def colours(self) -> frozenset[str]:
        """Adjectives of colour."""
        return self._of_groups("colours", "hair colours")

    def _of_groups(self, *groups: str) -> frozenset[str]:
        return frozenset(word for group in groups for word in self._lexicon.group_words("adjectives", frozenset((group,))))

    @property
    def numberless(self) -> frozenset[str]:
        """Nouns without a plural of their own, or without a singular."""
        return self._lexicon.mass | self._lexicon.plural_only | self._lexicon.unchanged_plural | {"people", "fruit"}

    @cached_property
    def places(self) -> frozenset[str]:
        """Nouns for places, grounds and waters."""
        return frozenset(_words(self._lexicon, ("@places",)))

    @cached_property
    def animate(self) -> dict[str, bool]:
        """Whether a noun names people or animals, for each noun of which that is known."""
        alive = {*_words(self._lexicon, ("@people", "@animals")), *self._kinds["person"], "person", "people", "animal"}
        return {word: word in alive for word in sorted({*self._lexicon.words("nouns"), *alive})}

    def _included(self, part: PartOfSpeech) -> Iterator[tuple[str, str]]:
        """(general, special), through all levels, with the synonyms of what is included by name."""
        includes: defaultdict[str, set[str]] = defaultdict(set)
        for general, included in self._lexicon.includes():
            includes[general].update(included)
        if part == "nouns":
            for general, kinds in self._kinds.items():
                includes[general].update(kinds)
        for general in list(includes):
            for special in _closure(general, includes):
                yield general, special


def _closure(word: str, includes: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    pending = [word]
    while pending:
        new = includes.get(pending.pop(), set()) - found
        found |= new
        pending += new
    return found - {word}


def _words(lexicon: Lexicon, names: Iterable[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        if name.startswith("-"):
            found.remove(name[1:])
        else:
            found += lexicon.place_words(name[1:]) if name.startswith("@") else [name]
    return found


def _pairs(groups: Iterable[Iterable[str]]) -> Iterator[tuple[str, str]]:
    for group in groups:
        yield from combinations(group, 2)


def _both_ways(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for one, other in pairs:
        yield one, other
        yield other, one


@lru_cache(1)
def load_senses() -> Senses:
    """The senses that are part of the package."""
    content = resources.files("degla.judge").joinpath("senses.yaml").read_text(encoding="utf-8")
    return Senses(yaml.safe_load(content), load_lexicon())
